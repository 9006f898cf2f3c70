"""What a running job and the process of one of its pulls say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from project.folder import LoadedProject
from warehouse.history import Trigger


@dataclass(frozen=True, slots=True)
class Order:
    """What to pull, by the definitions that the job has or waits for."""

    loaded: LoadedProject
    parent_model: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Failed:
    """What is to be said of a pull that has failed."""

    sentence: str
