"""`usher backtest`: recorded events replayed, exactly as the live job would have seen them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from audience_dsl.definitions import Project
from cli.compiling import compile_core
from cli.failures import MISTAKE, environment_failures, fail
from cli.parameters import Instant
from cli.recordings import reading_progress, recorded_sources, recordings_of, sources_with_files
from cli.validate import load_or_exit
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.formats import FORMATS
from connectors.sources.recorded import find_files
from dataflows.backtest import Recording, Request, Result, run_backtest
from dataflows.outputs import SUFFIXES


@click.command()
@click.option(
    "--events",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Files, folders or globs to replay instead of the project's file sources; repeatable.",
)
@click.option("--source", help="Replay only what this source of the project has recorded.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="What the records are; else as the source says, or detected.",
)
@click.option(
    "--clock",
    type=click.Choice(["event", "arrival"]),
    default="event",
    show_default=True,
    help="Order and evaluate events as they happened, or as they were received.",
)
@click.option("--from", "start", type=Instant(), help="When the snapshot takes force.")
@click.option("--until", type=Instant(), help="When time ends.")
@click.option(
    "--snapshots",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Dated snapshots, as in .usher/snapshots: each takes force when it was taken.",
)
@click.option("--audience", "audiences", multiple=True, metavar="ID", help="Only this; repeatable.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every transition to this .jsonl or .parquet file.",
)
@click.option(
    "--summary",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print what was found.",
)
@click.option(
    "--engine", type=click.Choice(["stream", "sql"]), default="stream", help="Not yet: sql."
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html", help="Not yet.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="PROJECT", help="Not yet.")
@click.pass_obj
def backtest(
    root: Path,
    paths: tuple[str, ...],
    source: str | None,
    form: str | None,
    clock: str,
    start: int | None,
    until: int | None,
    snapshots: Path | None,
    audiences: tuple[str, ...],
    workers: int,
    output: Path | None,
    summary: str,
    engine: str,
    report: Path | None,
    compare: Path | None,
) -> None:
    """Replay recorded events and report every entry and exit.

    PATHs are files, folders or globs of JSON lines (.gz and .zst too), Parquet or Snowplow TSV.

    \b
    Example:
      usher backtest
      usher backtest --events 'day/*.jsonl.gz' --clock arrival --output transitions.jsonl
    """
    _refuse_what_is_to_come(engine, report, compare)
    if paths and source is not None:
        fail("--events and --source are two ways to say what to replay; use one", MISTAKE)
    loaded = load_or_exit(root)
    project = loaded.project
    _check(project, audiences, source, start, until, output)
    with environment_failures():
        if paths:
            recordings = [Recording(file, None, form) for file in find_files(paths)]
        else:
            recordings = _recordings(project, root, source, form)
        compile_core()
        request = Request(
            recordings=recordings,
            policy=ArrivalPolicy.EVENT if clock == "event" else ArrivalPolicy.RECORDED,
            start=start,
            until=until,
            audiences=frozenset(audiences) or None,
            workers=workers,
            output=output,
            snapshots=snapshots,
        )
        with reading_progress(sum(one.file.size for one in recordings)) as advance:
            result = run_backtest(loaded, request, advance)
    print_json(result) if summary == "json" else print_tables(result)


def _refuse_what_is_to_come(engine: str, report: Path | None, compare: Path | None) -> None:
    for is_asked, option in (
        (engine == "sql", "--engine sql"),
        (report is not None, "--report"),
        (compare is not None, "--compare"),
    ):
        if is_asked:
            fail(f"{option} is not available yet; this release has --output and --summary", MISTAKE)


def _check(
    project: Project,
    audiences: Sequence[str],
    source: str | None,
    start: int | None,
    until: int | None,
    output: Path | None,
) -> None:
    for audience in audiences:
        if audience not in project.audiences:
            known = ", ".join(sorted(project.audiences))
            fail(f"unknown audience '{audience}'; the project has {known}", MISTAKE)
    if source is not None and source not in project.sources:
        known = ", ".join(sorted(project.sources))
        fail(f"unknown source '{source}'; the project has {known}", MISTAKE)
    if start is not None and until is not None and until < start:
        fail("--until lies before --from", MISTAKE)
    if output is not None and output.suffix not in SUFFIXES:
        fail(f"--output is to end in {' or '.join(SUFFIXES)}, not as {output.name}", MISTAKE)


def _recordings(
    project: Project, root: Path, only: str | None, form: str | None
) -> list[Recording]:
    sources = [one for one in recorded_sources(project) if only is None or one.key == only]
    # A collector may not have been sent anything yet.
    sources = [one for one in sources if one.type == "file" or sources_with_files([one], root)]
    if not sources:
        which = f"source '{only}'" if only else "the project"
        fail(f"{which} has no recorded files; name some with --events PATH", MISTAKE)
    return recordings_of(sources, root, form)


def print_json(result: Result) -> None:
    """One object a line: the records, then each audience."""
    click.echo(json.dumps({"records": asdict(result.records), "invalid": result.dead_letters}))
    for key, figures in result.summary.audiences.items():
        click.echo(
            json.dumps(
                {
                    "audience": key,
                    "entries": figures.entries,
                    "exits": figures.exits,
                    "members": figures.members,
                    "peak_members": figures.peak_members,
                    "median_stay": figures.median_stay,
                }
            )
        )


def print_tables(result: Result) -> None:
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100, highlight=False)
    records = result.records
    counts = Table(box=None, pad_edge=False)
    fields = ("read", "matched", "ignored", "duplicate", "late", "invalid")
    for field in fields:
        counts.add_column("events read" if field == "read" else field, justify="right")
    counts.add_row(*(f"{getattr(records, field):,}" for field in fields))
    console.print(counts)
    for reason, count in sorted(result.dead_letters.items(), key=lambda one: (-one[1], one[0])):
        console.print(f"  invalid: {count:,} × {reason}", markup=False)
    if records.ahead:
        console.print(f"  dated ahead of their arrival, counted at it: {records.ahead:,}")
    console.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("audience", overflow="fold")
    for name in ("entries", "exits", "members", "peak", "median stay"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, figures in result.summary.audiences.items():
        stay = figures.median_stay
        table.add_row(
            key,
            f"{figures.entries:,}",
            f"{figures.exits:,}",
            f"{figures.members:,}",
            f"{figures.peak_members:,}",
            "-" if stay is None else _rounded(stay),
        )
    console.print(table)
    if result.start is None:
        console.print(
            "\nnothing was evaluated: no event to begin with; --from says when to begin without"
        )


_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def _rounded(duration: int) -> str:
    """A duration in its two largest units, such as `49m 33s`; below a minute, `7.3s`."""
    seconds = duration / 1_000_000
    if seconds < 60:
        return f"{round(seconds, 1):g}s"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count:.0f}{unit}")
    return " ".join(parts[:2])
