"""Devices: a GPU that is not there is refused before a fit, and two processes give the scores of one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_resume import TRAINER, Watched, run

from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.config.settings import TrainerSettings
from dxai.data.batches import Batches
from dxai.errors import ModelError, SettingsError
from dxai.learn import module
from dxai.learn.devices import refuse_absent
from dxai.learn.fitting import Epoch

GPU = torch.cuda.is_available()
SHARED = TRAINER.model_copy(update={"devices": 2})


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"),
    [("cpu", "cpu", 1), ("gpu", "gpu", 1), ("multi_gpu", "gpu", 2), ("ddp_cpu", "cpu", 2)],
)
def test_a_device_is_chosen_by_its_group_or_as_a_trainer(
    device: str, accelerator: str, devices: int, checkout: Path
) -> None:
    for word in (f"device={device}", f"trainer={device}"):
        trainer = settings_from(["model=mlp", word], checkout=checkout).trainer
        assert (trainer.accelerator, trainer.devices) == (accelerator, devices)
        assert trainer.max_epochs == 120
    assert settings_from(["trainer.devices=3"], checkout=checkout).trainer.devices == 3


def test_the_processor_is_no_part_of_the_fingerprint(checkout: Path) -> None:
    plain = settings_from(checkout=checkout)
    assert settings_from(["device=cpu"], checkout=checkout).model_dump_json() == plain.model_dump_json()
    assert "accelerator" not in plain.model_dump_json()
    assert "accelerator" in settings_from(["device=gpu"], checkout=checkout).model_dump_json()


def test_lightnings_own_names_of_it_are_refused_with_ours(checkout: Path) -> None:
    with pytest.raises(SettingsError, match=r"use trainer\.devices"):
        settings_from(["+trainer.lightning.devices=2"], checkout=checkout)
    with pytest.raises(SettingsError, match="dxai sets it: several devices share"):
        settings_from(["+trainer.lightning.strategy=fsdp"], checkout=checkout)


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_fitted(
    workplace: Path,
) -> None:
    words = [f"data={workplace / 'own'}", "model=mlp", "trainer=gpu"]
    done = CliRunner().invoke(cli, ["train", *words])
    assert done.exit_code == 2, done.output
    assert not (workplace / "runs").exists() or not list((workplace / "runs").rglob("*.fit"))
    with pytest.raises(SettingsError) as caught:
        refuse_absent(TRAINER.model_copy(update={"accelerator": "gpu"}))
    assert caught.value.problem == "1 GPU is asked for, however torch can use 0 here."
    assert "device=cpu" in caught.value.fix


@pytest.mark.parametrize(("rows", "world"), [(50, 2), (41, 2), (50, 3), (21, 3)])
def test_processes_share_the_batches_of_one(rows: int, world: int) -> None:
    table = (torch.arange(rows, dtype=torch.float32),)
    whole = list(Batches(table, 20, seed=3))
    parts = [Batches(table, 20, seed=3, rank=rank, world=world) for rank in range(world)]
    shared = [list(part) for part in parts]
    assert {len(batches) for batches in shared} == {len(whole)}
    for number, (batch,) in enumerate(whole):
        shares = [part.share(number) for part in parts]
        mean = sum(share * batches[number][0].mean() for share, batches in zip(shares, shared, strict=True)) / world
        assert mean == pytest.approx(float(batch.mean()), rel=1e-6)
        seen = [batches[number][0] for share, batches in zip(shares, shared, strict=True) if share]
        assert sorted(torch.cat(seen).tolist()) == sorted(batch.tolist())


def fitted(trainer: TrainerSettings) -> tuple[list[Epoch], torch.Tensor, list[Epoch]]:
    """Curve and weights of a small network, and the epochs that were told."""
    torch.manual_seed(0)
    rows = (torch.randn(53, 3), torch.randn(53, 1))
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
    told: list[Epoch] = []

    def on_step(share: float, text: str, epoch: Epoch | None = None, /) -> None:
        told.extend([epoch] if epoch else [])

    curve = module.fit(network, torch.nn.functional.mse_loss, rows, rows, trainer, seed=1, on_step=on_step)
    return curve, torch.cat([p.detach().flatten() for p in network.parameters()]), told


@pytest.mark.process
@pytest.mark.slow(seconds=40)
def test_two_processes_give_the_weights_and_the_curve_of_one() -> None:
    curve, weights, _ = fitted(TRAINER)
    shared, others, told = fitted(SHARED)
    assert others == pytest.approx(weights, abs=1e-5)
    assert told == shared
    for one, two in zip(curve, shared, strict=True):
        assert (two.fit_loss, two.watched_loss) == pytest.approx((one.fit_loss, one.watched_loss), rel=1e-5)
    with pytest.raises(ModelError, match="training has diverged"):
        fitted(SHARED.model_copy(update={"learning_rate": 1e30, "gradient_clip": 1e30}))


@pytest.mark.process
@pytest.mark.slow(seconds=120)
def test_a_run_of_two_processes_scores_as_one(workplace: Path) -> None:
    import polars as pl

    words = ["model=linear", "trainer.max_epochs=2"]
    for name, more in (("one", []), ("two", ["device=ddp_cpu"])):
        files = run(workplace, name, [*words, *more], Watched())
        assert "held_out.parquet" in files
    one, two = (pl.read_parquet(workplace / "runs" / name / "train/held_out.parquet") for name in ("one", "two"))
    for column, kind in one.schema.items():
        if kind.is_float():
            assert two[column].to_list() == pytest.approx(one[column].to_list(), rel=1e-4, abs=1e-4)


@pytest.mark.slow(seconds=30)
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_fit_has_the_curve_of_a_plain_one() -> None:
    plain, weights, _ = fitted(TRAINER)
    compiled, others, _ = fitted(TRAINER.model_copy(update={"compile": True}))
    assert others == pytest.approx(weights, abs=1e-5)
    assert [e.fit_loss for e in compiled] == pytest.approx([e.fit_loss for e in plain], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["device=ddp_cpu", "trainer.compile=true"], "compile is for one process"),
        (["trainer.precision=tf32"], "tf32 is a GPU's arithmetic"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], said: str, checkout: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_from(["model=mlp", *words], checkout=checkout)
    assert settings_from(["device=gpu", "trainer.precision=tf32"], checkout=checkout).trainer.precision == "tf32"
