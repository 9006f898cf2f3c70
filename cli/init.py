"""`usher init`: a small working project to start from.

The project is an ordinary folder of files beside this module, copied as it is: what a newcomer
gets is what is tested.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

TEMPLATE = Path(__file__).parent / "template"


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a small working project with sample events and a sample warehouse.

    DIR is created; it has to be empty if it is there already.

    \b
    Example:
      usher init shop && cd shop && usher backtest
    """
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise click.UsageError(
            f"{directory} is there already and not an empty folder; "
            "nothing was written. Name a new folder."
        )
    try:
        shutil.copytree(
            TEMPLATE,
            directory,
            dirs_exist_ok=True,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns(".usher", "__pycache__"),
        )
    except OSError as error:
        click.echo(f"Error: cannot write to {directory}: {error.strerror or error}", err=True)
        sys.exit(3)
    click.echo(f"A project of 2 audiences, 4 customers and a morning of events is in {directory}.")
    click.echo(f"Next: cd {directory} && usher validate && usher backtest")
