"""The certificate that the server shows, as its files have it by now.

Certificates live for weeks and a server for years.  Whoever renews one replaces its files; what
connects from then on is shown the new one, and connections that are open go on.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from audience_dsl.instants import SECOND, format_instant
from connectors.sentences import Alarm, Trouble
from connectors.wall_clock import wall_clock
from dataflows.log_lines import tell
from serving.addresses import Certificate

# Seconds between two looks at the files.
_LOOK = 5.0

_DAY = 86_400
_SOON = 14 * _DAY * SECOND


class Renewing:
    """`context` has a certificate whose files `renew` follows; it is valid until `valid_until`."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._seen = self._files()
        self._warn_at = 0.0
        self.context = certificate.context()
        self.valid_until = certificate.valid_until()

    async def renew(self) -> None:
        """Look at the files for ever."""
        while True:
            self._warn()
            await asyncio.sleep(_LOOK)
            if (found := self._files()) != self._seen:
                self._seen = found
                self._load()

    def _load(self) -> None:
        one = self._certificate
        try:
            one.check()
            one.load_into(self.context)
            self.valid_until = one.valid_until()
        except (OSError, ValueError) as error:
            # Of two files, one comes first; the other one is seen the next time.
            flaw = one.flaw(error)
            tell(Alarm(f"http: the new certificate cannot be used: {flaw}; the old one stays"))
        else:
            self._warn_at = 0.0
            tell("http: a new certificate is used from now on")

    def _warn(self) -> None:
        """Once a day, if it ends soon."""
        left, now = self.valid_until - wall_clock(), time.monotonic()
        if left < _SOON and now >= self._warn_at:
            self._warn_at = now + _DAY
            ends = "has expired: it was" if left <= 0 else "expires soon: it is"
            until = format_instant(self.valid_until)
            tell(Trouble(f"http: the certificate {ends} valid until {until}; replace its files"))

    def _files(self) -> tuple[tuple[int, int] | None, ...]:
        one = self._certificate
        return tuple(_stamp(path) for path in (one.certificate, one.private_key) if path)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino
