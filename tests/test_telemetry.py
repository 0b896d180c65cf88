"""A member firm's machine sends nothing: ONNX Runtime's telemetry, on by default since 1.29, is off under dxai."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="ONNX Runtime keeps its device id elsewhere on other systems")
def test_onnx_runtime_writes_no_device_id_under_dxai(tmp_path: Path) -> None:
    """The id of the device is the first thing that telemetry makes: without `import dxai` the folder holds one."""
    dropped = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in dropped} | {"HOME": str(tmp_path)}
    script = "import dxai, onnxruntime; print(onnxruntime.get_device())"
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "CPU"
    assert not list(tmp_path.rglob("*"))
