"""`usher`: one command, one file a verb.

Verbs are imported when they are called, so that `usher --help` and completion stay instant.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from typing_extensions import override

# Verb -> module below `cli` that has a command of that name.
_VERBS = {
    "init": "init",
    "validate": "validate",
    "schema": "schema",
    "run": "run",
    "reconcile": "reconcile",
    "backfill": "backfill",
    "backtest": "backtest",
    "pull": "pull",
    "pulls": "pulls",
    "freshness": "freshness",
    "preview": "preview",
    "members": "members",
    "user": "user",
    "transitions": "transitions",
    "sync": "sync",
    "deliveries": "deliveries",
    "dead-letters": "dead_letters",
    "keys": "keys",
}


_STDOUT = 1


class _Verbs(click.Group):
    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"cli.{_VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "--project",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="The audience project; the current folder by default.",
)
@click.version_option(package_name="usher", prog_name="usher")
@click.pass_context
def usher(ctx: click.Context, project: Path) -> None:
    """Realtime audiences from live events and warehouse attributes.

    \b
    Example:
      usher init shop
      usher -C shop backtest

    Exit codes: 0 done, 1 a fault of ours, 2 mistakes in definitions or arguments, 3 environment
    (missing secret, unreachable system, damaged state).
    """
    ctx.obj = project


def _end_without_reader(number: int, _frame: FrameType | None) -> None:
    """`usher backtest | head` ends as any other command does whose reader has seen enough.

    The signal also comes when a server has closed its connection.  That is an error for whoever
    talks to it, and no reason to end.
    """
    output = select.poll()
    output.register(_STDOUT, 0)
    if output.poll(0):
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def main() -> None:
    # We multiply no matrices; numpy's library for that would keep a thread a core ready.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGPIPE, _end_without_reader)
    try:
        sys.exit(usher.main(prog_name="usher", standalone_mode=False))
    except click.ClickException as mistake:
        mistake.show()
        sys.exit(mistake.exit_code)
    except click.Abort:  # Ctrl-C: not a fault of ours
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
