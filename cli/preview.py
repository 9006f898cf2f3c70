"""`usher preview`: how many are in an audience, by which conditions, and in what else they are."""

from __future__ import annotations

from pathlib import Path

import click

from audience_dsl.definitions import Project
from cli.compiling import compile_core
from cli.failures import MISTAKE, environment_failures, fail
from cli.parameters import Instant, Share
from cli.preview_lines import json_lines, text_lines
from cli.recordings import (
    reading_progress,
    recorded_sources,
    recordings_of,
    sources_with_files,
)
from cli.validate import load_or_exit
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.formats import FORMATS
from connectors.sources.recorded import find_files
from connectors.wall_clock import wall_clock
from dataflows.backtest import Recording
from dataflows.preview import NoEvents, Request, run_preview
from dataflows.sampling import Sample


@click.command()
@click.argument("audience")
@click.option(
    "--events",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Count the events of these files, folders or globs; repeatable.",
)
@click.option(
    "--events-format",
    type=click.Choice(list(FORMATS)),
    help="What the records are; else as the source says, or detected.",
)
@click.option(
    "--clock",
    type=click.Choice(["event", "arrival"]),
    default="event",
    show_default=True,
    help="Count recorded events from when they happened, or from when they were received.",
)
@click.option("--at", type=Instant(), help="As of this instant; by default, as of now.")
@click.option(
    "--sample", type=Share(), default="100%", help="Look at this share of the users, such as 1%."
)
@click.option(
    "--members",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="How many to show.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def preview(
    root: Path,
    audience: str,
    paths: tuple[str, ...],
    events_format: str | None,
    clock: str,
    at: int | None,
    sample: Sample,
    members: int,
    form: str,
) -> None:
    """Show the size of an AUDIENCE, of each of its conditions and groups, and some members.

    It need not be live. Warehouse conditions are answered by the snapshot in force, or by one
    that is pulled for the purpose if that does not answer them. Event conditions are answered by
    what a job has counted, if it counts all of them; otherwise, or with --at or --events, by
    recorded events: those of the project's file sources, or the PATHs. Nothing is changed by it.

    With --sample, users are chosen by a stable hash, and each size comes with the interval that it
    lies in with 95 % certainty.

    \b
    Example:
      usher preview ready_to_buy
      usher preview ready_to_buy --at 2026-03-01T09:15:00Z --sample 1%
    """
    loaded = load_or_exit(root)
    project = loaded.project
    if audience not in project.audiences:
        known = ", ".join(sorted(project.audiences))
        fail(f"unknown audience '{audience}'; the project has {known}", MISTAKE)
    now = wall_clock()
    with environment_failures():
        if paths:
            recordings = [Recording(file, None, events_format) for file in find_files(paths)]
        else:
            recordings = _recordings(project, root, events_format)
        compile_core()
        request = Request(
            audience=audience,
            now=now,
            at=at,
            recordings=recordings,
            are_named=bool(paths),
            policy=ArrivalPolicy.EVENT if clock == "event" else ArrivalPolicy.RECORDED,
            sample=sample,
            members=members,
        )
        try:
            with reading_progress(sum(one.file.size for one in recordings)) as advance:
                found = run_preview(loaded, request, advance)
        except NoEvents:
            fail(
                f"'{audience}' counts events, and the project has none that are recorded in files; "
                "name some with --events PATH, or start the job",
                MISTAKE,
            )
    parent = project.audiences[audience].parent_model
    unread = [] if paths or found.events is None else _unread(project, parent)
    lines = json_lines if form == "json" else text_lines
    for line in lines(audience, project.audiences[audience], found, sample, unread):
        click.echo(line)


def _recordings(project: Project, root: Path, form: str | None) -> list[Recording]:
    """Of the recorded sources that have any."""
    sources = sources_with_files(recorded_sources(project), root)
    return recordings_of(sources, root, form) if sources else []


def _unread(project: Project, parent: str) -> list[str]:
    """Sources of the parent model's events that are not recorded in files."""
    sources = {one.source for one in project.events.values() if one.parent_model == parent}
    return sorted(sources - {one.key for one in recorded_sources(project)})
