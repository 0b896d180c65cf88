"""A forecaster that needs no training: eight experts in exponential smoothing's family, as one graph."""

from dxai.networks.experts.forecast import ExpertForecast
from dxai.networks.experts.network import NAMES, Experts

__all__ = ["NAMES", "ExpertForecast", "Experts"]
