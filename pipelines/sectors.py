"""python -m pipelines.sectors: reproduce every reference task of dvc.yaml, one line for each, then their scores."""

from __future__ import annotations

import time

from rich.console import Console

from dxai.config.compose import find_checkout
from pipelines.demo import reproduce, scores_table
from pipelines.tables import tasks


def sectors() -> None:
    """Run the stages that are not up to date, task by task, and say how far it is."""
    checkout, console = find_checkout(), Console()
    known = tasks(checkout)
    begun = time.monotonic()
    for number, task in enumerate(known, 1):
        told = f"{number} of {len(known)}: {task}, {time.monotonic() - begun:.0f} s so far"
        console.rule(told, align="left")
        reproduce(checkout, [task])
    console.print(scores_table(checkout, known))
    console.print("Try next:  make catalog, dxai leaderboard", highlight=False)


if __name__ == "__main__":
    sectors()
