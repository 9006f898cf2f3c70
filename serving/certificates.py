"""The certificate that the server shows, as its files have it by now.

Certificates live for weeks and a server for years.  Whoever renews one replaces its files; what
connects from then on is shown the new one, and connections that are open go on.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from connectors.sentences import Alarm
from dataflows.preparation import tell
from serving.addresses import Certificate

# Seconds between two looks at the files.
_LOOK = 5.0


class Renewing:
    """`context` has a certificate whose files `renew` follows."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._seen = self._files()
        self.context = certificate.context()

    async def renew(self) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(_LOOK)
            if (found := self._files()) != self._seen:
                self._seen = found
                self._load()

    def _load(self) -> None:
        try:
            self._certificate.context()  # only a pair that belongs together is taken
            self._certificate.load_into(self.context)
        except (OSError, ValueError) as error:
            # Of two files, one comes first; the other one is seen the next time.
            reason = self._certificate.flaw(error)
            tell(Alarm(f"http: the new certificate cannot be used: {reason}; the old one stays"))
        else:
            tell("http: a new certificate is used from now on")

    def _files(self) -> tuple[tuple[int, int] | None, ...]:
        one = self._certificate
        return tuple(_stamp(path) for path in (one.certificate, one.private_key) if path)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino
