"""Runs whose process is gone: what is kept of them, what MLflow was not told, and which it still takes for running."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from dxai.doctor.findings import Finding, counted
from dxai.doctor.leftovers import held
from dxai.doctor.servers import tracking_settings, tracking_uri
from dxai.files import short
from dxai.record.tracking.journal import Lines, store_name

_OPEN = """
select runs.run_uuid, runs.name, tags.value from runs join tags
on tags.run_uuid = runs.run_uuid and tags.key = 'dxai_key' where runs.status = 'RUNNING' order by runs.start_time
"""
"""Those of dxai alone: of others, such as a notebook's, nobody here knows whether they live."""


def dead_runs(checkout: Path) -> Iterator[Finding]:
    """Unfinished runs that no process works on."""
    folders = sorted(file.parent for file in (checkout / "runs").glob("**/train.unfinished/origin.json"))
    for folder in folders:
        run = short(folder.parent)
        if held(folder / ".lock"):
            yield Finding("ok", "run", f"{run} is being trained.")
            continue
        begun = datetime.fromtimestamp((folder / "origin.json").stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        fits, part = (len(list(folder.glob(f"*.{kind}"))) for kind in ("fit", "ckpt"))
        kept = f"{counted(fits, 'fit', 'fits')} whole, {part} in part"
        told = f"{run}, begun {begun}, was stopped: its process is gone. Kept: {kept}."
        yield Finding("problem", "run", told, f"`dxai train --resume {run}`, or delete {short(folder)}.")
    if not folders:
        yield Finding("ok", "run", "None is unfinished.")


def events_waiting(checkout: Path) -> Iterator[Finding]:
    """What processes that ended have not told MLflow."""
    folder, present = checkout / "runs" / ".tracking", store_name(tracking_uri(checkout))
    left = [lines for file in sorted(folder.glob("*.jsonl")) if (lines := _left(file))]
    ours, others = ([lines for lines in left if (lines.store == present) is same] for same in (True, False))
    if ours:
        waiting, runs = sum(lines.waiting for lines in ours), sum(len(lines.unended()) for lines in ours)
        told = f"{counted(waiting, 'event waits', 'events wait')} for MLflow; "
        told += (
            f"{counted(runs, 'run or fit of an ended process is', 'runs or fits of ended processes are')} not closed."
        )
        fix = "The next `dxai train` tells them, or dxai doctor --fix."
        yield Finding("problem", "tracking", told, fix, lambda: _close_dead(checkout))
    if others:
        waiting = sum(lines.waiting for lines in others)
        told = f"{counted(waiting, 'event waits', 'events wait')} for another address than the one set now."
        yield Finding("note", "tracking", told, "Set MLFLOW_TRACKING_URI to it, and give dxai doctor --fix.")
    refused = folder / "refused.jsonl"
    if refused.is_file():
        count = counted(len(refused.read_bytes().splitlines()), "event", "events")
        told = f"MLflow has refused {count}; {short(refused)} keeps what."
        yield Finding("note", "tracking", told, "Read why in its lines; delete it when you have.")
    if not left:
        yield Finding("ok", "tracking", "Nothing waits for MLflow.")


def open_runs(checkout: Path) -> Iterator[Finding]:
    """Runs that the checkout's own MLflow takes for running, and no process here does."""
    file = checkout / "mlflow.db"
    if not file.is_file():
        return
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        try:
            found = database.execute(_OPEN).fetchall()
        except sqlite3.Error as error:
            yield Finding(
                "problem", "mlflow", f"{short(file)} cannot be read: {error}.", "Restore it, or move it away."
            )
            return
    alive = keys_alive(checkout)
    dead = [name or run_id for run_id, name, key in found if key not in alive]
    runs = counted(len(dead), "run or fit", "runs or fits")
    if dead and tracking_uri(checkout) == f"sqlite:///{file}":
        told = f"MLflow takes {runs} for running whose process is gone, such as {dead[-1]}."
        fix = "dxai doctor --fix closes them as KILLED."
        yield Finding("problem", "mlflow", told, fix, lambda: _close_dead(checkout))
    elif dead:
        told = f"{runs} of ended processes: open in {short(file)}, which is not the address set now."
        yield Finding("note", "mlflow", told)
    else:
        yield Finding("ok", "mlflow", "No run is open whose process is gone.")


def keys_alive(checkout: Path) -> set[str]:
    """The values by which MLflow knows the runs of processes that live, and the sweeps of those runs."""
    files = (checkout / "runs" / ".tracking").glob("*.jsonl")
    alive = [Lines.of(file) for file in files if held(file.with_suffix(".lock"))]
    sweeps = {event["run"][2] for lines in alive for event in lines.events if event["op"] == "make"}
    return sweeps | {run.value for lines in alive for run in lines.unended()}


def _left(file: Path) -> Lines | None:
    """What is in the journal of a process that has ended; None: it lives, or it is no journal."""
    if file.name == "refused.jsonl" or held(file.with_suffix(".lock")):
        return None
    lines = Lines.of(file)
    return lines if lines.events else None


def _close_dead(checkout: Path) -> str:
    try:
        from dxai.record.tracking.tracker import Tracker
    except ImportError:
        return "not told to MLflow: it is not installed here"
    tracker = Tracker(checkout, tracking_settings(checkout))
    closed, waiting = tracker.close_dead(lambda: keys_alive(checkout))
    told = f"closed {counted(closed, 'run', 'runs')} in MLflow"
    return (
        told
        if not waiting
        else f"{told}; {counted(waiting, 'journal still waits', 'journals still wait')}: MLflow does not answer"
    )
