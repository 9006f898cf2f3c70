"""Documents that run: console blocks are typed into a shell, and what it says is compared.

In a `console` block, a line that begins with `$ ` is typed; what follows is what it should print,
where a line `...` stands for any lines and `…` within a line for any text.  A block of another
kind after a comment `<!-- file: NAME -->` is written to that file first.  All blocks of a document
share one folder and one shell session.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class WriteFile:
    name: str
    text: str


@dataclass(frozen=True)
class Typed:
    """A command, with what it should print."""

    line: int
    command: str
    expected: str


def steps(document: Path) -> list[WriteFile | Typed]:
    """What a reader would do, in the order of the page."""
    text = document.read_text(encoding="utf-8")
    found: list[WriteFile | Typed] = []
    for block in BLOCK.finditer(text):
        if block["file"]:
            found.append(WriteFile(block["file"], block["text"]))
        elif block["kind"] == "console":
            found += _typed(block["text"], text.count("\n", 0, block.start("text")) + 1)
    return found


def _typed(block: str, first_line: int) -> list[Typed]:
    commands: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.splitlines(), first_line):
        if line.startswith("$ "):
            commands.append((number, line[2:], []))
        else:
            commands[-1][2].append(line)
    return [Typed(number, command, "\n".join(lines)) for number, command, lines in commands]


def run(document: Path, folder: Path, environment: dict[str, str]) -> list[str]:
    """Follow the document in the folder; return a description of each answer that differs."""
    differences: list[str] = []
    shell_state = folder / ".shell"
    shell_state.write_text(f"cd {folder}\n")
    for step in steps(document):
        match step:
            case WriteFile(name, text):
                (_present_folder(shell_state) / name).write_text(text, encoding="utf-8")
            case Typed(line, command, expected):
                said = _type(command, shell_state, environment)
                if not _answers(expected, said):
                    differences.append(
                        f"{document.name}:{line}: $ {command}\n"
                        f"--- expected\n{expected}\n--- printed\n{said}"
                    )
    return differences


def _present_folder(shell_state: Path) -> Path:
    return Path(shell_state.read_text().removeprefix("cd ").strip())


def _type(command: str, shell_state: Path, environment: dict[str, str]) -> str:
    script = f". {shell_state}\n{command}\necho cd $PWD > {shell_state}\n"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    return done.stdout.decode()


def _answers(expected: str, said: str) -> bool:
    lines = []
    for line in expected.strip().splitlines():
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.escape(line.rstrip()).replace("…", ".*?") + r"[ ]*\n")
    tidied = "".join(f"{line.rstrip()}\n" for line in said.strip().splitlines())
    return re.fullmatch("".join(lines), tidied) is not None
