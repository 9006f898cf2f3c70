"""What definitions find in their surroundings: environment variables, and files with a secret.

Secrets that a container or a service manager hands over are files; so `${file:PATH}` is read as a
variable whose name is `file:PATH`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from typing_extensions import override

from audience_dsl.variables import FILE

# Characters of a file that may be the value of a variable.
_MOST = 1 << 16


class Surroundings(Mapping[str, str]):
    """The environment, and any file that can be read; relative paths begin at the project.

    A file that is missing, too large or no text is a variable that is not set.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment

    @override
    def __getitem__(self, name: str) -> str:
        if not name.startswith(FILE):
            return self._environment[name]
        try:
            with (self._root / name.removeprefix(FILE)).open(encoding="utf-8", newline="") as file:
                text = file.read(_MOST + 1)
        except (OSError, ValueError) as error:
            raise KeyError(name) from error
        if len(text) > _MOST:
            raise KeyError(name)
        return text.removesuffix("\n").removesuffix("\r")

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    @override
    def __len__(self) -> int:
        return len(self._environment)
