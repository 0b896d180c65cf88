"""The command line's promise: real `dxai` processes do what they print, and every mistake is one short message.

Covers help without heavy imports, train to release to predict end to end, sweeps, the exit code, place and fix of
each mistake with nothing left behind, a clean stop by signal, and completion in a real shell.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

BIN = Path(sys.executable).parent
DXAI = str(BIN / "dxai")
LINEAR = "experiment=concrete_linear"
TINY = (LINEAR, "trainer.max_epochs=1", "split.folds=2", "evaluate.permutations=1")
GROUPS = ("data", "evaluate", "experiment", "model", "release", "split", "trainer")
TRAINING_STACK = ("torch", "lightning", "hydra", "omegaconf", "mlflow", "onnx", "pandas", "sklearn", "matplotlib")


def dxai(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in ``folder``."""
    return subprocess.run(
        [DXAI, *words], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def succeeds(folder: Path, *words: str) -> str:
    done = dxai(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, *words: str, code: int, told: tuple[str, ...]) -> str:
    """The message of a command that must end with ``code``, say all of ``told`` and change nothing in ``folder``."""
    before = files_below(folder)
    done = dxai(folder, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("dxai: ") == 1, done.stderr
    for text in ("  where: ", "  fix:   ", *told):
        assert text in done.stderr
    assert not done.stdout
    assert files_below(folder) == before
    return done.stderr


def files_below(folder: Path) -> set[str]:
    """Every file and folder that a run or a prediction could leave; the linked data and MLflow's log are not."""
    kept = {"data", "mlflow.db", "mlflow.db-wal", "mlflow.db-shm"}
    return {
        found.relative_to(folder).as_posix()
        for found in folder.rglob("*")
        if found.relative_to(folder).parts[0] not in kept
    }


def new_checkout(source: Path, target: Path) -> Path:
    """A folder that `dxai` takes for a checkout, with the real tables and without runs."""
    shutil.copytree(source / "configs", target / "configs")
    shutil.copy(source / "dvc.yaml", target / "dvc.yaml")
    (target / "data").symlink_to(source / "data")
    return target


def printed(output: str, label: str) -> str:
    """What stands behind ``label:`` in a command's output."""
    found = re.search(rf"^  {label}: +(.+)$", output, re.MULTILINE)
    assert found, output
    return found[1]


def modules_after(folder: Path, names: tuple[str, ...], *words: str) -> list[str]:
    """Which of ``names`` are imported once `dxai WORDS` has run."""
    program = (
        "import sys, dxai.cli\n"
        f"sys.argv = ['dxai', *{list(words)!r}]\n"
        "try:\n    dxai.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('imported:', *[name for name in {names!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("imported:").split()


def tracked_runs(folder: Path) -> list[str]:
    """How each run in the checkout's MLflow store ended, oldest first."""
    with sqlite3.connect(folder / "mlflow.db") as store:
        return [str(status) for (status,) in store.execute("select status from runs order by start_time")]


@pytest.fixture(scope="module")
def sandbox(checkout: Path, concrete_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout for commands that are refused, so that no run lies in it."""
    return new_checkout(checkout, tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def trained(checkout: Path, concrete_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A checkout with one small run, and what its training printed."""
    folder = new_checkout(checkout, tmp_path_factory.mktemp("trained"))
    return folder, succeeds(folder, "train", *TINY)


@pytest.fixture(scope="module")
def released(trained: tuple[Path, str]) -> tuple[Path, Path, str]:
    """The checkout, the bundle that the printed release command made, and what that command printed."""
    folder, output = trained
    command = printed(output, "next").split()
    assert command[:2] == ["dxai", "release"]
    assert command[-2:] == ["--to", "models/concrete-strength"]
    told = succeeds(folder, *command[1:])
    return folder, folder / command[-1], told


def test_help_lists_every_verb(tmp_path: Path) -> None:
    output = succeeds(tmp_path, "--help")
    for verb in ("train", "evaluate", "release", "predict", "inspect", "completion"):
        assert re.search(rf"^  {verb} ", output, re.MULTILINE)
    assert succeeds(tmp_path, "-h") == output


@pytest.mark.parametrize(
    ("verb", "named"),
    [
        ("evaluate", ("RUN", "--help")),
        ("release", ("RUN", "--to", "required")),
        ("predict", ("BUNDLE", "ROWS", "--output", "--keep-extra", "--threads")),
        ("inspect", ("BUNDLE",)),
        ("completion", ("bash", "zsh", "fish")),
    ],
)
def test_help_of_a_verb_names_its_arguments_and_options(verb: str, named: tuple[str, ...], tmp_path: Path) -> None:
    output = succeeds(tmp_path, verb, "--help")
    assert f"Usage: dxai {verb}" in output
    for word in named:
        assert word in output


def test_version_is_the_installed_one(tmp_path: Path) -> None:
    from dxai import __version__

    assert succeeds(tmp_path, "--version").split() == ["dxai,", "version", __version__]


@pytest.mark.parametrize("words", [("trane",), ("predict",), ("inspect", ".", "--nope")])
def test_wrong_usage_exits_2_and_points_to_the_help(words: tuple[str, ...], tmp_path: Path) -> None:
    done = dxai(tmp_path, *words)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = (*TRAINING_STACK, "onnxruntime", "polars", "pydantic", "numpy", "rich")
    assert modules_after(tmp_path, heavy, "--help") == []
    assert modules_after(tmp_path, heavy, "predict", "--help") == []


def test_train_help_shows_groups_choices_and_settings(sandbox: Path) -> None:
    output = succeeds(sandbox, "train", "--help")
    for group in GROUPS:
        choices = sorted(path.stem for path in (sandbox / "configs" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(choices)}" in output
    for file in ("trainer/quality", "split/grouped", "release/concrete"):
        settings = yaml.safe_load((sandbox / "configs" / f"{file}.yaml").read_text("utf-8"))
        for key in settings:
            assert f"  {key}: " in output
    assert "\nseed: 0" in output
    assert "dxai train experiment=concrete_tabm" in output


def test_train_help_shows_no_group_that_train_refuses(sandbox: Path) -> None:
    shown = succeeds(sandbox, "train", "--help").split("== Groups")[1].split("== Settings")[0]
    assert set(re.findall(r"^(\w+): ", shown, re.MULTILINE)) == set(GROUPS)


def test_cfg_job_prints_the_settings_and_trains_nothing(sandbox: Path) -> None:
    before = files_below(sandbox)
    settings = yaml.safe_load(succeeds(sandbox, "train", "experiment=retail_nhits", "model.width=32", "--cfg", "job"))
    assert settings["data"]["name"] == "retail"
    assert settings["model"]["kind"] == "nhits"
    assert settings["model"]["width"] == 32
    assert settings["trainer"]["batch_size"] == 512
    assert files_below(sandbox) == before


def test_train_prints_verdict_report_and_next_command(trained: tuple[Path, str]) -> None:
    folder, output = trained
    verdict, *rest = output.splitlines()
    assert re.match(r"The model .*yardstick.*RMSE [\d.]+ MPa against [\d.]+ MPa", verdict)
    assert len(rest) == 2
    report = folder / printed(output, "report")
    assert verdict.split(":")[0] in report.read_text("utf-8")
    assert (report.parents[1] / "train/run.json").is_file()
    assert tracked_runs(folder)[0] == "FINISHED"


def test_printed_commands_lead_from_run_to_prediction(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder, bundle, told = released
    assert "Released concrete-strength 1.0.0" in told
    assert printed(told, "try") == "dxai inspect models/concrete-strength"
    shown = succeeds(folder, *printed(told, "try").split()[1:])
    for text in ("concrete-strength 1.0.0", "MPa", "cement", "files are as released"):
        assert text in shown
    said = succeeds(folder, "predict", str(bundle), str(bundle / "golden/rows.csv"), "-o", str(tmp_path / "out.csv"))
    assert said.startswith("32 rows written to ")
    assert (tmp_path / "out.csv").read_bytes() == (bundle / "golden/outputs.csv").read_bytes()


def test_predict_and_inspect_import_no_training_package(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder, bundle, _ = released
    rows = str(bundle / "golden/rows.csv")
    assert modules_after(folder, TRAINING_STACK, "inspect", str(bundle)) == []
    assert modules_after(folder, TRAINING_STACK, "predict", str(bundle), rows, "-o", str(tmp_path / "o.csv")) == []
    assert (tmp_path / "o.csv").is_file()


def test_evaluate_again_gives_the_same_scores(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder, output = trained
    run = (folder / printed(output, "report")).parents[1]
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(copy / "evaluate")
    assert succeeds(folder, "evaluate", str(copy)).splitlines()[0] == output.splitlines()[0]
    for name in ("metrics.json", "summary.json"):
        assert (copy / "evaluate" / name).read_bytes() == (run / "evaluate" / name).read_bytes()


def test_sweep_makes_one_finished_run_per_value(checkout: Path, concrete_table: pl.DataFrame, tmp_path: Path) -> None:
    folder = new_checkout(checkout, tmp_path)
    output = succeeds(folder, "train", "-m", *TINY, "seed=0,1")
    assert output.count("  report: ") == output.count("  next: ") == 2
    runs = sorted((folder / "runs").rglob("settings.yaml"))
    assert [yaml.safe_load(path.read_text("utf-8"))["seed"] for path in runs] == [0, 1]
    assert len(list((folder / "runs").rglob("report.html"))) == 2
    assert [path.name for path in folder.rglob("mlflow.db")] == ["mlflow.db"]
    assert tracked_runs(folder) == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("experiment=concrete_tabn",), ("experiment=concrete_tabn", "did you mean 'concrete_tabm'", "retail_nhits")),
        (
            (LINEAR, "model=tabn", "sed=1", "trainer.max_epoch=2"),
            ("3 problems", "'tabm'", "'seed'", "'trainer.max_epochs'", "configs/trainer/quality.yaml"),
        ),
        ((LINEAR, "trainer.max_epochs=many"), ("trainer.max_epochs=many", "Allowed: a whole number")),
        ((LINEAR, "trainer.learning_rate=-1"), ("trainer.learning_rate=-1", "greater than 0")),
        ((LINEAR, "model=nhits"), ("model=nhits", "data=concrete", "model=linear, mlp or tabm")),
        ((LINEAR, "seed=0,1"), ("seed=0,1", "-m")),
    ],
    ids=[
        "unknown experiment",
        "typos",
        "type",
        "range",
        "model of the other task",
        "sweep without -m",
    ],
)
def test_wrong_setting_is_told_before_training(
    overrides: tuple[str, ...], told: tuple[str, ...], sandbox: Path
) -> None:
    message = refused(sandbox, "train", *overrides, code=2, told=told)
    assert "fit 1" not in message


def test_leaking_split_tells_the_share_of_leaking_rows(sandbox: Path) -> None:
    told = ("leaks", "cement", "where: split=random", "fix:   Use split=grouped.")
    message = refused(sandbox, "train", LINEAR, "split=random", code=2, told=told)
    found = re.search(r"(\d+) ?% of the test rows", message)
    assert found, message
    assert 50 < int(found[1]) < 100


@pytest.mark.parametrize("words", [("train", LINEAR), ("train", "--help")])
def test_train_outside_a_checkout(words: tuple[str, ...], tmp_path: Path) -> None:
    refused(tmp_path, *words, code=3, told=("not inside a dxai checkout", str(tmp_path), "git clone"))


def test_release_of_a_run_without_evaluation(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder, output = trained
    run = (folder / printed(output, "report")).parents[1]
    shutil.copytree(run / "train", tmp_path / "run/train")
    told = ("has no evaluation", str(tmp_path / "run/evaluate"))
    message = refused(folder, "release", str(tmp_path / "run"), "--to", str(tmp_path / "out"), code=3, told=told)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    fix = re.search(r"fix:   dxai evaluate (.+)", message)
    assert fix, message
    assert Path(fix[1]) == tmp_path / "run", "the command of the fix must work when it is pasted"


def test_evaluate_of_a_folder_that_is_no_run(sandbox: Path) -> None:
    refused(sandbox, "evaluate", "configs", code=3, told=("not the folder of a finished run", "configs", "run.json"))


@pytest.mark.parametrize("verb", ["inspect", "predict"])
def test_missing_bundle(verb: str, tmp_path: Path) -> None:
    words = ("rows.csv", "-o", "out.csv") if verb == "predict" else ()
    refused(tmp_path, verb, "models/none", *words, code=3, told=("no bundle here", "manifest.json", "models/none"))


def test_missing_rows_file(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    words = ("predict", str(released[1]), "rows.csv", "-o", "out.csv")
    refused(tmp_path, *words, code=3, told=("no file 'rows.csv'", "Check the path"))


def test_missing_output_folder_is_told_as_a_mistake(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    rows = str(released[1] / "golden/rows.csv")
    refused(tmp_path, "predict", str(released[1]), rows, "-o", "nowhere/out.csv", code=3, told=("nowhere",))


@pytest.mark.parametrize("verb", ["inspect", "predict"])
def test_changed_byte_stops_every_use_of_a_bundle(verb: str, released: tuple[Path, Path, str], tmp_path: Path) -> None:
    bundle = shutil.copytree(released[1], tmp_path / "bundle")
    graph = bytearray((bundle / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(graph)
    words = (str(bundle / "golden/rows.csv"), "-o", "out.csv") if verb == "predict" else ()
    told = ("model.onnx is not the file that was released", "bundle", "Do not use it")
    refused(tmp_path, verb, "bundle", *words, code=4, told=told)


def test_rows_that_break_the_contract_are_told_together(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    rows = pl.read_csv(released[1] / "golden/rows.csv", infer_schema=False)
    rows = rows.with_row_index().with_columns(
        water=pl.when(pl.col("index") == 2).then(pl.lit("9999")).otherwise("water"),
        age=pl.when(pl.col("index") == 4).then(pl.lit("a week")).otherwise("age"),
        cement=pl.when(pl.col("index") == 5).then(pl.lit("")).otherwise("cement"),
    )
    rows.drop("index").write_csv(tmp_path / "rows.csv")
    told = ("3 problems", "rows.csv", "'water'", "400 kg/m3", "row 4: '9999'", "'age'", "row 6: 'a week'", "'cement'")
    refused(tmp_path, "predict", str(released[1]), "rows.csv", "-o", "out.csv", code=6, told=told)


def test_misspelt_and_own_columns_are_told(released: tuple[Path, Path, str], tmp_path: Path) -> None:
    rows = pl.read_csv(released[1] / "golden/rows.csv", infer_schema=False)
    rows.rename({"water": "Watr"}).with_columns(batch=pl.lit("A")).write_csv(tmp_path / "rows.csv")
    told = ("'Watr'", "did you mean 'water'", "'batch'", "--keep-extra", "line 1")
    refused(tmp_path, "predict", str(released[1]), "rows.csv", "-o", "out.csv", code=6, told=told)


def test_diverged_training_leaves_no_run(sandbox: Path) -> None:
    rates = ("trainer.learning_rate=1e30", "trainer.gradient_clip=1e30")
    told = ("training has diverged", "Lower trainer.learning_rate", "1e+30")
    refused(sandbox, "train", *TINY, *rates, code=7, told=told)
    assert tracked_runs(sandbox)[-1] == "FAILED"


def test_defect_in_training_is_told_without_a_traceback(
    checkout: Path, concrete_table: pl.DataFrame, tmp_path: Path
) -> None:
    folder = new_checkout(checkout, tmp_path)
    (folder / "mlflow.db").write_text("this is no database\n" * 100, "utf-8")
    done = dxai(folder, "train", *TINY)
    assert done.returncode in (1, 4)
    assert "dxai: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_training_leaves_nothing_half_written(
    stop: signal.Signals, sandbox: Path, tmp_path: Path
) -> None:
    before, log = files_below(sandbox), tmp_path / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [DXAI, "train", LINEAR, "trainer.max_epochs=1000000"],
            cwd=sandbox, stdout=subprocess.PIPE, stderr=stderr, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in the background
        )  # fmt: skip
        try:
            while "fit 1 of" not in log.read_text("utf-8"):
                assert process.poll() is None, log.read_text("utf-8")
                time.sleep(0.05)
            process.send_signal(stop)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    told = log.read_text("utf-8")
    assert process.returncode == 75, told
    assert not output
    assert told.count("dxai: ") == 1
    assert "nterrupted" in told
    assert "Give the command again" in told
    assert "Traceback" not in told
    assert not list(sandbox.rglob("run.json"))
    assert tracked_runs(sandbox)[-1] == "KILLED"
    assert files_below(sandbox) == before


def completions(folder: Path, line: str) -> set[str]:
    """What bash's completion protocol offers for the last word of ``line``."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = dxai(folder, _DXAI_COMPLETE="bash_complete", **words)
    assert done.returncode == 0, done.stderr
    return {offer.removeprefix("plain,") for offer in done.stdout.splitlines() if offer}


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("dxai tr", {"train"}),
        ("dxai train experiment=conc", {f"experiment=concrete_{name}" for name in ("linear", "mlp", "tabm")}),
        ("dxai train split=r", {"split=random", "split=rolling"}),
        ("dxai train model.", {"model.k=", "model.width=", "model.dropout="}),
        ("dxai train trainer.max", {"trainer.max_epochs="}),
        ("dxai train ", {"experiment=", "model=", "trainer.", "seed="}),
    ],
)
def test_completion_offers_verbs_groups_choices_and_keys(line: str, offers: set[str], sandbox: Path) -> None:
    assert offers <= completions(sandbox, line)


def test_completion_offers_only_what_was_begun(sandbox: Path) -> None:
    assert completions(sandbox, "dxai train experiment=concrete_t") == {"experiment=concrete_tabm"}


def test_completion_outside_a_checkout_is_silent(tmp_path: Path) -> None:
    assert completions(tmp_path, "dxai train experiment=conc") == set()


def test_completion_scripts_are_printed(tmp_path: Path) -> None:
    for shell, mark in (("bash", "COMP_WORDS"), ("zsh", "#compdef dxai"), ("fish", "function _dxai_completion")):
        assert mark in succeeds(tmp_path, "completion", shell)


def test_bash_completion_script_is_valid_bash(tmp_path: Path) -> None:
    script = succeeds(tmp_path, "completion", "bash")
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("dxai rel", "dxai release"),
        ("dxai train experiment=concrete_t", "experiment=concrete_tabm"),
        ("dxai train trainer.max_e", "trainer.max_epochs="),
    ],
    ids=["verb", "choice", "key"],
)
def test_tab_in_a_real_bash_completes(typed: str, completed: str, sandbox: Path) -> None:
    assert completed in screen_after_tab(sandbox, typed, completed)


def screen_after_tab(folder: Path, typed: str, expected: str) -> str:
    """Type into an interactive bash that has loaded the completion script, press tab, return what it shows."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb", "PS1": "READY> "}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    try:
        os.write(terminal, b'eval "$(dxai completion bash)"; echo LOAD""ED\n')
        read_until(terminal, "LOADED\r\nREADY> ", seconds=30)
        os.write(terminal, typed.encode() + b"\t")
        return read_until(terminal, expected, seconds=10)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal: int, mark: str, *, seconds: float) -> str:
    """What a terminal shows until ``mark`` stands there or the time is over."""
    shown, end = "", time.monotonic() + seconds
    while mark not in shown and (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown
