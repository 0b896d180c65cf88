"""A sweep in MLflow: one run above those of its jobs, whichever process begins it, ends it, or takes it up again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dxai.metrics import Metric
from dxai.record.tracking.delivery import Delivery
from dxai.record.tracking.journal import Event, Reference

KEY = "dxai_key"
"""The tag by which a run is found before MLflow has given it an id."""
METRIC, BETTER = "metric", "better"
"""Tags of a sweep's run: the metric by which its jobs are compared, and which way it is better."""
OTHERS = "RUNNING"
"""The status of a sweep whose end is left to other processes."""


class Pruned(Exception):
    """A run was ended because it promised little, which is no failure; the text says after what."""


@dataclass(frozen=True)
class Parent:
    """The run of a sweep; whoever tells of it first makes it.

    Attributes:
        experiment: That its jobs are in.
        key: Tells it from other sweeps.
        name: For people.
        metric: By which its jobs are compared.
        params: Of the sweep itself.
    """

    experiment: str
    key: str
    name: str
    metric: Metric
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> Reference:
        """Finds it."""
        return Reference(self.experiment, KEY, self.key)

    def event(self, op: str) -> Event:
        """To ``start`` it, or to ``make`` it where it is not there yet."""
        tags = {METRIC: self.metric.name, BETTER: self.metric.better}
        return {
            "op": op, "run": self.run, "time": now(), "name": self.name, "parent": None, "tags": tags,
            "params": dict(self.params), "data": {}, "shared": True,
        }  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One of a sweep's jobs.

    Attributes:
        parent: Of the sweep.
        name: Its number, in words.
    """

    parent: Parent
    name: str


class TrackedSweep:
    """The run of a sweep that goes on in this process."""

    def __init__(self, delivery: Delivery, parent: Parent) -> None:
        self.delivery, self.parent, self.others = delivery, parent, False
        delivery.append(parent.event("start"))

    def tag(self, **tags: str) -> None:
        """Say more of it."""
        self._append("note", tags=tags, params={}, values={})

    def best(self, number: int, parameters: Mapping[str, Any], value: float) -> None:
        """The best job: its number, its settings, and its value of the metric."""
        params = {"best.job": str(number)} | {f"best.{key}": str(told) for key, told in parameters.items()}
        self._append("note", tags={}, params=params, values={f"best.{self.parent.metric.name}": value})

    def leave_to_others(self) -> None:
        """Other processes still run jobs: the last of them ends it."""
        self.others = True

    def end(self, status: str) -> None:
        """Close it, unless others do."""
        self._append("end", status=OTHERS if self.others else status)

    def _append(self, op: str, **more: Any) -> None:
        self.delivery.append({"op": op, "run": self.parent.run, "time": now(), **more})


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)
