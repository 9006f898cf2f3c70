"""Why a log cannot be opened, or does not take something."""

from __future__ import annotations

from connectors.sources.errors import SourceError


class LogInUse(SourceError):
    """Another process writes to the log."""


class LogDamaged(SourceError):
    """Something that was acknowledged is not as it was written; the text says where."""


class NotTaken(Exception):
    """Events that are not in the log, for the reason that the text says."""


class Overfull(NotTaken):
    """More waits to be written than may; `retry_after` seconds from now there may be room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("more events have come than can be written")
        self.retry_after = retry_after
