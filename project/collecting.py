"""The logs in which a project's collector keeps what clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from audience_dsl.definitions import Settings
from connectors.collected.folder import log_folder
from connectors.collected.limits import Retention
from connectors.collected.log import CollectedLog
from project.folder import LoadedProject


def open_log(loaded: LoadedProject, source: Settings) -> CollectedLog:
    """The log of a source of type `http`, to be written to and closed.

    Raises:
        LogInUse: another process writes to it.
        LogDamaged: something that was acknowledged is damaged or missing.
        OSError: the project's folder cannot be written.
    """
    return CollectedLog(
        log_folder(loaded.root, source.key),
        str(source.options["format"]),
        retention=retention_of(source),
    )


def retention_of(source: Settings) -> Retention:
    """How much of its log is kept."""
    return Retention.of(cast("Mapping[str, object]", source.options.get("retention", {})))
