"""A wall clock that can be set while a job runs, for all of its process: also for Bytewax and C.

It is libfaketime's, which stands between a process and the system's clocks.  The monotonic clock
goes on as it does, as when somebody sets the time of a machine.
"""

from __future__ import annotations

from pathlib import Path

from tests.cli.jobs import USHER, parts

_LIBRARIES = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
_SLEEPING = Path(__file__).with_name("sleeping")
MISSING = "" if _LIBRARIES else "a clock that can be set needs libfaketime (Debian: faketime)"


class WallClock:
    """`ahead` is by how many seconds it is ahead of this machine's."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    def set(self, ahead: int) -> None:
        self.ahead = ahead
        aside = self._file.with_suffix(".part")
        aside.write_text(f"{ahead:+d}")
        aside.replace(self._file)

    def command(self, root: Path, verb: str = "run") -> list[str]:
        """A verb on a project, by this clock."""
        return [
            "env",
            f"LD_PRELOAD={_LIBRARIES[0]}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
            f"PYTHONPATH={_SLEEPING}",
            *(USHER, "-C", str(root), verb, "--format", "json"),
            *(parts(root) if verb == "run" else ()),
        ]
