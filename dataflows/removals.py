"""Audiences that were removed from the definitions: those who are in them have to exit.

Which audiences state was ever stored of is kept beside it.  One that is not defined any more goes
on as an audience that nobody is in, for as long as the state lasts: it costs next to nothing, and
whenever a job may have been killed, its members exit once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from audience_dsl.definitions import Project
from audience_dsl.plans import with_removed

# Of each parent model the audiences, and whether their members exit when they are removed.
Known = Mapping[str, Mapping[str, bool]]


def known_audiences(project: Project) -> dict[str, dict[str, bool]]:
    """What is to be kept beside the state of this project's job."""
    return {
        parent: {
            audience.key: audience.key not in project.audiences
            or project.audiences[audience.key].exits_on_delete
            for audience in one.plan.audiences
        }
        for parent, one in project.plans.items()
    }


def with_known(project: Project, known: Known) -> Project:
    """The project with those of the known audiences that have been removed from it."""
    plans = {}
    for parent, one in project.plans.items():
        defined = {audience.key for audience in one.plan.audiences}
        removed = [
            key for key, exits in known.get(parent, {}).items() if exits and key not in defined
        ]
        plans[parent] = with_removed(one, removed) if removed else one
    return replace(project, plans=plans)
