"""BLAKE2b with digests of 16 bytes, for many short messages at once (RFC 7693).

Python's own `hashlib.blake2b` gives the same digests, but a call for each message takes longer
than the digest itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.compiled import kernel

Words = npt.NDArray[np.uint64]

DIGEST = 16  # bytes
BLOCK = 128  # bytes that are compressed at once

_START = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)  # fmt: skip

# No key, one leaf, 16 bytes of digest: the parameters that enter the first word.
_PARAMETERS = np.uint64(0x01010010)

# In which order each round takes the words of the message.
_ORDER = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    dtype=np.uint8,
)

_16, _24, _32, _63 = np.uint64(16), np.uint64(24), np.uint64(32), np.uint64(63)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_NONE = np.uint64(0)


@kernel
def digest(message: Words, length: int, chain: Words) -> None:
    """Leave the digest in the first two words of `chain`, which has eight; little-endian.

    `message` is `length` bytes, filled up with zeros to whole blocks, at least one.  Words
    overflow on purpose: interpreted, call it under `np.errstate(over="ignore")`.
    """
    for i in range(8):
        chain[i] = _START[i]
    chain[0] ^= _PARAMETERS
    first = 0
    while first + BLOCK < length:
        _compress(message[first // 8 :], np.uint64(first + BLOCK), _NONE, chain)
        first += BLOCK
    _compress(message[first // 8 :], np.uint64(length), _ALL, chain)


@kernel
def _compress(m: Words, counted: np.uint64, last: np.uint64, chain: Words) -> None:
    v0, v1, v2, v3 = chain[0], chain[1], chain[2], chain[3]
    v4, v5, v6, v7 = chain[4], chain[5], chain[6], chain[7]
    v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
    v12, v13, v14, v15 = _START[4] ^ counted, _START[5], _START[6] ^ last, _START[7]
    for turn in range(12):
        o = _ORDER[turn]
        v0, v4, v8, v12 = _mix(v0, v4, v8, v12, m[o[0]], m[o[1]])
        v1, v5, v9, v13 = _mix(v1, v5, v9, v13, m[o[2]], m[o[3]])
        v2, v6, v10, v14 = _mix(v2, v6, v10, v14, m[o[4]], m[o[5]])
        v3, v7, v11, v15 = _mix(v3, v7, v11, v15, m[o[6]], m[o[7]])
        v0, v5, v10, v15 = _mix(v0, v5, v10, v15, m[o[8]], m[o[9]])
        v1, v6, v11, v12 = _mix(v1, v6, v11, v12, m[o[10]], m[o[11]])
        v2, v7, v8, v13 = _mix(v2, v7, v8, v13, m[o[12]], m[o[13]])
        v3, v4, v9, v14 = _mix(v3, v4, v9, v14, m[o[14]], m[o[15]])
    chain[0] ^= v0 ^ v8
    chain[1] ^= v1 ^ v9
    chain[2] ^= v2 ^ v10
    chain[3] ^= v3 ^ v11
    chain[4] ^= v4 ^ v12
    chain[5] ^= v5 ^ v13
    chain[6] ^= v6 ^ v14
    chain[7] ^= v7 ^ v15


@kernel
def _mix(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, x: np.uint64, y: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b + x
    d = _turned(d ^ a, _32)
    c = c + d
    b = _turned(b ^ c, _24)
    a = a + b + y
    d = _turned(d ^ a, _16)
    c = c + d
    b = _turned(b ^ c, _63)
    return a, b, c, d


@kernel
def _turned(word: np.uint64, by: np.uint64) -> np.uint64:
    """The word's bits moved to the right by so many places, those that fall out to the left."""
    return (word >> by) | (word << (np.uint64(64) - by))
