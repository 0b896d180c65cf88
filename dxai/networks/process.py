"""A Gaussian process: exact, with a smooth, a rough and a straight part, its own length for every feature."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dxai.arithmetic import square_root
from dxai.networks.fitted import Fitted

_CLIPPED = 4.0
_MOST_TUNED = 1_000
_AT_ONCE = 32
_FAR = 1e-12
_MIXED = (0.4, 0.35, 0.25)
"""Shares of three rows; unequal ones, since on a grid the plain mean of a row and its neighbours is the row."""
_LOTS, _LITTLE = 3, 1e-4


class GaussianProcess(Fitted):
    """Matérn-3/2 + squared exponential + linear + constant kernel on features without a gap, in double precision.

    Skewed features are logged, all are scaled to mean 0 and deviation 1 and held within ±4 deviations.

    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 2.2 and 5.4.
    """

    low: Tensor
    middle: Tensor
    logged: Tensor
    center: Tensor
    spread: Tensor
    lengths: Tensor
    strengths: Tensor
    points: Tensor
    weights: Tensor
    constant: Tensor

    def __init__(self) -> None:
        double = dict.fromkeys(
            ("low", "middle", "center", "spread", "lengths", "strengths", "points", "weights", "constant"),
            torch.float64,
        )
        super().__init__(**double, logged=torch.bool)

    def fit(
        self,
        features: NDArray[np.float32],
        target: NDArray[np.float32],
        *,
        seed: int,
        tuned: GaussianProcess | None = None,
        least_noise: float = 1e-6,
        steps: int = 30,
    ) -> GaussianProcess:
        """Tune lengths and strengths on some hundred rows, then take all rows ``[rows, features]`` in.

        Args:
            features: Without a gap.
            target: ``[rows, k]``; all k share lengths and strengths.
            seed: Draws the rows that tune.
            tuned: Another process of the same features, whose lengths and strengths will do.
            least_noise: Share of the target's variance that no feature explains, at the least.
            steps: Of tuning, at the most.
        """
        self._fit_scale(features.astype(np.float64))
        x, y = self._scaled(torch.as_tensor(features)), torch.as_tensor(target, dtype=torch.float64)
        constant = y.mean(dim=0)
        y = y - constant
        if tuned is None:
            chosen = np.random.default_rng(seed).permutation(len(x))[:_MOST_TUNED]
            logs = self._tuned(x[chosen], y[chosen] / y.std().clamp(min=1e-9), least_noise, steps)
            lengths, strengths = _natural(logs, x.shape[1], least_noise)
        else:
            lengths, strengths = tuned.lengths, tuned.strengths
        with torch.inference_mode():
            covariance = _noisy(x, lengths, strengths)
            weights = torch.cholesky_solve(y, torch.linalg.cholesky(covariance))
        self.keep(
            lengths=lengths.numpy(), strengths=strengths.numpy(), points=x.numpy(), weights=weights.numpy(),
            constant=constant.numpy(),
        )  # fmt: skip
        return self

    def left_out(self, target: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the process would say of each of its rows without it ``[rows, k]``: ``target`` as it was fitted.

        Source: Rasmussen and Williams (2006), 5.12.
        """
        with torch.inference_mode():
            covariance = _noisy(self.points, self.lengths, self.strengths)
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
            said: NDArray[np.float64] = (torch.as_tensor(target) - self.weights / inverse.diagonal()[:, None]).numpy()
        return said

    def without_rows(self, *, seed: int) -> GaussianProcess:
        """Nearly the same function around other points, each a mixture of three rows that are near each other.

        Fitted by least squares to what the process says of its rows and of points between them.
        """
        x, draw = self.points, np.random.default_rng(seed)
        near = x[_squares(x / self.lengths[1], x / self.lengths[1]).topk(len(_MIXED), largest=False).indices]
        asked = [x]
        for _ in range(_LOTS):
            other = near[torch.arange(len(x)), torch.as_tensor(draw.integers(1, len(_MIXED), len(x)))]
            asked.append(x + torch.as_tensor(draw.random((len(x), 1))) * (other - x))
        with torch.inference_mode():
            points = (near * torch.tensor(_MIXED, dtype=x.dtype)[:, None]).sum(dim=1)
            across, said = (_kernel(torch.cat(asked), others, self.lengths, self.strengths) for others in (points, x))
            own = _kernel(points, points, self.lengths, self.strengths) + torch.eye(len(x), dtype=x.dtype) / 10
            root = torch.linalg.cholesky(across.T @ across + _LITTLE * own)
            weights = torch.cholesky_solve(across.T @ (said @ self.weights), root)
        self.keep(points=points.numpy(), weights=weights.numpy())
        return self

    def times(self, factor: float) -> GaussianProcess:
        """Multiply what it says."""
        self.keep(weights=self.weights.numpy() * factor, constant=self.constant.numpy() * factor)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """``[rows, features]`` without a gap to ``[rows, k]``."""
        kernel = _kernel(self._scaled(features), self.points, self.lengths, self.strengths)
        return (kernel @ self.weights + self.constant).float()

    def _fit_scale(self, x: NDArray[np.float64]) -> None:
        low = x.min(axis=0)
        middle = np.maximum(np.median(x - low, axis=0), 1e-9)
        deviation = np.maximum(x.std(axis=0), 1e-12)
        skewed = ((x - x.mean(axis=0)) ** 3).mean(axis=0) / deviation**3 > 1
        shaped = np.where(skewed, np.log1p((x - low) / middle), x)
        spread = shaped.std(axis=0)
        self.keep(
            low=low, middle=middle, logged=skewed, center=shaped.mean(axis=0), spread=np.where(spread > 1e-9, spread, 1)
        )

    def _scaled(self, features: Tensor) -> Tensor:
        x = features.double()
        logs = ((x - self.low).clamp(min=0) / self.middle + 1).log()
        return ((torch.where(self.logged, logs, x) - self.center) / self.spread).clamp(-_CLIPPED, _CLIPPED)

    def _tuned(self, x: Tensor, y: Tensor, least_noise: float, steps: int) -> Tensor:
        """Logarithms of three lengths per feature and of five strengths, the most probable ones a posteriori."""
        d, k = x.shape[1], y.shape[1]
        mean = torch.cat([
            torch.full((d,), math.log(2 * math.sqrt(d))), torch.full((d,), math.log(math.sqrt(d))),
            torch.full((d,), math.log(2 * math.sqrt(d))), torch.tensor([0.5, 0.3, 0.3, 0.1, 0.1]).log(),
        ]).double()  # fmt: skip
        deviation = torch.cat([torch.ones(3 * d), torch.full((5,), 2.0)]).double()
        logs = mean.clone().requires_grad_(True)
        optimizer = torch.optim.LBFGS([logs], max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            covariance = _noisy(x, *_natural(logs, d, least_noise))
            with torch.no_grad():
                root = torch.linalg.cholesky(covariance)
                solved = torch.cholesky_solve(y, root)
                fit = 0.5 * (y * solved).sum() + k * root.diagonal().log().sum()
                slope = 0.5 * (k * torch.cholesky_inverse(root) - solved @ solved.T)
            bound = (covariance * slope).sum()  # its gradient is that of the likelihood (5.9), for a tenth of the time
            value: Tensor = bound - bound.detach() + fit + 0.5 * (((logs - mean) / deviation) ** 2).sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        try:
            optimizer.step(loss)  # type: ignore[no-untyped-call]
        except RuntimeError:  # a length ran away: the prior's will do
            return mean
        found = logs.detach()
        return found if bool(found.isfinite().all()) else mean


def _natural(logs: Tensor, d: int, least_noise: float) -> tuple[Tensor, Tensor]:
    """Lengths ``[3, d]`` and strengths ``[5]`` of their logarithms; the last strength is that of the noise."""
    return logs[: 3 * d].exp().reshape(3, d), torch.cat([logs[3 * d : -1].exp(), logs[-1:].exp() + least_noise])


def _noisy(x: Tensor, lengths: Tensor, strengths: Tensor) -> Tensor:
    """Covariance of what was observed at scaled points ``[rows, rows]``."""
    return _kernel(x, x, lengths, strengths) + strengths[4] * torch.eye(len(x), dtype=x.dtype)


def _kernel(a: Tensor, b: Tensor, lengths: Tensor, strengths: Tensor) -> Tensor:
    """Covariance of two sets of scaled points ``[a, b]``, some rows at a time, which the processor's cache holds."""
    if torch.compiler.is_exporting() or lengths.requires_grad:
        return _covariance(a, b, lengths, strengths)
    return torch.cat([_covariance(rows, b, lengths, strengths) for rows in torch.split(a, _AT_ONCE)])


def _covariance(a: Tensor, b: Tensor, lengths: Tensor, strengths: Tensor) -> Tensor:
    rough = math.sqrt(3) * square_root(_squares(a / lengths[0], b / lengths[0]) + _FAR)
    smooth = _squares(a / lengths[1], b / lengths[1])
    straight = (a / lengths[2]) @ (b / lengths[2]).T
    return (
        strengths[0] * (1 + rough) * (-rough).exp()
        + strengths[1] * (-0.5 * smooth).exp()
        + strengths[2] * straight
        + strengths[3]
    )


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances ``[a, b]``."""
    found = (a * a).sum(dim=1, keepdim=True) + (b * b).sum(dim=1)[None] - 2 * a @ b.T
    return found.clamp(min=0)
