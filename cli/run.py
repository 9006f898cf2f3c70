"""`usher run`: the long-lived job."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import click

from cli.apart import work_apart
from cli.compiling import compile_core
from cli.control import controlled
from cli.failures import (
    ENVIRONMENT,
    FAILURES,
    MISTAKE,
    environment_failures,
    fail,
    sentence_of,
)
from cli.follower import follow
from cli.hosting import Hosting, hosting
from cli.noting import Noting
from cli.refreshing import Refreshing
from cli.sites import LeadingMachine, OneMachine, Site
from cli.supervision import Supervised
from cli.validate import load_or_exit
from connectors.sentences import Alarm
from dataflows.backfill import Backfill, requested_backfill
from dataflows.job import Start, run_job
from dataflows.lines import print_lines, visible
from dataflows.log_lines import log_json, tell
from dataflows.machines import Machines
from dataflows.ownership import sole_job, usher_folder
from dataflows.progress import Progress
from dataflows.question_socket import Answering
from dataflows.questions import Asked
from dataflows.recovery import with_stored_audiences
from dataflows.refusal import JobRefused
from dataflows.single import INTERRUPTION, PATIENCE, SingleJob
from project.folder import LoadedProject

_PARTS = frozenset({"evaluate", "deliver", "serve", "pull"})


def _parts(_context: click.Context, _option: click.Parameter, listed: str | None) -> frozenset[str]:
    parts = _PARTS if listed is None else frozenset(listed.split(","))
    if unknown := sorted(parts - _PARTS):
        raise click.BadParameter(
            f"'{visible(unknown[0])}' is not a part of the job; it has evaluate, deliver, serve "
            "and pull"
        )
    return parts


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that the work is divided among, on each machine.",
)
@click.option(
    "--machines",
    metavar="HOST:PORT,…",
    help="All machines that share the work, the same list on each; a port a worker, in a row.",
)
@click.option("--machine", type=click.IntRange(0), help="Which of them this is; 0 leads.")
@click.option(
    "--cluster-network-is-private",
    is_flag=True,
    help="Nobody else can reach the machines' ports, which are not protected.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print transitions; json: the transition record, one object a line.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to write the log, on standard error; json: one object a line.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Forget the stored state and count anew from the sources; what was told stays told.",
)
@click.option(
    "--only",
    metavar="PART,…",
    callback=_parts,
    help="Of evaluate, deliver, serve and pull, what this process does.  [default: all]",
)
@click.pass_obj
def run(
    root: Path,
    workers: int,
    machines: str | None,
    machine: int | None,
    cluster_network_is_private: bool,
    form: str,
    log_format: str,
    rebuild: bool,
    only: frozenset[str],
) -> None:
    """Evaluate the project's audiences on its sources until SIGTERM.

    Prints every entry and exit as it happens and delivers them to the destinations of the
    project's syncs. A source whose path is - reads events from standard input.

    It also answers over HTTP (docs/http.md) and pulls from the warehouse on schedule. With --only,
    each of the four can be the work of another process (docs/operations.md).

    Definitions that change take force while it runs, and at once on SIGHUP.

    Several workers, and several machines, are told of in docs/operations.md.

    \b
    Example:
      usher run
      tail -F events.jsonl | usher -C shop run --format json
      usher run --only evaluate,pull
    """
    if log_format == "json":
        log_json()
    loaded = load_or_exit(root)
    # When the reader of our output has gone, or somebody we talk to, all else goes on.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if "evaluate" not in only:
        with environment_failures():
            work_apart(loaded, only)
        return
    of_all = _machines(loaded, workers, machines, machine, is_private=cluster_network_is_private)
    with environment_failures():
        if of_all is not None and not of_all.leads:
            follow(loaded, of_all)
            return
        with sole_job(loaded.root) as lock, ExitStack() as held:
            site: Site | None = None
            if of_all is not None:
                site = held.enter_context(closing(LeadingMachine(loaded.root, of_all)))
            elif workers > 1:
                site = OneMachine(workers)
            if "pull" not in only:
                tell("pulls on schedule are the work of another process (usher run --only pull)")
            pulls = Refreshing(loaded, on_schedule="pull" in only)
            progress = Progress()
            asked: Asked | None = None
            if of_all is None:  # state on other machines is out of reach
                asked = held.enter_context(closing(Answering(loaded.root))).questions
            server = held.enter_context(
                hosting(
                    loaded,
                    progress,
                    lock,
                    for_clients="serve" in only,
                    is_shared=only != _PARTS,
                )
            )
            options = _Options(
                form == "json", "deliver" in only, progress, lock, site, pulls, asked, server
            )
            _run(loaded, options, Start.REBUILD if rebuild else Start.RESUME)


def _machines(
    loaded: LoadedProject,
    workers: int,
    listed: str | None,
    number: int | None,
    *,
    is_private: bool,
) -> Machines | None:
    """The machines of the job, if there are several and they may work together."""
    if listed is None and number is None:
        return None
    if listed is None or number is None:
        fail("--machines and --machine belong together", MISTAKE)
    try:
        machines = Machines.parse(listed, number, workers)
    except ValueError as error:
        fail(f"--machines: {error}", MISTAKE)
    if loaded.project.store is None or loaded.project.store.type != "postgres":
        fail(
            "several machines need a store that all can reach: set store: {type: postgres, …}; "
            "SQLite is for one machine",
            MISTAKE,
        )
    if collected := [key for key, one in loaded.project.sources.items() if one.type == "http"]:
        fail(
            f"source '{collected[0]}' is of type http: what is collected lies on one machine, and "
            "others cannot follow it there; let several machines read a Kafka topic",
            MISTAKE,
        )
    if machines.exposed and not is_private:
        fail(
            f"workers talk to each other at {', '.join(machines.exposed)} without any protection, "
            "and whoever can reach their ports can take them over; if nobody else can reach that "
            "network, say so with --cluster-network-is-private",
            MISTAKE,
        )
    return machines


@dataclass(frozen=True, slots=True)
class _Options:
    """What stays the same for one job after the other."""

    json: bool
    delivers: bool
    progress: Progress
    lock: int
    site: Site | None  # where the workers are; without it, this process does all
    pulls: Refreshing
    asked: Asked | None  # by servers
    server: Hosting


class _InProcess:
    """A job of one process, as `Supervised` is one of several."""

    def __init__(self, single: SingleJob, backfill: Backfill | None) -> None:
        self._single = single
        self.stop = single.job.stop
        self.request = None if backfill is None else backfill.request
        self.is_interlude = backfill is not None and backfill.is_alone

    @property
    def failed(self) -> bool:
        return self._single.emission.failure is not None

    def run(self, start: Start, patience: Callable[[], float]) -> None:
        with self._single as job:
            run_job(job, start=start)
            self._single.patience = patience()


def _run(loaded: LoadedProject, options: _Options, start: Start) -> None:
    """One job after the other, each with the definitions that the one before was ended for."""
    compile_core()
    job = _prepared(loaded, options, start)
    options.server.announce()
    pulls, notes = options.pulls, Noting(loaded, options.progress)
    with (
        pulls.working(),
        notes.working(),
        controlled(loaded, pulls.wait_for, options.server.drain, evaluates=True) as control,
    ):
        while True:
            control.attach(job.stop, job.request)
            tell("running; stop with SIGTERM or Ctrl-C")
            job.run(start, lambda: INTERRUPTION if control.interrupts else PATIENCE)
            changed = control.take_next()
            if job.is_interlude and not control.has_ended:
                changed = changed or loaded
            if changed is None or job.failed:
                break
            start = Start.RESUME
            try:
                job = _prepared(changed, options, start)
            except FAILURES as error:
                tell(Alarm(f"{sentence_of(error)}; the job goes on with the definitions before"))
                job = _prepared(loaded, options, start)
            else:
                loaded = changed
                for one in (pulls, notes, options.server):
                    one.follow(loaded)
    counts = options.progress.counts
    tell(
        f"stopped; {counts.read:,} events read, {counts.ignored:,} ignored, "
        f"{counts.invalid:,} invalid"
    )
    if job.failed:
        sys.exit(ENVIRONMENT)


def _tell_differences(count: int) -> None:
    if count:
        tell(f"{count:,} corrections were needed for the journal to agree with the state")


def _single(
    loaded: LoadedProject, options: _Options, request: str | None
) -> tuple[SingleJob, Backfill | None]:
    """A job in this process; where there are several, it does nothing but the backfill."""
    backfill: Backfill | None = None
    is_alone = options.site is not None
    if request is not None:
        backfill = Backfill(usher_folder(loaded.root), request, tell, is_alone=is_alone)

    def reconciled(differences: int) -> None:
        _tell_differences(differences)
        if is_alone:
            single.job.stop.set()

    single = SingleJob(
        loaded,
        print_lines,
        json=options.json,
        delivers=options.delivers,
        progress=options.progress,
        reconciled=reconciled,
        backfill=backfill,
        questions=options.asked,
    )
    return single, backfill


def _prepared(loaded: LoadedProject, options: _Options, start: Start) -> _InProcess | Supervised:
    try:
        loaded = with_stored_audiences(loaded)
    except JobRefused:
        if start is Start.RESUME:
            raise
    job: _InProcess | Supervised
    request = requested_backfill(usher_folder(loaded.root))
    if options.site is None or request is not None:
        single, backfill = _single(loaded, options, request)
        job, snapshots = _InProcess(single, backfill), single.job.audiences.snapshots
    else:
        job = Supervised(
            loaded,
            options.site,
            options.lock,
            print_lines,
            json=options.json,
            delivers=options.delivers,
            progress=options.progress,
            questions=options.asked,
            reconciled=_tell_differences,
        )
        snapshots = job.preparation.snapshots
    for parent, snapshot in snapshots.items():
        tell(f"{parent}: snapshot {snapshot.version} of {snapshot.rows:,} rows")
    return job
