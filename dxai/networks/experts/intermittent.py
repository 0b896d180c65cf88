"""Croston's family: demand with zeros as sizes and the time between them, each method in closed form, without a loop.

Every method smooths some of the steps of a history: the demands, the intervals between them, whether there was one, or
sums of whole blocks. Simple exponential smoothing that starts at its first value is a weighted mean

    level = sum of alpha (1 - alpha)^later * value,     and (1 - alpha)^later of the first value, without alpha,

where ``later`` counts the smoothed steps that followed: a running sum, so that steps may be left out at no cost.
Sources: Croston (1972); Syntetos and Boylan (2005), SBA; Teunter, Syntetos and Babai (2011), TSB; Nikolopoulos et al.
(2011), ADIDA; Petropoulos and Kourentzes (2015), IMAPA.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dxai.networks.experts.gaps import places_of

LONGEST_BLOCK = 12
"""Steps of the longest block of ADIDA and IMAPA."""


def smoothed(values: Tensor, counted: Tensor, alpha: float) -> Tensor:
    """Level of simple exponential smoothing over the steps that count; 0 where none does.

    Args:
        values: Oldest first ``[..., time]``.
        counted: 1 where a step counts, 0 elsewhere ``[..., time]``.
        alpha: Smoothing parameter.

    Returns:
        ``[...]``.
    """
    number = torch.cumsum(counted, dim=-1)
    later = number[..., -1:] - number
    powers = torch.tensor([(1 - alpha) ** k for k in range(values.shape[-1] + 1)], dtype=values.dtype)
    first = (number == 1).to(values.dtype)
    weight = counted * powers[later.long()] * (alpha + (1 - alpha) * first)
    return (weight * values).sum(dim=-1)


def croston(values: Tensor, known: Tensor, alpha: float) -> Tensor:
    """Smoothed size of a demand over the smoothed interval between two; 0 without demand ``[series]``.

    Args:
        values: 0 or more, 0 where nothing is known ``[series, time]``.
        known: 1 where a value is known; other steps take no time ``[series, time]``.
        alpha: Smoothing parameter of both.
    """
    sold = _sold(values, known)
    return smoothed(values, sold, alpha) / smoothed(_intervals(sold, known), sold, alpha).clamp_min(1.0)


def sba(values: Tensor, known: Tensor, alpha: float) -> Tensor:
    """Croston's forecast without its bias, to first order ``[series]``."""
    return (1 - alpha / 2) * croston(values, known, alpha)


def tsb(values: Tensor, known: Tensor, size_alpha: float, chance_alpha: float) -> Tensor:
    """Smoothed size of a demand times the smoothed chance of one, which fades when nothing is sold ``[series]``."""
    sold = _sold(values, known)
    return smoothed(values, sold, size_alpha) * smoothed(sold, known, chance_alpha)


def adida_and_imapa(values: Tensor, known: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """ADIDA and IMAPA: smoothed means of blocks as long as the mean interval; their mean over all shorter blocks too.

    Blocks are counted from the newest step; what does not fill one at the beginning is left out.

    Returns:
        ADIDA and IMAPA, both ``[series]``.
    """
    sold = _sold(values, known)
    intervals = (_intervals(sold, known) * sold).sum(dim=1) / sold.sum(dim=1).clamp_min(1.0)
    longest = intervals.round().clamp(1.0, float(LONGEST_BLOCK))[:, None]  # [series, 1]
    lengths = torch.arange(1, LONGEST_BLOCK + 1, dtype=values.dtype)
    levels = smoothed(*_blocks(values, known, lengths), alpha)  # [series, length]
    within, own = ((lengths <= longest).to(values.dtype), (lengths == longest).to(values.dtype))
    return (levels * own).sum(dim=1), (levels * within).sum(dim=1) / longest[:, 0]


def _blocks(values: Tensor, known: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the block that ends with each step, and 1 where one ends; both ``[series, length, time]``."""
    begun = (torch.cumsum(known, dim=1) > 0).to(values.dtype)
    age = torch.arange(LONGEST_BLOCK - 1, -1, -1, dtype=values.dtype)
    windows = (age < lengths[:, None]).to(values.dtype)[:, None]  # [length, 1, step]
    sums, counts, steps = (
        functional.conv1d(functional.pad(each[:, None], (LONGEST_BLOCK - 1, 0)), windows)
        for each in (values, known, begun)
    )
    ends = torch.arange(values.shape[1] - 1, -1, -1, dtype=values.dtype) % lengths[:, None] == 0
    counted = (ends & (steps == lengths[:, None]) & (counts > 0)).to(values.dtype)
    return sums / counts.clamp_min(1.0), counted


def _sold(values: Tensor, known: Tensor) -> Tensor:
    return (values > 0).to(values.dtype) * known


def _intervals(sold: Tensor, known: Tensor) -> Tensor:
    """Known steps from the demand before (at first: from the beginning) to each step ``[series, time]``."""
    place = torch.cumsum(known, dim=1)
    places, number = places_of(sold > 0)
    earlier = number - sold.long() - 1
    last = place.gather(1, places.gather(1, earlier.clamp_min(0)))
    return place - torch.where(earlier < 0, 0.0, last)
