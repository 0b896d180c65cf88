"""A forecaster that needs no training: eight experts in exponential smoothing's family, as one graph."""

from dxai.networks.experts.forecast import Experts
from dxai.networks.experts.network import NAMES, Combination

__all__ = ["NAMES", "Combination", "Experts"]
