"""The command line's promise: real `dxai` processes do what they print, and every mistake is one short message.

Covers help without heavy imports, train to release to predict end to end, keys to catalog to firm end to end, sweeps,
the exit code, place and fix of each mistake with nothing left behind, a clean stop by signal, and completion in a real
shell.
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
from conftest import MakeBundle, assert_same_answers

pytestmark = pytest.mark.process

BIN = Path(sys.executable).parent
DXAI = str(BIN / "dxai")
LINEAR = "model=linear"
TINY = (LINEAR, "trainer.max_epochs=1", "split.folds=2", "evaluate.permutations=1")
GROUPS = ("data", "device", "evaluate", "experiment", "model", "release", "scaling", "split", "trainer")
TRAINING_STACK = ("torch", "lightning", "hydra", "omegaconf", "mlflow", "onnx", "pandas", "sklearn", "matplotlib")


def dxai(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in ``folder``."""
    return subprocess.run(
        [DXAI, *words], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def succeeds(folder: Path, *words: str, **environment: str) -> str:
    done = dxai(folder, *words, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, *words: str, code: int, told: tuple[str, ...], **environment: str) -> str:
    """The message of a command that must end with ``code``, say all of ``told`` and change nothing in ``folder``."""
    before = files_below(folder)
    done = dxai(folder, *words, **environment)
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
    kept = {"data", "mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow.db.lock"}
    return {
        found.relative_to(folder).as_posix()
        for found in folder.rglob("*")
        if found.relative_to(folder).parts[0] not in kept
    }


def new_checkout(source: Path, target: Path) -> Path:
    """A folder that `dxai` takes for a checkout, with the real tables and without runs."""
    for name in ("configs", "contracts"):
        shutil.copytree(source / name, target / name)
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
        "import sys\n"
        f"sys.argv = ['dxai', *{list(words)!r}]\n"
        "from dxai.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('imported:', *[name for name in {names!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("imported:").split()


def tracked_runs(folder: Path) -> list[str]:
    """How each run in the checkout's MLflow store ended, oldest first; their fits are not counted."""
    fits = "select run_uuid from tags where key = 'mlflow.parentRunId'"
    query = f"select status from runs where run_uuid not in ({fits}) order by start_time"
    with sqlite3.connect(folder / "mlflow.db") as store:
        return [str(status) for (status,) in store.execute(query)]


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
    member = ("search", "pull", "list", "remove", "verify", "inspect", "check", "predict", "serve", "forecast")
    training = ("train", "sweep", "evaluate", "leaderboard", "release")
    for verb in (*member, *training, "publish", "keys", "catalog", "completion"):
        assert re.search(rf"^  {verb} ", output, re.MULTILINE), verb
    assert succeeds(tmp_path, "-h") == output


@pytest.mark.parametrize(
    ("verb", "named"),
    [
        ("sweep", ("OVERRIDES", "--resume", "sweep=tabm")),
        ("evaluate", ("RUN", "--help")),
        ("leaderboard", ("TASK", "--runs", "--output", "--language", "--json")),
        ("release", ("RUN", "--to", "required")),
        ("predict", ("MODEL", "ROWS", "--output", "--on-bad-rows", "--threads", "--key", "--unsigned", "NAME@VERSION")),
        ("check", ("MODEL", "ROWS", "--report", "--key", "--unsigned")),
        ("serve", ("MODELS", "--host", "127.0.0.1", "--port")),
        ("forecast", ("FILE", "--output", "--series", "--time", "--value", "--horizon", "--frequency", "--aggregate")),
        ("inspect", ("BUNDLE", "--key", "--unsigned")),
        ("verify", ("BUNDLE", "--key", "--root")),
        ("search", ("WORD", "--from", "--root", "--offline")),
        ("pull", ("NAME", "--from", "--root", "--offline", "--accept-terms")),
        ("list", ("models",)),
        ("remove", ("NAME",)),
        ("publish", ("BUNDLE", "--catalog", "--keys")),
        ("keys init", ("FOLDER", "--root-keys", "--threshold", "--timestamp-days")),
        ("keys rotate", ("root", "timestamp", "bundle", "--catalog", "--revoke")),
        ("catalog refresh", ("--catalog", "--keys")),
        ("catalog site", ("--catalog", "--out", "--no-wasm")),
        ("completion", ("bash", "zsh", "fish")),
    ],
)
def test_help_of_a_verb_names_its_arguments_and_options(verb: str, named: tuple[str, ...], tmp_path: Path) -> None:
    output = succeeds(tmp_path, *verb.split(), "--help")
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
    member = (
        "onnxruntime",
        "polars",
        "pydantic",
        "numpy",
        "rich",
        "tuf",
        "cryptography",
        "yaml",
        "uvicorn",
        "starlette",
    )
    for words in (
        ("--help",),
        ("predict", "--help"),
        ("pull", "--help"),
        ("serve", "--help"),
        ("keys", "init", "--help"),
    ):
        assert modules_after(tmp_path, (*TRAINING_STACK, *member), *words) == []


def test_train_help_shows_groups_choices_and_settings(sandbox: Path) -> None:
    output = succeeds(sandbox, "train", "--help")
    for group in GROUPS:
        choices = sorted(path.stem for path in (sandbox / "configs" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(choices)}" in output
    for file in ("trainer/quality", "split/grouped", "release/default"):
        settings = yaml.safe_load((sandbox / "configs" / f"{file}.yaml").read_text("utf-8"))
        for key in settings:
            assert f"  {key}: " in output
    assert "\nseed: 0" in output
    assert "dxai train experiment=concrete" in output


def test_train_help_shows_no_group_that_train_refuses(sandbox: Path) -> None:
    shown = succeeds(sandbox, "train", "--help").split("== Groups")[1].split("== Settings")[0]
    assert set(re.findall(r"^(\w+): ", shown, re.MULTILINE)) == set(GROUPS)


def test_cfg_job_prints_the_settings_and_trains_nothing(sandbox: Path) -> None:
    before = files_below(sandbox)
    settings = yaml.safe_load(succeeds(sandbox, "train", "experiment=retail_nhits", "model.width=32", "--cfg", "job"))
    assert settings["data"]["name"] == "retail"
    assert settings["model"]["_target_"] == "dxai.networks.nhits.NHits"
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
    command = printed(told, "try").split()
    assert command[:3] == ["dxai", "inspect", "models/concrete-strength"]
    shown = succeeds(folder, *command[1:])
    for text in ("concrete-strength 1.0.0", "MPa", "cement", "files are as released, not signed"):
        assert text in shown
    rows, target = str(bundle / "golden/rows.csv"), str(tmp_path / "out.csv")
    said = succeeds(folder, "predict", str(bundle), rows, "-o", target, "--unsigned")
    assert said.startswith("32 rows written to ")
    assert_same_answers((tmp_path / "out.csv").read_bytes(), (bundle / "golden/outputs.csv").read_bytes())


def test_firm_s_verbs_import_no_training_package(tiny: Path, firm: Path, tmp_path: Path) -> None:
    rows, sales = str(tiny / "golden/rows.csv"), tmp_path / "sales.csv"
    sales.write_text("month,sales\n" + "".join(f"2024-{month:02d},{month}\n" for month in range(1, 13)), "utf-8")
    for words in (
        ("inspect", str(tiny), "--unsigned"), ("list",),
        ("search", "--from", str(firm / "catalog"), "--root", str(firm / "keys/root.json")),
        ("predict", str(tiny), rows, "-o", str(tmp_path / "o.csv"), "--unsigned"),
        ("check", str(tiny), rows, "--report", str(tmp_path / "r.html"), "--unsigned"),
        ("forecast", str(sales), "-o", str(tmp_path / "f.csv"), "--report", str(tmp_path / "f.html")),
    ):  # fmt: skip
        assert modules_after(tmp_path, TRAINING_STACK, *words) == [], words
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
    assert tracked_runs(folder) == ["FINISHED"]  # the sweep's, above those of its jobs
    jobs = "select status from runs where run_uuid in (select run_uuid from tags where key = 'job')"
    with sqlite3.connect(folder / "mlflow.db") as store:
        assert store.execute(jobs).fetchall() == [("FINISHED",)] * 2


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("experiment=concrte",), ("experiment=concrte", "did you mean 'concrete'", "retail")),
        (
            (LINEAR, "model=tabn", "sed=1", "trainer.max_epoch=2"),
            ("3 problems", "'tabm'", "'seed'", "'trainer.max_epochs'", "configs/trainer/quality.yaml"),
        ),
        ((LINEAR, "trainer.max_epochs=many"), ("trainer.max_epochs=many", "Allowed: a whole number")),
        ((LINEAR, "trainer.learning_rate=-1"), ("trainer.learning_rate=-1", "greater than 0")),
        (("experiment=concrete", "model=nhits"), ("model=nhits", "data=concrete", "model=portfolio, lightgbm, tabm")),
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


@pytest.fixture(scope="module")
def tiny(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a hand-made graph that nobody signed."""
    return make_bundle(tmp_path_factory.mktemp("tiny") / "casting-hardness")


@pytest.fixture(scope="module")
def firm(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys and the catalog that the publisher's own commands made, and the firm's store."""
    folder = tmp_path_factory.mktemp("firm")
    told = succeeds(folder, "keys", "init", "keys")
    assert "keys/root.json" in told and "keys/bundle.pub" in told
    for task, name in (("quality", "casting-hardness"), ("demand", "spare-parts")):
        make_bundle(folder / "models" / name, task=task, name=name)
        told = succeeds(folder, "publish", f"models/{name}", "--catalog", "catalog", "--keys", "keys")
        assert f"Published {name} 1.0.0 in catalog" in told
    assert printed(told, "try") == "dxai pull spare-parts --from catalog --root keys/root.json"
    return folder


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A store of its own."""
    return {"DXAI_HOME": str(tmp_path / "home")}


@pytest.fixture(scope="module")
def stocked(firm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store that has both models."""
    home = {"DXAI_HOME": str(tmp_path_factory.mktemp("stocked"))}
    for name in ("casting-hardness", "spare-parts"):
        words = ("pull", name, "--from", "catalog", "--root", "keys/root.json", "--accept-terms")
        assert f"{name} 1.0.0 is verified and ready" in succeeds(firm, *words, **home)
    return home


def test_search_shows_models_in_both_languages(firm: Path, home: dict[str, str]) -> None:
    trust = ("--from", "catalog", "--root", "keys/root.json")
    shown = succeeds(firm, "search", *trust, **home, COLUMNS="160")
    for text in ("casting-hardness 1.0.0", "주물 경도", "Hardness of castings", "materials", "rmse 2.5", "CC-BY-4.0"):
        assert text in shown
    assert "spare-parts" in shown
    assert "spare-parts" not in succeeds(firm, "search", "경도", **home, COLUMNS="160"), "the catalog is remembered"
    refused(firm, "search", "zebra", code=3, told=("No model speaks of 'zebra'",), **home)


def test_first_pull_without_a_person_shows_the_terms_and_fetches_nothing(firm: Path, home: dict[str, str]) -> None:
    words = ("pull", "casting-hardness", "--from", "catalog", "--root", "keys/root.json")
    done = dxai(firm, *words, **home)
    assert done.returncode == 2
    for text in ("라이선스: CC-BY-4.0", "이용 조건: 회원사는", "Licence: CC-BY-4.0", "Any member firm may use it.",
                 "terms of the model were not accepted", "--accept-terms"):  # fmt: skip
        assert text in done.stderr
    assert not done.stdout
    assert not (Path(home["DXAI_HOME"]) / "models").exists()
    told = succeeds(firm, *words, "--accept-terms", **home)
    assert printed(told, "try") == "dxai inspect casting-hardness"
    succeeds(firm, "remove", "casting-hardness", **home)
    assert "Licence" not in dxai(firm, *words, **home).stderr, "asked once"


@pytest.mark.parametrize(("typed", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_person_is_asked_for_the_terms(firm: Path, home: dict[str, str], typed: str, code: int) -> None:
    environment = {**os.environ, **home, "TERM": "dumb"}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(firm)
        words = ["pull", "casting-hardness", "--from", "catalog", "--root", "keys/root.json"]
        os.execvpe(DXAI, [DXAI, *words], environment)
    try:
        shown = read_until(terminal, "[y/N]", seconds=60)
        assert "이용 조건" in shown and "Accept these terms? 동의하십니까?" in shown
        os.write(terminal, typed.encode() + b"\n")
        read_until(terminal, "verified and ready" if code == 0 else "fix:", seconds=60)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == code
    assert (Path(home["DXAI_HOME"]) / "models/casting-hardness/1.0.0/model.onnx").is_file() == (code == 0)


def test_pulled_models_are_listed_verified_inspected_and_removed(firm: Path, home: dict[str, str]) -> None:
    assert "No models yet" in succeeds(firm, "list", **home)
    trust = ("--from", "catalog", "--root", "keys/root.json", "--accept-terms")
    succeeds(firm, "pull", "casting-hardness@1.0.0", *trust, **home)
    assert re.search(r"casting-hardness +1\.0\.0 +0\.0 ", succeeds(firm, "list", **home))
    assert "files are as released, signed by" in succeeds(firm, "verify", "casting-hardness", **home)
    shown = succeeds(firm, "inspect", "casting-hardness", **home, COLUMNS="160")
    for text in ("casting-hardness 1.0.0", "주물 경도", "pressure", "MPa", "0 … 200", "signed", "Any member firm"):
        assert text in shown
    assert "casting-hardness 1.0.0 is removed" in succeeds(firm, "remove", "casting-hardness@1.0.0", **home)
    told = ("'casting-hardness' is not on this machine", "dxai pull casting-hardness")
    refused(firm, "inspect", "casting-hardness", code=3, told=told, **home)
    refused(firm, "remove", "casting-hardness", code=3, told=told, **home)


def test_model_or_catalog_that_is_not_there_is_told(firm: Path, home: dict[str, str], tmp_path: Path) -> None:
    trust = ("--from", "catalog", "--root", "keys/root.json")
    refused(firm, "pull", "casting-hardnes", *trust, code=3, told=("Did you mean 'casting-hardness'?",), **home)
    refused(firm, "pull", "casting-hardness@7.0.0", *trust, code=3, told=("Versions: 1.0.0.",), **home)
    refused(
        tmp_path,
        "pull",
        "a",
        "--from",
        ".",
        "--root",
        str(firm / "keys/root.json"),
        code=3,
        told=("no catalog",),
        **home,
    )
    refused(firm, "pull", "a", "--from", "catalog", "--root", "none.json", code=3, told=("no such trust root",), **home)
    done = dxai(tmp_path, "search", DXAI_HOME=str(tmp_path / "fresh"))
    assert (done.returncode, "No catalog is known here yet" in done.stderr) == (2, True)
    done = dxai(firm, "pull", "../up", *trust, **home)
    assert (done.returncode, "no name of a model" in done.stderr) == (2, True)


def test_catalog_of_another_owner_is_not_believed(firm: Path, home: dict[str, str], tmp_path: Path) -> None:
    succeeds(tmp_path, "keys", "init", "other", "--root-keys", "3", "--threshold", "2")
    trust = ("--from", "catalog", "--root", str(tmp_path / "other/root.json"))
    refused(firm, "search", *trust, code=5, told=("not signed by the keys trusted here",), **home)
    refused(
        firm, "search", "--from", "catalog", code=5, told=("no trust root", "--root"), DXAI_HOME=str(tmp_path / "h")
    )


def test_verify_needs_no_catalog_and_tells_what_is_wrong(
    firm: Path, stocked: dict[str, str], home: dict[str, str], tiny: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(Path(stocked["DXAI_HOME"]) / "models/casting-hardness/1.0.0", tmp_path / "bundle")
    for trust in (("--key", str(firm / "keys/bundle.pub")), ("--root", str(firm / "keys/root.json"))):
        told = succeeds(tmp_path, "verify", "./bundle", *trust, **home)
        assert told.startswith("casting-hardness 1.0.0: all 13 files are as released, signed by ")
    refused(tmp_path, "verify", "./bundle", code=5, told=("not trusted here", "--key, --root"), **home)
    refused(tmp_path, "verify", str(tiny), code=4, told=("not signed",), **home)
    refused(tmp_path, "verify", "./bundle", "--key", "none.pub", code=3, told=("no such key file",), **home)
    refused(tmp_path, "verify", "./bundle", "--root", "none.json", code=3, told=("no such trust root",), **home)
    (bundle / "card.md").write_text("changed", "utf-8")
    refused(tmp_path, "verify", "./bundle", code=4, told=("card.md is not the file that was released",), **home)


def test_offline_asks_nobody(firm: Path, stocked: dict[str, str], tiny: Path, tmp_path: Path) -> None:
    """Every verb of a firm that has its models; the catalog was read from a web server before."""
    program = (
        "import sys\n"
        "asks = ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto', 'socket.sendmsg')\n"
        "sys.addaudithook(lambda event, _: event in asks and sys.exit(f'asked the network: {event}'))\n"
        "from dxai.cli.main import main\nmain()\n"
    )
    home = tmp_path / "home"
    shutil.copytree(stocked["DXAI_HOME"], home)
    rows = str(tiny / "golden/rows.csv")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(firm / "catalog")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        place = re.search(r"\((http://[^/]+)/\)", server.stdout.readline())
        assert place
        web = ("--from", place[1])
        succeeds(firm, "search", *web, "--root", "keys/root.json", DXAI_HOME=str(home))
        server.kill()
    for words in (
        ("search", *web, "--offline"), ("pull", "casting-hardness", *web, "--offline"), ("list",),
        ("search", "--from", str(firm / "catalog"), "--offline"), ("verify", "casting-hardness"),
        ("pull", "casting-hardness", "--from", str(firm / "catalog"), "--offline"), ("inspect", "casting-hardness"),
        ("predict", "casting-hardness", rows, "-o", "out.csv"), ("check", "casting-hardness", rows),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program, *words], cwd=tmp_path, env=os.environ | {"DXAI_HOME": str(home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
    done = dxai(tmp_path, "pull", "casting-hardness@9.0.0", *web, "--offline", DXAI_HOME=str(home))
    assert done.returncode == 3


def test_libraries_for_keys_elsewhere_are_never_imported(firm: Path, stocked: dict[str, str], tmp_path: Path) -> None:
    """Such as boto3, of the extra s3, which securesystemslib would import: here each of them ends the process."""
    for library in ("azure", "boto3", "google/cloud", "hvac", "keylet", "pkcs11"):
        (tmp_path / "there" / library).mkdir(parents=True)
        (tmp_path / "there" / library / "__init__.py").write_text(f"raise SystemExit('imported {library}')", "utf-8")
    path = os.pathsep.join([str(tmp_path / "there"), *filter(None, [os.environ.get("PYTHONPATH")])])
    there = {**stocked, "PYTHONPATH": path}
    catalog = ("--from", str(firm / "catalog"))
    keys = ("keys", "init", "keys", "--root-keys", "1", "--threshold", "1")
    for words in (("search", *catalog), ("verify", "casting-hardness"), ("pull", "casting-hardness", *catalog), keys):
        succeeds(tmp_path, *words, **there)
    done = subprocess.run(
        [sys.executable, "-c", "import dxai.catalog, boto3"], env=os.environ | there, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == "imported boto3\n"  # others find it as before


@pytest.mark.parametrize("name", ["casting-hardness", "casting-hardness@1.0.0"])
def test_pulled_model_predicts_by_its_name(name: str, stocked: dict[str, str], tiny: Path, tmp_path: Path) -> None:
    told = succeeds(tmp_path, "predict", name, str(tiny / "golden/rows.csv"), "-o", "out.csv", **stocked)
    assert told == "8 rows written to out.csv\n"
    assert (tmp_path / "out.csv").read_bytes() == (tiny / "golden/outputs.csv").read_bytes()


def test_rows_come_from_standard_input_and_go_to_standard_output(
    stocked: dict[str, str], tiny: Path, tmp_path: Path
) -> None:
    for rows in (
        (tiny / "golden/rows.csv").read_bytes(),
        (tiny / "golden/rows.csv").read_text("utf-8").encode("cp949"),
    ):
        done = subprocess.run(
            [DXAI, "predict", "casting-hardness", "-", "-o", "-"], cwd=tmp_path, env=os.environ | stocked, input=rows,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == (tiny / "golden/outputs.csv").read_bytes()
        assert done.stderr == b"8 rows written to standard output\n"
    assert not list(tmp_path.iterdir())


def test_mistakes_of_standard_input_are_told_as_such(stocked: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [DXAI, "predict", "casting-hardness", "-", "-o", "out.csv"], cwd=tmp_path, env=os.environ | stocked,
        input=b"pressure,melt,plant\n900,1,a\n", capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert b"where: standard input" in done.stderr
    assert b"/tmp" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_reader_that_has_seen_enough_is_no_defect(stocked: dict[str, str], tmp_path: Path) -> None:
    """`dxai predict … -o - | head`."""
    (tmp_path / "rows.csv").write_text("pressure,melt,plant\n" + "60,700,a\n" * 200_000, "utf-8")
    with subprocess.Popen(
        [DXAI, "predict", "casting-hardness", "rows.csv", "-o", "-"], cwd=tmp_path, env=os.environ | stocked,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"pressure")
        process.stdout.close()
        told = process.stderr.read().decode()
    assert "defect" not in told
    assert "Traceback" not in told


def test_own_columns_and_titles_go_through(stocked: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("시험번호,금형 압력 (MPa),Melt temperature,공장\n007,60,700,창원\n", "cp949")
    succeeds(tmp_path, "predict", "casting-hardness", "rows.csv", "-o", "out.csv", **stocked)
    assert (tmp_path / "out.csv").read_text("utf-8").splitlines() == [
        "시험번호,금형 압력 (MPa),Melt temperature,공장,hardness_predicted,hardness_lower,hardness_upper",
        "007,60,700,창원,98.0,93.0,103.0",
    ]


def test_what_happened_to_the_rows_is_told(stocked: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "pressure,melt,plant\n60,,창원\n900,700,창원\n0,700,창원\n60,700,창원\n", "utf-8"
    )
    words = ("predict", "casting-hardness", "rows.csv", "-o", "out.csv", "--on-bad-rows")
    told = succeeds(tmp_path, *words, "skip", **stocked)
    assert told.startswith("3 rows written to out.csv\n")
    for text in ("1 row with gaps", "1 row outside the range", "1 row left out", "at most 200 MPa"):
        assert text in told
    told = succeeds(tmp_path, *words, "flag", **stocked)
    assert told.startswith("4 rows written to out.csv\n")
    assert "1 row kept without a prediction" in told
    assert len(pl.read_csv(tmp_path / "out.csv").drop_nulls("dxai_problem")) == 1


def test_demand_history_is_forecast(stocked: dict[str, str], firm: Path, tmp_path: Path) -> None:
    rows = str(firm / "models/spare-parts/golden/rows.csv")
    told = succeeds(tmp_path, "predict", "spare-parts", rows, "-o", "out.parquet", **stocked)
    assert told.startswith("18 rows written to out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["part"].n_unique() == 6


@pytest.mark.parametrize("verb", ["inspect", "predict"])
def test_missing_bundle(verb: str, tmp_path: Path) -> None:
    words = ("rows.csv", "-o", "out.csv") if verb == "predict" else ()
    refused(tmp_path, verb, "models/none", *words, code=3, told=("no bundle here", "manifest.json", "models/none"))


@pytest.mark.parametrize("verb", ["inspect", "predict", "check", "verify"])
def test_bundle_that_nobody_signed_needs_that_word(verb: str, tiny: Path, tmp_path: Path) -> None:
    rows = {"predict": ("rows.csv", "-o", "out.csv"), "check": ("rows.csv",)}.get(verb, ())
    refused(tmp_path, verb, str(tiny), *rows, code=4, told=("not signed", "--unsigned"))


def test_missing_rows_file(tiny: Path, tmp_path: Path) -> None:
    words = ("predict", str(tiny), "rows.csv", "-o", "out.csv", "--unsigned")
    refused(tmp_path, *words, code=3, told=("no file 'rows.csv'", "Check the path"))


def test_missing_output_folder_is_told_as_a_mistake(tiny: Path, tmp_path: Path) -> None:
    words = ("predict", str(tiny), str(tiny / "golden/rows.csv"), "-o", "nowhere/out.csv", "--unsigned")
    refused(tmp_path, *words, code=3, told=("nowhere", "mkdir -p nowhere"))


def test_output_of_an_unknown_kind_is_told_before_the_model_is_tried(tiny: Path, tmp_path: Path) -> None:
    words = ("predict", str(tiny), str(tiny / "golden/rows.csv"), "-o", "out.xlsx", "--unsigned")
    refused(tmp_path, *words, code=2, told=("does not write .xlsx",))


@pytest.mark.parametrize("verb", ["inspect", "predict"])
def test_changed_byte_stops_every_use_of_a_bundle(verb: str, tiny: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(tiny, tmp_path / "bundle")
    graph = bytearray((bundle / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(graph)
    words = (str(bundle / "golden/rows.csv"), "-o", "out.csv") if verb == "predict" else ()
    told = ("model.onnx is not the file that was released", "bundle", "Do not use it")
    refused(tmp_path, verb, "./bundle", *words, "--unsigned", code=4, told=told)


def test_rows_that_break_the_contract_are_told_together(tiny: Path, tmp_path: Path) -> None:
    rows = ["pressure,melt,plant", "60,700,창원", "9999,700,창원", "60,a week,창원", ",700,창원"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n", "utf-8")
    told = (
        "3 problems",
        "rows.csv",
        "'pressure'",
        "200 MPa",
        "row 3: '9999'",
        "'melt'",
        "row 4: 'a week'",
        "row 5: ''",
    )
    refused(tmp_path, "predict", str(tiny), "rows.csv", "-o", "out.csv", "--unsigned", code=6, told=told)


def test_misspelt_column_is_told(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("presure,melt,plant,batch\n60,700,창원,A\n", "utf-8")
    told = ("'pressure' (Die pressure, 금형 압력) is missing", "Is it 'presure'?", "line 1")
    message = refused(tmp_path, "predict", str(tiny), "rows.csv", "-o", "out.csv", "--unsigned", code=6, told=told)
    assert "batch" not in message


def test_published_version_never_changes(firm: Path, make_bundle: MakeBundle, tmp_path: Path) -> None:
    for name in ("keys", "catalog"):
        shutil.copytree(firm / name, tmp_path / name)
    make_bundle(tmp_path / "again", card="# Other\n")
    told = ("1.0.0 is published already, with other content", "raise `version`")
    refused(tmp_path, "publish", "again", "--catalog", "catalog", "--keys", "keys", code=2, told=told)


def test_keys_are_rotated_and_metadata_refreshed(firm: Path, home: dict[str, str], tmp_path: Path) -> None:
    for name in ("keys", "catalog"):
        shutil.copytree(firm / name, tmp_path / name)
    succeeds(tmp_path, "search", "--from", "catalog", "--root", "keys/root.json", **home)
    told = succeeds(tmp_path, "keys", "rotate", "timestamp", "--catalog", "catalog", "--keys", "keys")
    assert "The timestamp keys are new" in told and "keys/retired" in told
    told = succeeds(tmp_path, "catalog", "refresh", "--catalog", "catalog", DXAI_KEYS="keys")
    assert re.findall(r"^(\w+) +expires \d{4}-\d\d-\d\d$", told, re.MULTILINE) == [
        "root",
        "targets",
        "snapshot",
        "timestamp",
    ]
    succeeds(tmp_path, "search", "--from", "catalog", **home)


def test_too_few_keys_exit_5(firm: Path, tmp_path: Path, tiny: Path) -> None:
    succeeds(tmp_path, "keys", "init", "keys", "--root-keys", "3", "--threshold", "2")
    succeeds(tmp_path, "publish", str(tiny), "--catalog", "catalog", "--keys", "keys")
    for path in sorted((tmp_path / "keys").glob("root-*.pem"))[:2]:
        path.unlink()
    told = ("2 root keys are needed, however 1 of them are here", "Bring the missing key files")
    refused(tmp_path, "keys", "rotate", "root", "--catalog", "catalog", "--keys", "keys", code=5, told=told)


def test_encrypted_keys_need_their_passphrase(tmp_path: Path, tiny: Path) -> None:
    phrase = {"DXAI_KEYS_PASSPHRASE": "비밀"}
    succeeds(tmp_path, "keys", "init", "keys", **phrase)
    words = ("publish", str(tiny), "--catalog", "catalog", "--keys", "keys")
    refused(tmp_path, *words, code=5, told=("key file cannot be read", "DXAI_KEYS_PASSPHRASE"))
    assert "Published" in succeeds(tmp_path, *words, **phrase)


def test_key_ring_is_not_made_twice_nor_without_a_threshold_that_can_be_met(tmp_path: Path) -> None:
    succeeds(tmp_path, "keys", "init", "keys")
    refused(tmp_path, "keys", "init", "keys", code=2, told=("keys here already",))
    done = dxai(tmp_path, "keys", "init", "more", "--threshold", "2")
    assert (done.returncode, "threshold is 2" in done.stderr, (tmp_path / "more").exists()) == (2, True, False)


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
        ("dxai train experiment=conc", {"experiment=concrete", "experiment=concrete_tabm"}),
        ("dxai train split=r", {"split=random", "split=rolling"}),
        ("dxai train model.", {"model.budget=", "model.members."}),
        ("dxai train trainer.max", {"trainer.max_epochs="}),
        ("dxai train ", {"experiment=", "model=", "trainer.", "seed="}),
    ],
)
def test_completion_offers_verbs_groups_choices_and_keys(line: str, offers: set[str], sandbox: Path) -> None:
    assert offers <= completions(sandbox, line)


def test_completion_offers_only_what_was_begun(sandbox: Path) -> None:
    assert completions(sandbox, "dxai train experiment=ret") == {"experiment=retail", "experiment=retail_nhits"}


def test_completion_offers_the_tasks_of_a_leaderboard(sandbox: Path) -> None:
    assert completions(sandbox, "dxai leaderboard con") == {"concrete"}


def test_completion_offers_pulled_models(stocked: dict[str, str], tmp_path: Path) -> None:
    words = {"COMP_WORDS": "dxai predict cast", "COMP_CWORD": "2", "_DXAI_COMPLETE": "bash_complete"}
    assert "plain,casting-hardness" in dxai(tmp_path, **words, **stocked).stdout.splitlines()


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
        ("dxai train experiment=retail_", "experiment=retail_nhits"),
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
