"""For whom is collected: the log of each source of type `http`, found by who sends."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from audience_dsl.definitions import Settings
from connectors.collected.folder import log_folder
from connectors.collected.log import CollectedLog
from connectors.sentences import Alarm
from connectors.sources.errors import SourceError
from dataflows.log_lines import tell
from project.collecting import open_log, retention_of
from project.folder import LoadedProject
from serving.collecting.instants import FirstInstants

_SNOWPLOW = "snowplow"


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A source; `log` is `None` if it cannot be opened at the moment, for the reason in `fault`."""

    settings: Settings
    log: CollectedLog | None
    instants: FirstInstants
    fault: str = ""

    @property
    def key(self) -> str:
        return self.settings.key

    @property
    def form(self) -> str:
        """The name of its format."""
        return str(self.settings.options["format"])

    @property
    def senders(self) -> Iterable[str]:
        """Who may send: write keys or, for Snowplow, app ids."""
        name = "app_ids" if self.form == _SNOWPLOW else "write_keys"
        return cast("Iterable[str]", self.settings.options[name])


class Streams:
    """All of a project, to be closed.  Threads change them, one at a time, while others look.

    Raises:
        SourceError: a log is damaged, or another process writes to it.
        OSError: a log cannot be written.
    """

    def __init__(self, loaded: LoadedProject) -> None:
        self._loaded = loaded
        self._changing = threading.Lock()
        self._opened: dict[str, Stream] = {}
        try:
            for settings in _collected(loaded):
                self._opened[settings.key] = _opened(loaded, settings)
        except BaseException:
            self.close()
            raise
        self._know()

    def of_key(self, write_key: str | None) -> Stream | None:
        """Whose write key it is."""
        return self._keys.get(write_key or "")

    def of_app(self, app_id: object) -> Stream | None:
        """Whose app id it is."""
        return self._apps.get(app_id) if isinstance(app_id, str) else None

    @property
    def of_calls(self) -> list[Stream]:
        """Those that take calls of Segment's protocol."""
        return [one for one in list(self._opened.values()) if one.form != _SNOWPLOW]

    @property
    def only_of_apps(self) -> Stream | None:
        """The source of all app ids, if there is one such source."""
        found = set(self._apps.values())
        return found.pop() if len(found) == 1 else None

    @property
    def unwritten(self) -> list[str]:
        """The sources whose log cannot be opened."""
        return [one.key for one in list(self._opened.values()) if one.log is None]

    def follow(self, loaded: LoadedProject) -> None:
        """From now on collect for the sources of these definitions."""
        with self._changing:
            self._loaded = loaded
            self._follow(loaded)

    def open_again(self) -> None:
        """Open the logs that could not be opened, if they can be now."""
        with self._changing:
            for key, stream in self._opened.items():
                if stream.log is None:
                    opened = _opened_if_possible(self._loaded, stream.settings, stream.fault)
                    self._opened[key] = opened
            self._know()

    def close(self) -> None:
        """Write what waits, then let go."""
        for stream in self._opened.values():
            if stream.log is not None:
                stream.log.close()

    def _follow(self, loaded: LoadedProject) -> None:
        # Those who look find all sources meanwhile: who is told that there is none sends no more.
        before, found = self._opened, dict[str, Stream]()
        for settings in _collected(loaded):
            stream = before.get(settings.key)
            if stream is None or stream.log is None:
                found[settings.key] = _opened_if_possible(loaded, settings)
            elif stream.form == settings.options["format"]:
                stream.log.retain(retention_of(settings))
                found[settings.key] = replace(stream, settings=settings)
            else:
                stream.log.close()
                found[settings.key] = _opened_if_possible(loaded, settings)
        self._opened = found
        self._know()
        for key, stream in before.items():
            if key not in found and stream.log is not None:
                stream.log.close()

    def _know(self) -> None:
        streams = self._opened.values()
        apps = {app: one for one in streams if one.form == _SNOWPLOW for app in one.senders}
        keys = {key: one for one in streams if one.form != _SNOWPLOW for key in one.senders}
        self._apps: Mapping[str, Stream] = apps
        self._keys: Mapping[str, Stream] = keys


def _collected(loaded: LoadedProject) -> Iterable[Settings]:
    return [one for one in loaded.project.sources.values() if one.type == "http"]


def _opened(loaded: LoadedProject, settings: Settings) -> Stream:
    log, instants = open_log(loaded, settings), FirstInstants(str(settings.options["format"]))
    try:
        instants.recall(log_folder(loaded.root, settings.key))
    except BaseException:
        log.close()
        raise
    return Stream(settings, log, instants)


def _opened_if_possible(loaded: LoadedProject, settings: Settings, told: str = "") -> Stream:
    """One without a log if it cannot be opened; why is said if it is not what was `told`."""
    try:
        return _opened(loaded, settings)
    except (SourceError, OSError) as error:
        fault = str(error)
    if fault != told:
        tell(Alarm(f"http: nothing is collected for source '{settings.key}': {fault}"))
    return Stream(settings, None, FirstInstants(str(settings.options["format"])), fault)
