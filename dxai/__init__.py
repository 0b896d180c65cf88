"""dxai: standard AI for shared industrial data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.3.0.dev0"

# ONNX Runtime 1.29 and later report to their maker on Linux too, unless this is set before they are imported: a member
# firm's machine sends nothing.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from dxai.api import LoadedModel, forecast, load

__all__ = ["LoadedModel", "__version__", "forecast", "load"]


def __getattr__(name: str) -> Any:
    """``load``, ``LoadedModel`` and ``forecast``, imported when asked for: the command line must start at once."""
    if name in ("load", "LoadedModel", "forecast"):
        from dxai import api

        return getattr(api, name)
    raise AttributeError(f"module 'dxai' has no attribute {name!r}")
