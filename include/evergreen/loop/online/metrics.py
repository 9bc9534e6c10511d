"""What a server for predictions on request counts of itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "evergreen_online_requests", "Requests for predictions by what came of them.", ("model", "outcome"),
            registry=self._registry,
        )  # fmt: skip
        self._rows = Counter(
            "evergreen_online_predictions", "Predictions given on request.", ("model",), registry=self._registry
        )
        self._seconds = Histogram(
            "evergreen_online_seconds", "Time from a request's arrival to its answer, where it was answered.",
            ("model",), registry=self._registry, buckets=SECONDS,
        )  # fmt: skip
        self._version = Gauge(
            "evergreen_online_version", "Version that gave the newest answer.", ("model",), registry=self._registry
        )

    def answered(self, model: str, version: int, rows: int, seconds: float) -> None:
        """Count an answer with `rows` predictions that took `seconds`."""
        self._requests.labels(model, "answered").inc()
        self._rows.labels(model).inc(rows)
        self._seconds.labels(model).observe(seconds)
        self._version.labels(model).set(version)

    def refused(self, model: str, outcome: str) -> None:
        """Count a request that got no predictions; `outcome` says why, in a word."""
        self._requests.labels(model, outcome).inc()

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
