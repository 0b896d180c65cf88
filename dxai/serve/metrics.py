"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server, in a registry of its own; labels take known values only, whatever clients send."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "path", "model", "status"]
        self.requests = Counter("dxai_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "dxai_request_seconds",
            "Time to the answer.",
            ["path"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rows = Counter("dxai_rows", "Rows predicted, or series forecast.", ["model"], registry=self.registry)
        self.queue = Gauge("dxai_queue", "Requests that are computed or wait for it.", registry=self.registry)
        self.rejected = Counter("dxai_rejected", "Requests told to come again.", ["reason"], registry=self.registry)
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
