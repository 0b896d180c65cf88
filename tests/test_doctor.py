"""`dxai doctor` finds what is wrong, by its real cause; changes nothing, unless asked; and needs no training extra."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from test_cli import modules_after

from dxai.catalog.store import Store
from dxai.cli.main import cli
from dxai.doctor import installation, leftovers, places
from dxai.doctor.findings import Finding
from dxai.doctor.runs import dead_runs
from dxai.doctor.servers import catalogs, tracking_server

DEAD = 2**22 + 1
"""No process has this id: it is above the largest that Linux gives."""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout and a store of its own."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "run.yaml").write_text("tracking:\n  uri: null\n", "utf-8")
    monkeypatch.setenv("DXAI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(installation, "gpu", lambda: iter(()))
    monkeypatch.setattr("dxai.doctor.examination.gpu", lambda: iter(()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(findings: Iterator[Finding], status: str) -> str:
    """The lines of this status."""
    return "\n".join(finding.line for finding in findings if finding.status == status)


def command(*words: str, code: int) -> str:
    done = CliRunner().invoke(cli, ["doctor", *words])
    assert done.exit_code == code, done.output
    return done.output


def tree(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.lstat().st_mtime_ns for p in folder.rglob("*")}


def long_ago(folder: Path) -> Path:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - 7200,) * 2)
    return folder


def scraps(workplace: Path) -> list[Path]:
    """Half outputs and a lock, as processes leave them that are killed."""
    run, store = workplace / "runs/concrete/day", Store()
    half = [run / ".evaluate.abcdefg1", workplace / "models/.concrete-strength.abcdefg2", workplace / "data/raw"]
    for folder in half:
        folder.mkdir(parents=True)
        (folder / "file").write_text("half", "utf-8")
    part = workplace / "data/raw/.table.csv.0123abcd.part"
    part.write_text("half", "utf-8")
    for path in (*half[:2], part):
        long_ago(path)
    for name in ("1.0.0.removed", "2.0.0.partial"):
        (store.folder / "models/concrete" / f".{name}").mkdir(parents=True)
    lock = store.folder / "locks" / "concrete-3.0.0.lock"
    lock.parent.mkdir()
    lock.write_text(f"{DEAD}\n", "utf-8")
    return [*half[:2], part, store.folder / "models/concrete/.1.0.0.removed", lock]


def test_in_order_it_says_so(workplace: Path) -> None:
    before = tree(workplace)
    assert command(code=0).endswith("no problems\n")
    assert json.loads(command("--json", code=0))["problems"] == 0
    assert tree(workplace) == before


def test_outside_a_checkout_it_says_less(workplace: Path) -> None:
    shutil.rmtree(workplace / "configs")
    output = command(code=0)
    assert "not inside one" in output
    assert "disk:" in output
    assert "run:" not in output


def test_what_killed_processes_left_is_found_and_taken_away_only_when_asked(workplace: Path) -> None:
    left = scraps(workplace)
    fresh = workplace / "models/.other.abcdefg3"
    fresh.mkdir()
    before = tree(workplace)
    output = command(code=2)
    assert tree(workplace) == before
    assert "5 problems" in output
    for scrap in left:
        assert str(scrap.relative_to(workplace)) in output
    assert f"process {DEAD}, which is gone" in output
    assert "dxai pull concrete@2.0.0" in output
    found = json.loads(command("--json", "--fix", code=0))
    assert sorted(f["fixed"] for f in found["findings"] if "fixed" in f) == sorted(
        f"removed {scrap.relative_to(workplace)}" for scrap in left
    )
    assert not any(scrap.exists() for scrap in left)
    assert fresh.exists()  # perhaps somebody is writing it
    assert (workplace / "home/models/concrete/.2.0.0.partial").exists()  # the next pull goes on with it


def test_an_output_that_was_being_replaced_is_left_to_a_person(workplace: Path) -> None:
    old, new = (workplace / "models" / f".concrete.abcdefgh{end}" for end in (".old", ""))
    for folder in (old, new):
        folder.mkdir(parents=True)
        long_ago(folder)
    assert "mv models/.concrete.abcdefgh.old models/concrete" in command("--fix", code=2)
    assert old.exists() and new.exists()


def test_a_lock_of_a_living_process_is_left_alone(workplace: Path) -> None:
    lock = workplace / "home/locks/concrete-1.0.0.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{os.getpid()}\n", "utf-8")
    assert leftovers.held(lock)
    command("--fix", code=0)
    assert lock.exists()


@pytest.mark.parametrize(("free", "status"), [(1e8, "problem"), (2e9, "note"), (9e9, "ok")])
def test_a_disk_that_fills_up(free: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_frsize=1, f_blocks=int(1e12), f_bfree=int(free), f_bavail=int(free))
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    (finding,) = places.disks({"runs": tmp_path / "runs", "data": tmp_path / "data"})
    assert finding.status == status
    assert f"{free / 1e9:.1f} GB" in finding.text


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    assert "file is not a folder" in told(places.folders({"models": tmp_path / "file" / "models"}), "problem")
    (tmp_path / "theirs").mkdir(mode=0o555)
    user = os.geteuid()
    try:
        if user == 0:
            for folder in (tmp_path, *tmp_path.parents):  # more of them where tests run side by side
                if folder.stat().st_mode & 0o777 == 0o700:
                    folder.chmod(0o755)
            os.seteuid(65534)
        assert "theirs cannot be written to" in told(places.folders({"runs": tmp_path / "theirs/runs"}), "problem")
    finally:
        os.seteuid(user)


def test_versions_outside_the_ranges_of_pyproject(tmp_path: Path) -> None:
    project = '[project]\ndependencies = ["click>=8.1", "numpy<1"]\n[project.optional-dependencies]\ntrain = {}\n'
    (tmp_path / "pyproject.toml").write_text(project.format('["torch>=2", "no-such-package>=1"]'), "utf-8")
    found = told(installation.packages(tmp_path), "problem").splitlines()
    assert "no-such-package is not here" in found[0]
    assert "numpy 2." in found[1] and "asks for <1" in found[1]
    (tmp_path / "pyproject.toml").write_text(project.format('["no-such-package>=1"]').replace("<1", ">1"), "utf-8")
    assert "base install" in told(installation.packages(tmp_path), "note")
    assert not told(installation.packages(tmp_path), "problem")


TORCH = """
from types import SimpleNamespace
__version__, version = "2.13.0", SimpleNamespace(cuda={built!r})
cuda = SimpleNamespace(device_count=lambda: {count}, get_device_name=lambda _: "GPU")
def ones(*_, device):
    raise RuntimeError("no kernel image is available for execution on the device")
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("built", "count", "here", "line"),
    [
        (None, 0, False, "ok       gpu: There is none"),
        (None, 0, True, "note     gpu: nvidia0 is here, and torch 2.13.0 is built for processors only"),
        ("12.8", 0, False, "note     gpu: torch 2.13.0 is built for CUDA 12.8, and there is no GPU"),
        ("12.8", 0, True, "problem  gpu: nvidia0 is here, and torch 2.13.0 (CUDA 12.8) does not see it"),
        ("12.8", 1, True, "problem  gpu: torch 2.13.0 cannot compute on the GPU: no kernel image"),
    ],
)
def test_what_torch_can_do_with_a_gpu(
    built: str | None, count: int, here: bool, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(TORCH.format(built=built, count=count), "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(installation, "DEVICES", tmp_path)
    if here:
        (tmp_path / "nvidia0").touch()
    (finding,) = installation.gpu()
    assert finding.line.startswith(line)


# --- servers ----------------------------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/health", "/c/metadata/timestamp.json") else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[Callable[[bool], int]]:
    """Ports of a server that answers, and of one that is closed."""
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    with HTTPServer(("127.0.0.1", 0), _Answers) as closed:
        gone = closed.server_port
    yield lambda answers: server.server_port if answers else gone
    server.shutdown()
    server.server_close()


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_tracking_server_that_does_not_answer(
    scheme: str, port: Callable[[bool], int], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://user:secret@127.0.0.1:{port(True)}")
    if scheme == "http":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port(True)}")
    assert "answers" in told(tracking_server(workplace), "ok")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://127.0.0.1:{port(False)}")
    line = told(tracking_server(workplace), "problem")
    assert f"127.0.0.1:{port(False)} does not answer: Connection refused" in line
    assert "secret" not in line


@pytest.mark.process
def test_a_catalog_that_does_not_answer(
    port: Callable[[bool], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for place in (f"http://127.0.0.1:{port(True)}/c", f"http://127.0.0.1:{port(False)}/c", str(tmp_path / "stick")):
        folder = store.catalog_folder(place)
        folder.mkdir(parents=True)
        (folder / "catalog.json").write_text(json.dumps({"place": place}), "utf-8")
    assert f"{port(True)}/c answers" in told(catalogs(store), "ok")
    lines = told(catalogs(store), "problem").splitlines()
    assert any(f"{port(False)}/c cannot be read: Connection refused" in line for line in lines)
    assert any("stick cannot be read: there is no folder" in line for line in lines)
    assert len(lines) == 2


# --- runs -------------------------------------------------------------------------------------------------------------

TRAINING = """
import sys, time
from pathlib import Path
from dxai.config.compose import settings_from
from dxai.files import whole_folder
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance
from dxai.record.tracking.tracker import Tracker
from dxai.record.unfinished import UnfinishedRun
here, checkout = Path.cwd(), Path(sys.argv[1])
settings = settings_from(["model=linear"], checkout=checkout)
made_from = Provenance(code="", data="d" * 64, contract="c", packages={})
folder = here / "runs/concrete/day/train"
unfinished = UnfinishedRun(folder)
with (
    unfinished.working(settings, made_from, here, resume=False), whole_folder(folder),
    Tracker(here).run(settings, made_from) as tracked,
):
    unfinished.checkpoint("final").write_bytes(b"half")
    tracked.log_epoch("final", Epoch(0, 1.0, 1.0))
    print("trains", flush=True)
    time.sleep(600)
"""


def statuses(workplace: Path) -> list[str]:
    with sqlite3.connect(workplace / "mlflow.db") as store:
        return [status for (status,) in store.execute("select status from runs")]


@pytest.mark.process
@pytest.mark.slow(seconds=15)
def test_a_killed_training_is_found_told_how_to_resume_and_closed(workplace: Path, checkout: Path) -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(checkout)], cwd=workplace, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    )  # fmt: skip
    assert training.stdout is not None
    try:
        assert training.stdout.readline() == "trains\n"
        assert "runs/concrete/day is being trained" in command("--fix", code=0)
        until = time.monotonic() + 60
        while statuses(workplace) != ["RUNNING", "RUNNING"]:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        training.send_signal(signal.SIGKILL)
        training.communicate()
    before = tree(workplace / "runs")
    output = command(code=2)
    assert tree(workplace / "runs") == before
    assert "dxai train --resume runs/concrete/day" in output
    assert "0 fits whole, 1 in part" in output
    assert "2 runs or fits of ended processes are not closed" in output
    assert "MLflow takes 2 runs or fits" in output
    assert set(statuses(workplace)) == {"RUNNING"}
    output = command("--fix", code=2)
    assert "closed 2 runs in MLflow" in output
    assert "removed runs/concrete/day/.train." in output
    assert set(statuses(workplace)) == {"KILLED"}
    assert (workplace / "runs/concrete/day/train.unfinished/final.ckpt").exists()
    assert "1 problem" in command(code=2)  # what is kept waits for a person
    shutil.rmtree(workplace / "runs/concrete/day/train.unfinished")
    command(code=0)


@pytest.mark.slow(seconds=6)
def test_runs_left_open_without_a_journal_are_closed_and_strangers_are_not(workplace: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.create_experiment("concrete")
    client.create_run(experiment, tags={"dxai_key": "gone"}, run_name="ours")
    client.create_run(experiment, run_name="a notebook's")
    assert "1 run or fit for running whose process is gone, such as ours" in command(code=2)
    assert "closed 1 run in MLflow" in command("--fix", code=0)
    assert sorted(statuses(workplace)) == ["KILLED", "RUNNING"]


def test_what_waits_for_another_address_is_a_note(workplace: Path) -> None:
    folder = workplace / "runs" / ".tracking"
    folder.mkdir(parents=True)
    (folder / "1-000000000000-0a0a0a0a.jsonl").write_text('{"op": "metrics", "run": ["a", "b", "c"]}\n', "utf-8")
    (folder / "refused.jsonl").write_text("{}\n{}\n", "utf-8")
    output = command("--fix", code=0)
    assert "1 event waits for another address" in output
    assert "MLflow has refused 2 events" in output
    assert len(list(folder.iterdir())) == 2


def test_no_unfinished_run_is_in_order(workplace: Path) -> None:
    assert "None is unfinished" in told(dead_runs(workplace), "ok")


@pytest.mark.process
def test_it_imports_no_training_package(tmp_path: Path) -> None:
    assert not modules_after(
        tmp_path, ("torch", "hydra", "omegaconf", "lightning", "mlflow", "onnx", "pandas"), "doctor"
    )
