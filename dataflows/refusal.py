"""Why a job does not start: an exception, on its own so that nothing else is imported for it."""

from __future__ import annotations


class JobRefused(Exception):
    """The job cannot start here; the text says why and what to do."""
