"""Processor, memory, disk, network and GPU while a run lasts, as MLflow's own monitors measure them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Any

from dxai.record.tracking.journal import LOGGER

_SECONDS = 10.0
"""Between measurements, as in MLflow."""


class SystemMetrics:
    """Measures from its making until `stop`; tells each measurement by ``tell(values, step)``."""

    def __init__(self, tell: Callable[[Mapping[str, float], int], None]) -> None:
        self.tell, self.over = tell, Event()
        self.monitors = _monitors()
        self.thread = Thread(target=self._measure, name="system metrics", daemon=True)
        if self.monitors:
            self.thread.start()

    def stop(self) -> None:
        """Tell no more."""
        self.over.set()
        if self.monitors:
            self.thread.join(1)

    def _measure(self) -> None:
        step = 0
        while True:
            values = dict[str, float]()
            for monitor in self.monitors:
                monitor.collect_metrics()
                values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            self.tell(values, step)
            step += 1
            if self.over.wait(_SECONDS):
                return


def _monitors() -> list[Any]:
    try:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    except ImportError:
        LOGGER.warning("tracking.system_metrics needs psutil: pip install psutil. The run goes on without.")
        return []
    kinds: list[Any] = [CPUMonitor, DiskMonitor, NetworkMonitor]
    monitors = [kind() for kind in kinds]
    try:
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        gpu: Any = GPUMonitor
        monitors.append(gpu())
    except Exception:  # no GPU, or no library that asks it
        pass
    return monitors
