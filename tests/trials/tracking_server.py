"""python -m tests.trials.tracking_server --size ci|release [--seed N]

Four processes at once tell a real MLflow server (on PostgreSQL where it and a driver are installed, otherwise SQLite;
with artifacts by the protocol of S3 where moto and boto3 are installed, otherwise in a folder) of their epochs, then of
a report, while it is killed (SIGKILL) and started again. All metrics and reports are to be there afterwards, each once,
and no writer waits for the server: what the telling takes is compared with that of one writer by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from mlflow import MlflowClient

from dxai.config.compose import settings_from
from dxai.config.settings import TrackingSettings
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance, run_fingerprint
from dxai.record.tracking.tracker import Tracker
from tests.trials.mlflow_server import MlflowServer, ObjectStore, Postgres
from tests.trials.scene import Finding, Setting, run

WRITERS, METRICS, KILLS = 4, {"ci": 800, "release": 10_000}, {"ci": 1, "release": 5}
"""METRICS: of all writers together, two in each epoch."""
SECONDS = {"ci": 4.0, "release": 60.0}
"""What one writer's training takes, without the telling."""
REPORT = "report.html"
CHECKOUT = Path(__file__).resolve().parents[2]


def write(folder: Path, url: str, name: str, epochs: int, seconds: float) -> None:
    """Tell of so many epochs in so many seconds; print how long the telling took, and the end of the run."""
    settings = settings_from(["model=linear", f"name={name}"], checkout=CHECKOUT)
    made_from = Provenance(code="", data="0" * 64, contract="", packages={})
    told, tracker = 0.0, Tracker(folder, TrackingSettings(uri=url))
    with tracker.run(settings, made_from) as tracked:
        for number in range(epochs):
            begin = time.monotonic()
            tracked.log_epoch("final", Epoch(number, 1 / (number + 1), 1 / (number + 2)))
            told += time.monotonic() - begin
            time.sleep(seconds / epochs)
        end = time.monotonic()
    end = time.monotonic() - end
    report = folder / name
    report.mkdir(exist_ok=True)  # the one that brings what others left has the name of the first
    (report / REPORT).write_text(name, "utf-8")
    with tracker.earlier(settings.data.name, run_fingerprint(settings, made_from)) as earlier:
        earlier.log_folder(report, "report")
    print(json.dumps([told, end]))  # noqa: T201


def writers(setting: Setting, url: str, count: int, epochs: int) -> list[subprocess.Popen[bytes]]:
    """So many processes that write."""
    words, seconds = [str(setting.folder / "checkout"), url], str(SECONDS[setting.size])
    program = "import sys; from pathlib import Path; from tests.trials.tracking_server import write; "
    program += "write(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))"
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, *words, f"writer-{count}-{number}", str(epochs), seconds],
            cwd=CHECKOUT, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for number in range(count)
    ]  # fmt: skip


def ended(processes: list[subprocess.Popen[bytes]]) -> tuple[list[list[float]], list[str]]:
    """What the writers print, and what went wrong with them."""
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    broken = [f"writer ended with {process.returncode}" for process in processes if process.returncode]
    return [json.loads(output) for output in outputs if output], broken


def missing(url: str, count: int, epochs: int) -> tuple[int, int, int, list[str]]:
    """How many metrics are absent, and there twice; how many reports are absent; and runs that have not ended well."""
    client = MlflowClient(url)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    names = {run.info.run_id: run.info.run_name for run in found}
    fits = [
        run
        for run in found
        if names.get(run.data.tags.get("mlflow.parentRunId", ""), "").startswith(f"writer-{count}-")
    ]
    points = Counter(
        (fit.info.run_id, name, point.step)
        for fit in fits
        for name in ("fit_loss", "watched_loss")
        for point in client.get_metric_history(fit.info.run_id, name)
    )
    parents = [run.info for run in found if run.info.run_name.startswith(f"writer-{count}-")]
    reports = [file.path for info in parents for file in client.list_artifacts(info.run_id, "report")]
    states = [f"not ended: {run.info.run_name} is {run.info.status}" for run in found if run.info.status != "FINISHED"]
    lost, doubles = count * epochs * 2 - len(points), sum(points.values()) - len(points)
    return lost, doubles, count - reports.count(f"report/{REPORT}"), states


def tracking_server(setting: Setting) -> Finding:
    """One writer alone, then all of them with a server that dies."""
    epochs = METRICS[setting.size] // WRITERS // 2
    postgres = None if Postgres.missing() else Postgres()
    store = None if ObjectStore.missing() else ObjectStore(setting.folder / "objects")
    for backend in (postgres, store):
        if backend:
            backend.start()
    server = MlflowServer(setting.folder / "server", postgres.uri if postgres else "", store)
    try:
        server.start()
        alone, broken = ended(writers(setting, server.url, 1, epochs))
        processes = writers(setting, server.url, WRITERS, epochs)
        for _ in range(KILLS[setting.size]):
            time.sleep(setting.random.uniform(0.6, 1.0) * SECONDS[setting.size] / KILLS[setting.size])
            server.kill()
            server.start()
        together, more = ended(processes)
        left = len(list((setting.folder / "checkout/runs/.tracking").glob("*.jsonl")))
        if left:  # they ended while the server was away: the next run brings what they left
            more += ended(writers(setting, server.url, 1, 1))[1]
        lost, doubles, reports, states = missing(server.url, WRITERS, epochs)
        objects = [name for name in store.names if name.endswith(REPORT)] if store else []
    finally:
        server.kill()
        if store:
            store.kill()
        if postgres:
            postgres.stop()
    facts = {
        "database": "postgresql" if postgres else "sqlite", "artifacts": "s3" if store else "folder",
        "writers": WRITERS, "n": METRICS[setting.size], "kills": KILLS[setting.size], "lost": lost, "doubles": doubles,
        "lost_reports": reports, "objects": len(objects), "left_for_the_next_run": left,
        "told_ms_alone": round(1000 * max(told for told, _ in alone), 1),
        "told_ms_of_four": round(1000 * max(told for told, _ in together), 1),
        "longest_end_seconds": round(max(end for _, end in together), 1),
    }  # fmt: skip
    broken += more + states
    broken += [f"lost: {reports} reports"] * bool(reports)
    broken += [f"lost: {lost} metrics"] * bool(lost) + [f"double: {doubles} metrics"] * bool(doubles)
    return Finding(facts, broken)


if __name__ == "__main__":
    run("tracking_server", __doc__, tracking_server)
