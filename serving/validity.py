"""Until when a certificate is valid, as it says itself (X.509, RFC 5280)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime

from audience_dsl.instants import SECOND

# The first one of a file is the server's, those behind it are of who has signed it.
_PEM = re.compile(r"-----BEGIN ([A-Z0-9]+ )?CERTIFICATE-----([^-]+)-----END")
_VERSION = 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


def valid_until(pem: str) -> int:
    """An instant in microseconds.

    Raises:
        ValueError: there is no certificate.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("there is no certificate in it")
    try:
        return _not_after(b64decode(found[2]))
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise ValueError("what should be a certificate is none") from error


def _not_after(certificate: bytes) -> int:
    signed = next(_values(next(_values(certificate))[1]))[1]
    fields = [value for tag, value in _values(signed) if tag != _VERSION]
    _serial, _algorithm, _issuer, validity = fields[:4]
    _begin, (tag, text) = _values(validity)
    ends = datetime.strptime(text.decode("ascii"), _TIMES[tag]).replace(tzinfo=UTC)
    return int(ends.timestamp()) * SECOND


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Each value that lies one after the other, with its tag."""
    while der:
        tag, size, begin = der[0], der[1], 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(der[2:begin])
        yield tag, der[begin : begin + size]
        der = der[begin + size :]
