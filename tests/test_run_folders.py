"""Runs that start together never share a folder, names mean one thing, and no model takes another's place."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from documents import run_together
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from test_own_data import DEMAND, castings, data_folder, parts, quality

from dxai.cli.main import cli
from dxai.config.compose import unused
from dxai.data.own import with_own_data
from dxai.errors import SettingsError
from dxai.record.runs import Run
from dxai.release import release


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, in which the person stands."""
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.process
def test_eight_runs_of_one_second_get_eight_folders(tmp_path: Path) -> None:
    program = "from dxai.config.compose import unused; print(unused('runs/press/now'), unused('runs/press/now'))"
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    told = [process.communicate()[0].split() for process in started]
    assert all(first == again for first, again in told)
    names = ["now", *(f"now-{number}" for number in range(2, 9))]
    assert sorted(Path(first).name for first, _ in told) == sorted(names)
    assert sorted(p.name for p in (tmp_path / "runs/press").iterdir()) == sorted(names)


def test_runs_and_sweeps_ask_for_an_unused_folder(workplace: Path) -> None:
    for stamp in ("2026-01-01", "sweep"):
        (workplace / "runs" / stamp).mkdir(parents=True)
        assert Path(unused(f"runs/{stamp}")).name == f"{stamp}-2"
    with initialize_config_dir(str(workplace / "configs"), version_base="1.3"):
        written = OmegaConf.to_container(compose("run", return_hydra_config=True).hydra, resolve=False)
    assert written["run"]["dir"].startswith("${unused:runs/")
    assert written["sweep"]["dir"].startswith("${unused:runs/")


def test_name_of_a_data_set_and_of_a_folder_is_refused_with_both_spellings(workplace: Path) -> None:
    data_folder(workplace / "concrete", quality(), castings())
    with pytest.raises(SettingsError) as caught:
        with_own_data(["data=concrete"], workplace)
    assert "data=./concrete takes the folder" in caught.value.fix
    assert "data=own" in with_own_data(["data=./concrete"], workplace)
    assert with_own_data(["data=retail"], workplace) == ["experiment=retail", "data=retail"]


def test_init_refuses_the_name_of_a_data_set(workplace: Path) -> None:
    castings().write_csv(workplace / "concrete.csv")
    words = ["data", "init", "concrete.csv", "--target", "weight", "--yes"]
    refused = CliRunner().invoke(cli, words)
    assert isinstance(refused.exception, SettingsError)
    assert "--name my-concrete" in refused.exception.fix
    assert not (workplace / "concrete").exists()
    assert CliRunner().invoke(cli, [*words, "--name", "my-concrete"]).exit_code == 0


@pytest.mark.slow
def test_model_of_another_contract_is_not_overwritten(workplace: Path) -> None:
    data_folder(workplace / "castings", quality("random", ""), castings())
    data_folder(workplace / "parts", DEMAND, parts())
    short = "model=linear trainer.max_epochs=1 split.folds=2 evaluate.permutations=1"
    release_it = "dxai release runs/a --to models/shared"  # twice: its own place it may take
    run_together(workplace, [f"dxai train data=castings {short} hydra.run.dir=runs/a", release_it, release_it])
    kept = (workplace / "models/shared/manifest.json").read_bytes()
    text = (workplace / "models/shared/contract.yaml").read_text("utf-8")
    (workplace / "models/shared/contract.yaml").write_text(text.replace("Casting_Weights", "somebody-elses"), "utf-8")
    run = Run(workplace / "runs/a/train")
    with pytest.raises(SettingsError, match="holds a model of another contract, 'somebody-elses'"):
        release(run, workplace / "runs/a/evaluate", workplace / "models/shared", workplace)
    assert (workplace / "models/shared/manifest.json").read_bytes() == kept
