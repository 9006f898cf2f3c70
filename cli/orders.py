"""What a running job and the process of one of its pulls say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from project.folder import LoadedProject
from warehouse.refresh import Request


@dataclass(frozen=True, slots=True)
class Order:
    """What to pull, by the definitions that the job has or waits for."""

    loaded: LoadedProject
    parent_model: str
    request: Request


@dataclass(frozen=True, slots=True)
class Failed:
    """What is to be said of a pull that has failed."""

    sentence: str
