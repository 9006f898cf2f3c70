"""Zstandard data as a stream that tells when it is cut off."""

from __future__ import annotations

from typing import BinaryIO

import zstandard

# Small, because a few bytes may stand for 100 KB.
_PIECE = 4096


class ZstdReader:
    """Reads consecutive frames.

    The library's own reader takes the end of the file for the end of the data, also in the middle
    of a frame.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._compressed = b""
        self._ready = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as there is data; 0 at the end.

        Raises:
            EOFError: the file ends in the middle of a frame.
            zstandard.ZstdError: the data is damaged.
        """
        filled = 0
        while filled < len(buffer):
            if not self._ready and not self._decompress():
                break
            count = min(len(buffer) - filled, len(self._ready))
            buffer[filled : filled + count] = self._ready[:count]
            self._ready = self._ready[count:]
            filled += count
        return filled

    def _decompress(self) -> bool:
        """Make some data ready; false at the end."""
        while not self._ready:
            self._compressed = self._compressed or self._raw.read(_PIECE)
            if not self._compressed:
                if self._begun:
                    raise EOFError("the file ends in the middle of a frame")
                return False
            self._begun = True
            self._ready = memoryview(self._frame.decompress(self._compressed))
            self._compressed = b""
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = False
        return True
