"""Wall clocks that can be set while a job runs; the monotonic clock goes on, as it does then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from typing_extensions import override

from tests.cli.jobs import USHER, parts

_LIBRARIES = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
_HERE = Path(__file__).parent
MISSING = "" if _LIBRARIES else "a clock that can be set needs libfaketime (Debian: faketime)"


class _Clock(ABC):
    """`ahead` is by how many seconds it is ahead of this machine's."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.set(0)

    def set(self, ahead: int) -> None:
        self.ahead = ahead
        aside = self.file.with_suffix(".part")
        aside.write_text(f"{ahead:+d}")
        aside.replace(self.file)

    def command(self, root: Path, verb: str = "run") -> list[str]:
        """A verb on a project, by this clock."""
        return [
            "env",
            *(f"{name}={value}" for name, value in self._variables().items()),
            *(USHER, "-C", str(root), verb, "--format", "json"),
            *(parts(root) if verb == "run" else ()),
        ]

    @abstractmethod
    def _variables(self) -> dict[str, str | Path]: ...


class WallClock(_Clock):
    """For all of a process, Bytewax and C alike: libfaketime stands between it and the system.

    A job by it needs several times as much of a processor.
    """

    @override
    def _variables(self) -> dict[str, str | Path]:
        return {
            "LD_PRELOAD": _LIBRARIES[0],
            "FAKETIME_TIMESTAMP_FILE": self.file,
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": _HERE / "sleeping",
        }


class PythonClock(_Clock):
    """For Python alone, which is who asks for the time of a product written in it."""

    @override
    def _variables(self) -> dict[str, str | Path]:
        return {"USHER_TEST_CLOCK": self.file, "PYTHONPATH": _HERE / "setting"}
