"""Every configuration in the repository composes, and a typo anywhere is told with its file and the nearest name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic_core import to_jsonable_python

from dxai.config.compose import find_checkout, refuse_mistakes, settings_from
from dxai.config.settings import PublishedData, RunSettings
from dxai.errors import NotFoundError, SettingsError

CONFIGS = Path(__file__).parents[1] / "configs"
EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
GROUPS = ("data", "split", "model", "scaling", "trainer", "evaluate", "release")
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]


@pytest.fixture
def copied_checkout(tmp_path: Path) -> Path:
    """A checkout whose YAML files a test may break."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    return tmp_path


def refusal(*overrides: str, checkout: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_from(overrides, checkout=checkout)
    assert caught.value.exit_code == 2
    assert "fix:" in str(caught.value)
    return str(caught.value)


def sweep_refusal(*overrides: str, checkout: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        refuse_mistakes(overrides, checkout)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_every_group_has_choices() -> None:
    assert len(EXPERIMENTS) >= 6
    assert {group for group, _ in CHOICES} == set(GROUPS)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_fits_together(experiment: str, checkout: Path) -> None:
    settings = settings_from([f"experiment={experiment}"], checkout=checkout)
    assert settings.data.name in (
        experiment,
        experiment.removesuffix("_nhits"),
        "concrete",
    )  # of any table the root's, until data= names one
    if isinstance(settings.data, PublishedData):
        assert (checkout / "contracts" / f"{settings.data.contract}.yaml").is_file()
    demand = settings.split.kind == "rolling"
    assert (settings.model.name in ("nhits", "dlinear", "experts", "windowtrees", "demandportfolio")) == demand


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "data" and choice != "own"])
def test_usage_terms_stand_there_in_both_languages(choice: str, checkout: Path) -> None:
    usage = settings_from([f"data={choice}"], checkout=checkout).data.usage
    assert re.search(r"[A-Za-z]{4}", usage.en) and not re.search(r"[가-힣]", usage.en)
    assert re.search(r"[가-힣]{2}", usage.ko)


def test_data_without_its_usage_terms_is_told(copied_checkout: Path) -> None:
    data = copied_checkout / "configs" / "data" / "concrete.yaml"
    plain = yaml.safe_load(data.read_text("utf-8"))
    del plain["usage"]["ko"]
    data.write_text(yaml.safe_dump(plain), "utf-8")
    assert "data.usage.ko: is missing in configs/data/concrete.yaml" in refusal(checkout=copied_checkout)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_group_file_is_valid_in_place_of_the_default(group: str, choice: str, checkout: Path) -> None:
    settings = settings_from([f"{group}={choice}"], checkout=checkout)
    plain = yaml.safe_load((checkout / "configs" / group / f"{choice}.yaml").read_text("utf-8"))
    found = {key: to_jsonable_python(value) for key, value in getattr(settings, group)}
    found |= getattr(settings, group).model_dump(mode="json")
    written = {key: value for key, value in plain.items() if value is not None}  # null: made of others
    written |= {key: settings.budget for key, value in written.items() if value == "${budget}"}
    assert {key: found[key] for key in written} == written


def test_no_overrides_give_the_root_defaults(checkout: Path) -> None:
    settings = settings_from(checkout=checkout)
    assert (settings.data.name, settings.model.name, settings.name, settings.seed) == (
        "concrete",
        "portfolio",
        "concrete_portfolio",
        0,
    )


def test_overrides_arrive_with_their_types(checkout: Path) -> None:
    settings = settings_from(
        [
            "experiment=retail_nhits",
            "seed=7",
            "model.pools=[4,1]",
            "model.knots=[2,8]",
            "trainer.epoch_batches=null",
            "name=mine",
        ],
        checkout=checkout,
    )
    assert isinstance(settings, RunSettings)
    assert (settings.seed, settings.model.pools, settings.trainer.epoch_batches, settings.name) == (
        7,
        (4, 1),
        None,
        "mine",
    )  # type: ignore[union-attr]


def test_a_budget_that_nothing_asks_for_is_refused(checkout: Path) -> None:
    assert settings_from(["budget=quick"], checkout=checkout).model.budget == "quick"  # type: ignore[union-attr]
    for words in (["experiment=retail_nhits"], ["model=tabm"]):
        assert "knows no budget; trainer.max_epochs" in refusal(*words, "budget=quick", checkout=checkout)


def test_override_beats_the_experiment_and_the_experiment_beats_its_group(checkout: Path) -> None:
    quality = settings_from(["trainer=demand"], checkout=checkout).trainer.max_epochs
    experiment = settings_from(["experiment=m3_monthly"], checkout=checkout).trainer.max_epochs
    overridden = settings_from(["experiment=m3_monthly", "trainer.max_epochs=3"], checkout=checkout).trainer.max_epochs
    assert len({quality, experiment, overridden}) == 3
    assert overridden == 3


def test_settings_are_frozen(checkout: Path) -> None:
    settings = settings_from(checkout=checkout)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]


def test_misspelt_key_is_told_with_the_nearest_key_and_its_file(checkout: Path) -> None:
    message = refusal("trainer.max_epoch=3", checkout=checkout)
    assert "trainer.max_epoch: there is no such key in configs/trainer/quality.yaml" in message
    assert "Did you mean 'trainer.max_epochs'?" in message
    assert "Keys there: max_epochs, epoch_batches," in message


def test_file_named_is_the_one_of_the_chosen_experiment(checkout: Path) -> None:
    message = refusal("experiment=retail_nhits", "model.wdth=3", checkout=checkout)
    assert "configs/model/nhits.yaml" in message
    assert "Did you mean 'model.width'?" in message


@pytest.mark.parametrize("key", ["max_epochs", "epochs"])
def test_key_without_its_section_is_told_in_full(checkout: Path, key: str) -> None:
    message = refusal(f"{key}=3", checkout=checkout)
    assert f"{key}: there is no such key in configs/run.yaml" in message
    assert "Did you mean 'trainer.max_epochs'?" in message


def test_added_key_is_a_mistake_too(checkout: Path) -> None:
    assert "trainer.foo: there is no such key" in refusal("+trainer.foo=1", checkout=checkout)


def test_misspelt_group_is_told(checkout: Path) -> None:
    assert "Did you mean 'model'?" in refusal("modle=tabm", checkout=checkout)


@pytest.mark.parametrize(
    ("override", "nearest", "other"),
    [
        ("experiment=concrte", "concrete", "retail"),
        ("model=tabmm", "tabm", "dlinear"),
        ("data=concret", "concrete", "retail"),
    ],
)
def test_unknown_choice_is_told_with_the_nearest_and_all_choices(
    checkout: Path, override: str, nearest: str, other: str
) -> None:
    message = refusal(override, checkout=checkout)
    group, choice = override.split("=")
    assert f"there is no configs/{group}/{choice}.yaml, did you mean '{nearest}'?" in message
    assert other in message.split("Choices:")[1]


def test_unknown_choice_like_no_other_still_lists_the_choices(checkout: Path) -> None:
    message = refusal("split=xyz", checkout=checkout)
    assert "there is no configs/split/xyz.yaml." in message
    assert "Choices: grouped, ordered, random, rolling." in message


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "trainer.max_epochs=three",
            r"max_epochs=three: .*integer.*\(configs/trainer/quality.yaml\).*Allowed: a whole number",
        ),
        ("trainer.max_epochs=0", r"max_epochs=0: .*greater than 0"),
        ("trainer.epoch_batches=many", r"Allowed: a whole number or null"),
        ("split.folds=1", r"folds=1: .*greater than or equal to 2 \(configs/split/grouped.yaml\)"),
        ("evaluate.permutations=few", r"permutations=few: .*Allowed: a whole number"),
        ("data.recipe=dxai.data.prepare.concret", r"has no concret, did you mean 'dxai.data.prepare.concrete'"),
        ("data.sha256=abc", r"data.sha256=abc: .*pattern.*configs/data/concrete.yaml"),
        ("seed=-1", r"seed=-1: .*greater than or equal to 0 \(configs/run.yaml\)"),
        ("release.bundle=Mine", r"release.bundle=Mine: .*configs/release/default.yaml"),
    ],
)
def test_wrong_value_is_told_with_its_file_and_what_is_allowed(checkout: Path, override: str, told: str) -> None:
    assert re.search(told, refusal(override, checkout=checkout))


def test_wrong_item_of_a_list_is_told(checkout: Path) -> None:
    message = refusal("model=nhits", "model.pools=[3,x]", checkout=checkout)
    assert re.search(r"model.pools.1=x: .*integer.*configs/model/nhits.yaml", message)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("dxai.networks.tabm.TabN", "dxai.networks.tabm has no TabN, did you mean 'dxai.networks.tabm.TabM'?"),
        ("dxai.networks.forest.Forest", "it cannot be imported: ModuleNotFoundError: No module named"),
        ("forest", "a name with a dot is needed"),
    ],
)
def test_name_of_a_class_that_is_none_is_told(checkout: Path, target: str, told: str) -> None:
    message = refusal("model=tabm", f"model._target_={target}", checkout=checkout)
    assert f"model._target_={target}: " in message
    assert told in message
    assert "configs/model/tabm.yaml" in message


def test_arguments_that_the_task_gives_are_no_settings(checkout: Path) -> None:
    assert "model.numbers: there is no such key" in refusal("model.numbers=3", checkout=checkout)


def test_several_mistakes_come_in_one_message(checkout: Path) -> None:
    message = refusal("model=tabm", "trainer.max_epoch=3", "sed=4", "model.width=0", checkout=checkout)
    assert message.startswith("3 problems:")
    for told in ("'trainer.max_epochs'", "'seed'", "model.width=0"):
        assert told in message


def test_unknown_choice_hides_no_mistake_in_other_sections(checkout: Path) -> None:
    message = refusal("trainer.max_epoch=3", "sed=4", "model=tabn", "model.k=16", checkout=checkout)
    assert message.startswith("3 problems:")
    for told in ("model=tabn", "'trainer.max_epochs'", "'seed'"):
        assert told in message


def test_every_value_of_a_sweep_is_checked(checkout: Path) -> None:
    assert "seed=-2" in sweep_refusal("seed=0,1,-2", checkout=checkout)
    message = sweep_refusal("model=tabm", "trainer.max_epochs=choice(1,x)", "model.k=1,y", checkout=checkout)
    assert message.startswith("2 problems:")
    assert "max_epochs=x" in message
    assert "model.k=y" in message
    assert "did you mean 'tabm'?" in sweep_refusal("model=mlp,linear,tabn", checkout=checkout)
    assert "seed=-1" in sweep_refusal("seed=range(-1,2)", checkout=checkout)


def test_good_sweeps_pass(checkout: Path) -> None:
    refuse_mistakes(["model=mlp,tabm", "seed=range(0,3)", "trainer.learning_rate=0.1,0.01"], checkout)


def test_key_that_one_choice_of_a_sweep_lacks_is_told(checkout: Path) -> None:
    message = sweep_refusal("model=tabm,linear", "model.k=4", checkout=checkout)
    assert "model.k: there is no such key in configs/model/linear.yaml" in message


def test_sweep_over_a_pattern_is_checked_like_its_choices(checkout: Path) -> None:
    refuse_mistakes(["experiment=glob(m3_*)"], checkout)
    assert "seed=-1" in sweep_refusal("experiment=glob(m3_*)", "seed=-1", checkout=checkout)


def test_sweep_where_one_run_is_wanted_is_told(checkout: Path) -> None:
    assert "seed" in refusal("seed=0,1", checkout=checkout)


@pytest.mark.parametrize("override", ["trainer.max_epochs=[1", "two words"])
def test_unreadable_override_is_told(checkout: Path, override: str) -> None:
    message = refusal(override, checkout=checkout)
    assert "An override cannot be read" in message
    assert "Write key=value" in message


@pytest.mark.parametrize("override", ["~evaluate", "evaluate=null", "trainer=null"])
def test_section_taken_away_is_told(checkout: Path, override: str) -> None:
    group = override.strip("~").split("=")[0]
    assert group in refusal(override, checkout=checkout)


def test_key_taken_away_is_told(checkout: Path) -> None:
    assert "trainer.warmup" in refusal("~trainer.warmup", checkout=checkout)


def test_reference_to_an_unknown_setting_is_told(checkout: Path) -> None:
    assert "data.nme" in refusal("name=${data.nme}", checkout=checkout)


def test_folder_outside_a_checkout_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_checkout(tmp_path)
    assert caught.value.exit_code == 3
    assert "not inside a dxai checkout" in str(caught.value)
    assert "git clone" in str(caught.value)
    assert str(tmp_path.resolve()) in str(caught.value)


def test_checkout_is_found_from_a_folder_inside_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_checkout(checkout / "configs" / "model") == checkout
    monkeypatch.chdir(checkout / "tests")
    assert find_checkout() == checkout
    assert settings_from(["model=mlp"]).model.name == "mlp"


def test_typo_in_an_experiment_file_names_a_file_and_the_nearest_key(copied_checkout: Path) -> None:
    experiment = copied_checkout / "configs" / "experiment" / "concrete.yaml"
    experiment.write_text(experiment.read_text("utf-8") + "\ntrainer:\n  max_epoch: 5\n", "utf-8")
    message = refusal("experiment=concrete", checkout=copied_checkout)
    assert re.search(r"trainer.max_epoch: there is no such key in configs/(trainer|experiment)/\w+\.yaml", message)
    assert "Did you mean 'trainer.max_epochs'?" in message


def test_typo_in_a_group_file_names_that_file(copied_checkout: Path) -> None:
    model = copied_checkout / "configs" / "model" / "tabm.yaml"
    model.write_text(model.read_text("utf-8").replace("dropout:", "dropuot:"), "utf-8")
    message = refusal("model=tabm", checkout=copied_checkout)
    assert "model.dropuot: there is no such key in configs/model/tabm.yaml. Did you mean 'model.dropout'?" in message
    assert "model.dropout: is missing in configs/model/tabm.yaml" in message


def test_unknown_choice_in_an_experiment_file_is_told(copied_checkout: Path) -> None:
    experiment = copied_checkout / "configs" / "experiment" / "concrete.yaml"
    experiment.write_text(experiment.read_text("utf-8").replace("/split: grouped", "/split: gruoped"), "utf-8")
    assert "split/gruoped" in refusal("experiment=concrete", checkout=copied_checkout)


def test_file_that_is_no_yaml_is_told(copied_checkout: Path) -> None:
    (copied_checkout / "configs" / "model" / "tabm.yaml").write_text("_target_: [tabm\nk: 3\n", "utf-8")
    assert "tabm.yaml" in refusal("model=tabm", checkout=copied_checkout)


def test_interval_hides_no_other_mistake(checkout: Path) -> None:
    assert "seed=-1" in sweep_refusal("trainer.learning_rate=interval(0.001,0.1)", "seed=-1", checkout=checkout)


def test_arguments_of_lightnings_trainer_are_held_against_its_signature(checkout: Path) -> None:
    given = ["+trainer.lightning.gradient_clip_algorithm=value", "+trainer.lightning.val_check_interval=0.5"]
    settings = settings_from(given, checkout=checkout).trainer
    assert settings.lightning.given == {"gradient_clip_algorithm": "value", "val_check_interval": 0.5}
    assert settings.model_dump()["lightning"] == settings.lightning.given
    message = refusal("+trainer.lightning.val_chek_interval=2", "+trainer.lightning.profiler=[1]", checkout=checkout)
    assert "Did you mean 'trainer.lightning.val_check_interval'?" in message
    assert "trainer.lightning.profiler" in message


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("max_epochs=3", "use trainer.max_epochs"),
        ("callbacks=[]", "use trainer.callbacks"),
        ("devices=2", "use trainer.devices"),
    ],
)
def test_an_argument_of_lightnings_that_is_ours_is_refused_with_ours(argument: str, told: str, checkout: Path) -> None:
    message = refusal(f"+trainer.lightning.{argument}", checkout=checkout)
    assert f"trainer.lightning.{argument.partition('=')[0]}=" in message
    assert told in message


def test_a_trainer_that_says_nothing_new_is_written_as_before_there_was_anything_new(checkout: Path) -> None:
    plain = settings_from(checkout=checkout).trainer.model_dump()
    assert list(plain) == [
        "max_epochs", "epoch_batches", "batch_size", "learning_rate", "weight_decay", "warmup", "gradient_clip",
        "callbacks",
    ]  # fmt: skip
    assert settings_from(["trainer.accumulate=2"], checkout=checkout).trainer.model_dump()["accumulate"] == 2
