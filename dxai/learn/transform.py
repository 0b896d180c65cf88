"""Fitted statistics as buffers: the same code in training and inside the ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.contract import Contract
from dxai.networks.beside import Covariate


def encode(arrays: Mapping[str, NDArray[Any]], contract: Contract) -> dict[str, Tensor]:
    """Arrays to the tensors that `ColumnTransform` takes: categories become their number, unseen ones the last + 1.

    The exported graph does the same with a LabelEncoder per column.
    """
    categories = {c.name: c.categories for c in (*contract.categories, *contract.covariates) if c.kind == "category"}

    def numbers(name: str, texts: NDArray[Any]) -> NDArray[np.int64]:
        known = {text: number for number, text in enumerate(categories[name])}
        return np.array([known.get(text, len(known)) for text in texts.ravel()], np.int64).reshape(texts.shape)

    return {n: torch.as_tensor(numbers(n, values) if n in categories else values) for n, values in arrays.items()}


class RawTransform(nn.Module):
    """Columns side by side as they are measured, for models that bring their own encoding; nothing to fit."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.numbers = [c.name for c in contract.numbers]
        self.categories = [c.name for c in contract.categories]

    def fit(self, columns: Mapping[str, Tensor]) -> RawTransform:  # noqa: ARG002
        """Nothing."""
        return self

    def forward(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Columns ``[rows]`` to numbers ``[rows, numbers]``, NaN where missing, and category numbers."""
        rows = next(iter(columns.values())).shape[0]
        numbers, categories = torch.zeros(rows, 0), torch.zeros(rows, 0, dtype=torch.int64)
        if self.numbers:
            numbers = torch.stack([columns[name] for name in self.numbers], dim=1)
        if self.categories:
            categories = torch.stack([columns[name] for name in self.categories], dim=1)
        return numbers, categories


class ColumnTransform(RawTransform):
    """Fills missing numbers with the training median, takes logs of skewed ones, scales to mean 0 and deviation 1.

    A number is logged when it is never negative in training and its skewness is above 1: ages, counts, amounts.
    """

    fill: Tensor
    logged: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        for name, start in (("fill", 0.0), ("center", 0.0), ("spread", 1.0)):
            self.register_buffer(name, torch.full((len(self.numbers),), start))
        self.register_buffer("logged", torch.zeros(len(self.numbers), dtype=torch.bool))

    def fit(self, columns: Mapping[str, Tensor]) -> ColumnTransform:
        """Take the statistics of training rows: one tensor ``[rows]`` per column, NaN where missing."""
        if not self.numbers:
            return self
        numbers = torch.stack([columns[name] for name in self.numbers], dim=1).double()
        self.fill = torch.nanmedian(numbers, dim=0).values.nan_to_num(0.0).float()
        filled = torch.where(numbers.isnan(), self.fill.double(), numbers)
        self.logged = (filled.amin(dim=0) >= 0) & (_skewness(filled) > 1)
        shaped = self._shape(filled)
        self.center = shaped.mean(dim=0).float()
        self.spread = _spread(shaped)
        return self

    def forward(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Columns ``[rows]`` to scaled numbers ``[rows, numbers]`` and category numbers ``[rows, categories]``."""
        numbers, categories = super().forward(columns)
        if self.numbers:
            filled = torch.where(numbers.isnan(), self.fill, numbers)
            numbers = (self._shape(filled) - self.center) / self.spread
        return numbers, categories

    def _shape(self, numbers: Tensor) -> Tensor:
        """Logs where training was skewed; symmetric, so that a negative newcomer stays finite."""
        return torch.where(self.logged, numbers.sign() * numbers.abs().log1p(), numbers)


class TargetScale(nn.Module):
    """The target to mean 0 and standard deviation 1, and back."""

    center: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def fit(self, target: NDArray[np.float32]) -> TargetScale:
        """Take mean and standard deviation of training targets ``[rows]``."""
        values = torch.as_tensor(target).double()[:, None]
        self.center, self.spread = values.mean().float(), _spread(values)[0]
        return self

    def forward(self, target: Tensor) -> Tensor:
        """The target's unit to scaled."""
        return (target - self.center) / self.spread

    def inverse(self, scaled: Tensor) -> Tensor:
        """Scaled to the target's unit."""
        return scaled * self.spread + self.center


class SeriesScale(nn.Module):
    """Brings every series to one size, by its own past alone.

    ``residual="none"``: divided by the mean absolute value, recent steps counting most; forecasts are multiples of it.
    ``residual="seasonal_naive"``: for series with a trend; differences from the last value, divided by the mean
    absolute seasonal difference; forecasts are added to the value of one season ago,
    or to the last value where that one is missing.
    """

    position: Tensor
    recent: Tensor
    season_ago: Tensor
    least: Tensor

    def __init__(self, *, context: int, horizon: int, season: int, residual: str, recency: float, floor: float) -> None:
        """``recency``: steps after which a value counts 1/e; ``floor``: smallest scale, a share of the median one."""
        super().__init__()
        self.context, self.season, self.floor, self.seasonal = context, season, floor, residual == "seasonal_naive"
        self.register_buffer("least", torch.tensor(floor))
        age = torch.arange(context, 0, -1).float()
        self.register_buffer("position", torch.arange(1, context + 1).float(), persistent=False)
        self.register_buffer("recent", torch.exp(-age / recency), persistent=False)
        index = [context - season + step % season for step in range(horizon)] if self.seasonal else []
        self.register_buffer("season_ago", torch.tensor(index, dtype=torch.int64), persistent=False)

    def fit(self, history: Tensor) -> SeriesScale:
        """Take the smallest scale from training histories ``[series, context]``: no constant in the target's unit."""
        scale = self._scale(history.nan_to_num(0.0), (~history.isnan()).float())
        positive = scale[scale > 0]
        self.least = self.floor * (positive.median() if len(positive) else torch.ones(()))
        return self

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """History ``[series, time]`` (NaN: missing) of any length to a scaled past.

        Returns:
            Scaled past and 0/1 mask ``[series, context]``, scale ``[series, 1]``, and the base that forecasts are
            added to ``[series, horizon or 1]``, in units of the scale.
        """
        missing = torch.full_like(history[:, :1], torch.nan).expand(-1, self.context)
        history = torch.cat([missing, history], dim=1)[:, -self.context :]
        known = (~history.isnan()).float()
        values = history.nan_to_num(0.0)
        scale = torch.maximum(self._scale(values, known), self.least)
        level, base = torch.zeros_like(scale), torch.zeros_like(scale)
        if self.seasonal:
            newest = (known * self.position).argmax(dim=1, keepdim=True)
            level = values.gather(1, newest)
            base = torch.where(known[:, self.season_ago] > 0, values[:, self.season_ago], level) / scale
        return torch.asinh((values - level) * known / scale), known, scale, base

    def _scale(self, values: Tensor, known: Tensor) -> Tensor:
        if not self.seasonal:
            weight = known * self.recent
            return (values.abs() * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-6)
        m = self.season
        both = known[:, m:] * known[:, :-m]
        change = (values[:, m:] - values[:, :-m]).abs() * both
        return change.sum(1, keepdim=True) / both.sum(1, keepdim=True).clamp(min=1)


class Calendar(nn.Module):
    """Sines and cosines of the year, and of the day and the week where steps are shorter, for every future step."""

    ahead: Tensor
    turns: Tensor

    def __init__(
        self, *, horizon: int, step: float, harmonics: int, dropout: float, day: int = 1,
        cycles: Sequence[tuple[int, int]] = (),
    ) -> None:  # fmt: skip
        """A calendar for steps of one frequency.

        Args:
            horizon: Future steps.
            step: Mean length of a step, in days or hours.
            harmonics: Waves of the year.
            dropout: Share of training series whose calendar is blanked.
            day: Length of a day, in the same unit.
            cycles: Other lengths, in the unit, and the waves of each.
        """
        super().__init__()
        self.dropout, self.year, self.cycles = dropout, 365.2425 * day, tuple(cycles)
        self.width = 2 * (harmonics + sum(waves for _, waves in self.cycles))
        self.register_buffer("ahead", torch.arange(1, horizon + 1).float() * step, persistent=False)
        self.register_buffer("turns", _turns(harmonics), persistent=False)

    def forward(self, last: Tensor) -> Tensor:
        """Days or hours since 1970-01-01 ``[series]`` to ``[series, horizon, width]``."""
        years = (last.float()[:, None] + self.ahead) / self.year
        angles = [(years - years.floor())[:, :, None] * self.turns]
        for length, waves in self.cycles:
            share = (torch.remainder(last, length).float()[:, None] + self.ahead) / length  # exact: no large float
            angles.append(share[:, :, None] * _turns(waves))
        angle = torch.cat(angles, dim=2)
        features = torch.cat([angle.sin(), angle.cos()], dim=2)
        if self.training and self.dropout:
            features = features * (torch.rand(len(features), 1, 1) >= self.dropout)
        return features


class KnownColumns(nn.Module):
    """Covariates beside the calendar of every future step: scaled numbers, 0 where missing, and a 1 per category.

    Of a column that is known ahead its values there, of one of the past its last value, of a series what it is.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, columns: Sequence[Covariate], *, horizon: int) -> None:
        super().__init__()
        self.columns, self.horizon = [c for c in columns if c.role not in ("open", "available")], horizon
        self.places = [place for place, c in enumerate(columns) if c.role not in ("open", "available")]
        self.width = sum(c.categories or 1 for c in self.columns)
        self.register_buffer("center", torch.zeros(len(self.columns)))
        self.register_buffer("spread", torch.ones(len(self.columns)))

    def fit(self, columns: Sequence[Tensor]) -> KnownColumns:
        """Take the scale of the numbers from training series; columns in contract order."""
        for number, (told, place) in enumerate(zip(self.columns, self.places, strict=True)):
            known = columns[place][~columns[place].isnan()] if not told.categories else columns[place][:0]
            if len(known) > 1:
                self.center[number] = known.double().mean()
                self.spread[number] = _spread(known.double()[:, None])[0]
        return self

    def forward(self, columns: Sequence[Tensor]) -> Tensor:
        """Columns in contract order to ``[series, horizon, width]``."""
        made = []
        for number, (told, place) in enumerate(zip(self.columns, self.places, strict=True)):
            values = self._ahead(columns[place], told)
            if told.categories:
                made.append((values[..., None] == torch.arange(told.categories)).float())
            else:
                made.append(((values - self.center[number]) / self.spread[number]).nan_to_num(0.0)[..., None])
        return torch.cat(made, dim=2)

    def _ahead(self, values: Tensor, told: Covariate) -> Tensor:
        """``[series, horizon]``."""
        if told.role == "known_future":
            return values[:, -self.horizon :]
        last = values[:, -1] if values.ndim == 2 else values
        return last[:, None].expand(-1, self.horizon)


def _turns(waves: int) -> Tensor:
    return torch.arange(1, waves + 1).float() * (2 * math.pi)


def _spread(values: Tensor) -> Tensor:
    """Standard deviation of each column ``[rows, columns]``; 1 for a column that is constant up to rounding."""
    spread = values.std(dim=0, correction=0)
    constant = spread <= 1e-6 * values.mean(dim=0).abs()
    return torch.where(constant, torch.ones_like(spread), spread).float()


def _skewness(values: Tensor) -> Tensor:
    """Third standardised moment of each column ``[rows, columns]``; 0 for a constant one."""
    centered = values - values.mean(dim=0)
    return (centered**3).mean(dim=0) / (centered**2).mean(dim=0).clamp_min(1e-30) ** 1.5
