"""Transform, network, inverse, interval: the one forward of training scores, evaluation and the exported graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.contract import Contract
from dxai.learn.transform import Calendar, ColumnTransform, SeriesScale, TargetScale

_LEAST_DIFFICULTY = 0.1


class QualityPredictor(nn.Module):
    """Raw columns to a prediction with an 80 % interval, all in the target's unit.

    Args of the constructor: the contract, and a network from scaled numbers ``[rows, numbers]`` and category numbers
    ``[rows, categories]`` to scaled members ``[rows, members]``.
    """

    reach: Tensor

    def __init__(self, contract: Contract, network: nn.Module) -> None:
        super().__init__()
        self.target = contract.target.name
        self.floor, self.ceiling = contract.target.minimum, contract.target.maximum
        self.transform, self.scale, self.network = ColumnTransform(contract), TargetScale(), network
        self.register_buffer("reach", torch.zeros(()))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order; none is a column's name, so that a measured target can stand beside them."""
        return (f"{self.target}_predicted", f"{self.target}_lower", f"{self.target}_upper")

    def forward(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One tensor ``[rows]`` per feature (NaN: missing; category number) to three tensors ``[rows]``."""
        prediction, difficulty = self.center(columns)
        bounds = (prediction, prediction - self.reach * difficulty, prediction + self.reach * difficulty)
        return {name: self._within_range(value) for name, value in zip(self.output_names, bounds, strict=True)}

    def center(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Prediction and difficulty of each row ``[rows]``, in the target's unit, before any range is imposed.

        The difficulty is how far the members disagree, and a tenth of the target's spread beside it: the interval is
        ``reach`` difficulties wide to each side, wider where the network is less sure.
        """
        members = self.network(*self.transform(columns))
        middle = members.mean(dim=1)
        disagreement = ((members - middle[:, None]) ** 2).mean(dim=1).sqrt()
        return self.scale.inverse(middle), (disagreement + _LEAST_DIFFICULTY) * self.scale.spread

    def _within_range(self, value: Tensor) -> Tensor:
        """Never outside what the contract holds possible."""
        if self.floor is None and self.ceiling is None:
            return value
        return value.clamp(min=self.floor, max=self.ceiling)

    def predict(self, columns: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """`forward` without gradients, as arrays."""
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self(columns).items()}


class ScaledForecast(nn.Module):
    """Scale, network and quantile head: forecasts in units of each series' own scale, as the loss sees them."""

    def __init__(self, scale: SeriesScale, calendar: Calendar, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.scale, self.calendar, self.network, self.head = scale, calendar, network, head

    def forward(self, history: Tensor, last_day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """History ``[series, time]`` and day numbers ``[series]`` to scaled forecasts.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, scale ``[series, 1]``.
        """
        past, known, scale, base = self.scale(history)
        quantiles, mean = self.head(self.network(past, known, self.calendar(last_day)))
        return quantiles + base[:, :, None], mean + base, scale


class DemandPredictor(nn.Module):
    """Raw history to quantiles, a mean and a calibrated 80 % interval, in the target's unit."""

    offset: Tensor

    output_names = ("quantiles", "mean", "lower", "upper")

    def __init__(self, contract: Contract, scaled: ScaledForecast) -> None:
        super().__init__()
        self.floor, self.scaled = contract.target.minimum, scaled
        self.register_buffer("offset", torch.zeros(()))

    @property
    def context(self) -> int:
        """Steps of history that the network looks at."""
        return self.scaled.scale.context

    def forward(self, history: Tensor, last_day: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """History ``[series, time]`` (NaN: missing, any length) and days since 1970-01-01 ``[series]`` to forecasts.

        Returns:
            Quantiles ``[series, horizon, level]``; mean, lower and upper ``[series, horizon]``.
        """
        quantiles, mean, scale = self.scaled(history, last_day)
        # The calibrated bounds stay outside the next inner quantiles, whatever the sign of the offset.
        lower = torch.minimum(quantiles[..., 0] - self.offset, quantiles[..., 1])
        upper = torch.maximum(quantiles[..., -1] + self.offset, quantiles[..., -2])
        in_units = (quantiles * scale[:, :, None], mean * scale, lower * scale, upper * scale)
        if self.floor is None:
            return in_units
        quantiles, mean, lower, upper = (value.clamp(min=self.floor) for value in in_units)
        return quantiles, mean, lower, upper

    def predict(self, history: Tensor, last_day: Tensor) -> dict[str, NDArray[np.float32]]:
        """`forward` without gradients, as named arrays."""
        with torch.inference_mode():
            return {name: v.numpy() for name, v in zip(self.output_names, self(history, last_day), strict=True)}
