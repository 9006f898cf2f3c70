"""`usher validate`: every mistake in the definitions, and on demand whether all can be reached."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from audience_dsl import Diagnostic, Severity
from cli.failures import show_mistakes
from connectors.sentences import Alarm
from dataflows.log_lines import log_line, logs_json
from project.columns import Remembered
from project.connections import check_connections
from project.folder import LoadedProject, exit_code, load_project


@click.command()
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--connect", is_flag=True, help="Also test sources, warehouse and destinations.")
@click.pass_context
def validate(ctx: click.Context, form: str, connect: bool) -> None:
    """Check all definitions and print every mistake.

    Exits with 0 if there is none, 2 for mistakes in definitions, 3 for what is missing around them:
    an environment variable or, with --connect, a system that cannot be reached.

    \b
    Example:
      usher -C shop validate
      usher validate --format json
    """
    loading = load_project(ctx.obj or Path())
    for diagnostic in loading.diagnostics:
        click.echo(diagnostic.to_json() if form == "json" else diagnostic.to_text() + "\n")
    code = exit_code(loading.diagnostics)
    if form == "text":
        click.echo(_summary(loading.diagnostics, loading.loaded))
    if connect and loading.loaded is not None:
        code = _connect(loading.loaded, form)
    sys.exit(code)


def load_or_exit(root: Path, remembered: Remembered = Remembered.WHERE_NEEDED) -> LoadedProject:
    """The project for a verb that needs one; its mistakes go to standard error, and end it."""
    loading = load_project(root, remembered=remembered)
    if loading.loaded is None:
        show_mistakes(loading.diagnostics)
        summary = _summary(loading.diagnostics, None)
        click.echo(log_line(Alarm(summary)).rstrip("\n") if logs_json() else summary, err=True)
        sys.exit(exit_code(loading.diagnostics))
    return loading.loaded


def _summary(diagnostics: Sequence[Diagnostic], loaded: LoadedProject | None) -> str:
    warnings = sum(one.severity is Severity.WARNING for one in diagnostics)
    noted = f", {_counted(warnings, 'warning')}" if warnings else ""
    if loaded is None:
        return _counted(len(diagnostics) - warnings, "error") + noted
    plans = loaded.project.plans.values()
    audiences = _counted(len(loaded.project.audiences), "audience")
    events = sum(not one.implicit for plan in plans for one in plan.conditions)
    columns = sum(len(plan.predicates) for plan in plans)
    conditions = (
        f"{_counted(events, 'event condition')}, {_counted(columns, 'warehouse condition')}"
    )
    return f"{loaded.project.name}: {audiences}, {conditions}, no mistake{noted}"


def _connect(loaded: LoadedProject, form: str) -> int:
    code = 0
    for connection in check_connections(loaded):
        reached = not connection.problem
        code = code if reached else 3
        if form == "json":
            fact = {"system": connection.system, "reached": reached, "message": connection.problem}
            click.echo(json.dumps(fact, ensure_ascii=False))
        else:
            click.echo(f"{connection.system}: {connection.problem or 'reached'}")
    return code


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
