"""Transform, network, inverse, interval: the one forward of training scores, evaluation and the exported graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.arithmetic import square_root
from dxai.contract import Contract
from dxai.contract.signature import last_of, signature_of
from dxai.data.batch import Arrays, Outputs
from dxai.learn.parts import SERIES_AT_ONCE
from dxai.learn.transform import Calendar, ColumnTransform, KnownColumns, RawTransform, SeriesScale, TargetScale, encode

_LEAST_DIFFICULTY = 0.1


class Predictor(nn.Module):
    """Inputs of a contract's graph, as tensors by name, to its outputs: the fixed shape of whatever is released."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.contract = contract
        self.output_names = [tensor.name for tensor in signature_of(contract).outputs]

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encoded inputs (NaN: missing; category number) to outputs by name."""
        raise NotImplementedError

    def predict(self, inputs: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """`forward` without gradients, as arrays."""
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self(inputs).items()}

    def answer(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """The same of arrays as a graph takes them."""
        return self.predict(encode(arrays, self.contract))

    def expected(self, arrays: Arrays, found: Outputs) -> dict[str, NDArray[np.float32]]:  # noqa: ARG002
        """What another engine should have answered, which found this."""
        return self.answer(arrays)


class RowPredictor(Predictor):
    """Raw columns of a quality table to named answers, one per row.

    Attributes:
        raw: Whether the network takes columns as they are measured; otherwise they are filled, shaped and scaled.
        transform: From raw columns to the network's inputs.
        network: From scaled numbers and category numbers to what the members answer.
    """

    network: nn.Module

    def __init__(self, contract: Contract, network: nn.Module) -> None:
        super().__init__(contract)
        self.raw = getattr(network, "takes_raw", False)
        self.transform = RawTransform(contract) if self.raw else ColumnTransform(contract)
        self.network = network


class QualityPredictor(RowPredictor):
    """Raw columns to a prediction with an 80 % interval, all in the target's unit.

    Args of the constructor: the contract, and a network from scaled numbers ``[rows, numbers]`` and category numbers
    ``[rows, categories]`` to scaled members ``[rows, members, 1]``.
    """

    reach: Tensor

    def __init__(self, contract: Contract, network: nn.Module) -> None:
        super().__init__(contract, network)
        self.floor, self.ceiling = contract.target.minimum, contract.target.maximum
        self.least = getattr(network, "least_difficulty", _LEAST_DIFFICULTY)
        self.scale = TargetScale()
        self.register_buffer("reach", torch.zeros(2))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One tensor ``[rows]`` per feature (NaN: missing; category number) to three tensors ``[rows]``."""
        prediction, difficulty = self.center(inputs)
        below, above = self.reach.unbind()
        bounds = (prediction, prediction - below * difficulty, prediction + above * difficulty)
        return {name: self._within_range(value) for name, value in zip(self.output_names, bounds, strict=True)}

    def center(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Prediction and difficulty of each row ``[rows]``, in the target's unit, before any range is imposed.

        The difficulty is how far the members disagree, and a tenth of the target's spread beside it (or what the
        network names as the least): the interval reaches so many difficulties down and up, further where the network
        is less sure.
        """
        members = self.network(*self.transform(columns)).squeeze(2)
        middle = members.mean(dim=1)
        disagreement = square_root(((members - middle[:, None]) ** 2).mean(dim=1))
        return self.scale.inverse(middle), (disagreement + self.least) * self.scale.spread

    def _within_range(self, value: Tensor) -> Tensor:
        """Never outside what the contract holds possible."""
        if self.floor is None and self.ceiling is None:
            return value
        return value.clamp(min=self.floor, max=self.ceiling)


class ClassPredictor(RowPredictor):
    """Raw columns to the number of the predicted class and the calibrated probability of every class.

    Args of the constructor: the contract, and a network from scaled numbers ``[rows, numbers]`` and category numbers
    ``[rows, categories]`` to the members' logits ``[rows, members, classes]``.

    Attributes:
        prior: Logarithm of the classes' shares among the rows to fit, which the network's logits leave out.
        temperature: Divides the logits, so that probabilities are as sure as they may be (Guo et al. 2017).
        favour: The predicted class has the largest product of probability and this weight ``[classes]``.
    """

    prior: Tensor
    temperature: Tensor
    favour: Tensor

    def __init__(self, contract: Contract, network: nn.Module) -> None:
        super().__init__(contract, network)
        self.register_buffer("prior", torch.zeros(len(contract.classes)))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("favour", torch.ones(len(contract.classes)))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One tensor ``[rows]`` per feature to the class and one probability per class, all float32 ``[rows]``."""
        probability = (self.logits(inputs) / self.temperature).softmax(dim=1)
        answers = (self.decided(probability), *probability.unbind(dim=1))
        return dict(zip(self.output_names, answers, strict=True))

    def expected(self, arrays: Arrays, found: Outputs) -> dict[str, NDArray[np.float32]]:
        """Probabilities, and the class of the other engine's own: on the edge of a threshold a rounding turns it."""
        chosen, *probabilities = self.output_names
        theirs = torch.as_tensor(np.stack([found[name] for name in probabilities], 1))
        return self.answer(arrays) | {chosen: self.decided(theirs).numpy()}

    def decided(self, probability: Tensor) -> Tensor:
        """Probabilities ``[rows, classes]`` to the number of the predicted class ``[rows]``, as float32."""
        return (probability * self.favour).argmax(dim=1).float()

    def logits(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Logarithm of the members' mean probability ``[rows, classes]``, up to a constant, before calibration."""
        members: Tensor = self.network(*self.transform(columns)) + self.prior
        return members.log_softmax(dim=2).logsumexp(dim=1)


class ScaledForecast(nn.Module):
    """Scale, network and quantile head: forecasts in units of each series' own scale, as the loss sees them."""

    def __init__(
        self, scale: SeriesScale, calendar: Calendar, network: nn.Module, head: nn.Module,
        known: KnownColumns | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale, self.calendar, self.network, self.head, self.known = scale, calendar, network, head, known

    def fit(self, inputs: Sequence[Tensor]) -> None:
        """Take the scales of histories and covariates from training series; arguments as of `forward`."""
        history, _, *columns = inputs
        self.scale.fit(history)
        if self.known:
            self.known.fit(columns)

    @property
    def context(self) -> int:
        """Steps of history that it looks at."""
        return self.scale.context

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """History ``[series, time]``, numbers of days or hours ``[series]`` and covariates to scaled forecasts.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, scale ``[series, 1]``.
        """
        past, known, scale, base = self.scale(history)
        ahead = self.calendar(last)
        if self.known:
            ahead = torch.cat([ahead, self.known(columns)], dim=2)
        quantiles, mean = self.head(self.network(past, known, ahead))
        return quantiles + base[:, :, None], mean + base, scale


class RawForecast(nn.Module):
    """A network that takes histories as they are, and brings its own scale and quantiles.

    Attributes:
        looks_beside: Whether it also takes the date and the covariates.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.looks_beside = network, getattr(network, "looks_beside", False)

    @property
    def context(self) -> int:
        """Steps of history that it looks at."""
        return int(self.network.context)  # type: ignore[arg-type]

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `ScaledForecast`."""
        beside = (last, *columns) if self.looks_beside else ()
        quantiles, mean, scale = self.network(history, *beside)
        return quantiles, mean, scale


class DemandPredictor(Predictor):
    """Raw history to quantiles, a mean and a calibrated 80 % interval, in the target's unit.

    Steps that are not open, and those at which not all demand could be met, are missing in the history; at steps ahead
    that are not open every answer is 0.
    """

    offset: Tensor

    def __init__(self, contract: Contract, scaled: ScaledForecast | RawForecast) -> None:
        super().__init__(contract)
        self.floor, self.last, self.scaled = contract.target.minimum, last_of(contract), scaled
        self.roles = {
            column.role: column.name for column in contract.covariates if column.role in ("open", "available")
        }
        self.register_buffer("offset", torch.zeros(()))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``history [series, time]`` (NaN: missing, any length), when each ends and its covariates to forecasts.

        Returns:
            Quantiles ``[series, horizon, level]``; mean, lower and upper ``[series, horizon]``.
        """
        told = self._aligned(inputs) if self.contract.covariates else inputs
        quantiles, mean, scale = self.scaled(*self.positional(told))
        # The calibrated bounds stay outside the next inner quantiles, whatever the sign of the offset.
        lower = torch.minimum(quantiles[..., 0] - self.offset, quantiles[..., 1])
        upper = torch.maximum(quantiles[..., -1] + self.offset, quantiles[..., -2])
        in_units = [quantiles * scale[:, :, None], mean * scale, lower * scale, upper * scale]
        if self.floor is not None:
            in_units = [value.clamp(min=self.floor) for value in in_units]
        if "open" in self.roles:
            shut, zero = told[self.roles["open"]][:, -self.contract.horizon :] == 0, torch.zeros(())
            in_units = [torch.where(shut if v.ndim == 2 else shut[..., None], zero, v) for v in in_units]
        return dict(zip(self.output_names, in_units, strict=True))

    def predict(self, inputs: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """As of any predictor, some series at a time."""
        parts = zip(*(torch.split(values, SERIES_AT_ONCE) for values in inputs.values()), strict=True)
        made = [super(DemandPredictor, self).predict(dict(zip(inputs, part, strict=True))) for part in parts]
        return {name: np.concatenate([part[name] for part in made]) for name in self.output_names}

    def positional(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """History, when it ends and the covariates, as `scaled` takes them."""
        return (inputs["history"], inputs[self.last], *(inputs[column.name] for column in self.contract.covariates))

    def _aligned(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All columns of steps as long as the context, and what is known ahead by the horizon longer."""
        context, horizon = self.scaled.context, self.contract.horizon
        told = {**inputs, "history": _last_steps(inputs["history"], context, torch.nan)}
        for column in self.contract.covariates:
            values, nothing = inputs[column.name], torch.nan if column.kind == "number" else len(column.categories)
            if values.ndim == 2:
                ahead = horizon if column in self.contract.ahead else 0
                told[column.name] = _last_steps(values, context + ahead, nothing)
        for name in self.roles.values():
            told["history"] = torch.where(told[name][:, :context] == 0, torch.nan, told["history"])
        return told


def _last_steps(values: Tensor, length: int, nothing: float) -> Tensor:
    """The last steps, so many, with nothing before them where there are fewer."""
    empty = torch.full_like(values[:, :1], nothing).expand(-1, length)
    return torch.cat([empty, values], dim=1)[:, -length:]
