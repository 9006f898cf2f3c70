"""What goes wrong with a source as a whole; a single bad record is a dead letter instead."""


class SourceError(Exception):
    """A recording cannot be found or read; the message says which, and what to do."""
