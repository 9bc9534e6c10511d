"""StatsD in, Prometheus' text out: what the compose file's `statsd-exporter` does, for the cluster shape.

That program comes as an image and as Go source only. This one speaks the same line protocol, reads the same mapping
file (and refuses what it does not know of it) and gives metrics the same names and labels, so that rules and dashboards
are tried on what they will be asked of. `python -m evergreen.stack.cluster.statsd_exporter MAPPING UDP_PORT WEB_PORT`.

Source: the README and the line parser of prometheus/statsd_exporter 0.30.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from evergreen.errors import SettingsError
from evergreen.stack.config.ports import HOST

log = logging.getLogger("evergreen.stack")

Labels = tuple[tuple[str, str], ...]
_KINDS = {"c": "counter", "g": "gauge", "ms": "histogram", "h": "histogram", "d": "histogram"}
_DATAGRAM = 65535


@dataclass(frozen=True)
class Sample:
    """One sample of a line.

    Attributes:
        name: as Prometheus writes it.
        kind: counter, gauge or histogram.
        value: a counter's increment, a gauge's value, a histogram's observation (seconds if it was a timer).
        relative: whether a gauge moves by the value.
    """

    name: str
    labels: Labels
    kind: str
    value: float
    relative: bool = False


def escape(name: str) -> str:
    """A name that Prometheus takes."""
    escaped = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{escaped}" if escaped[:1].isdigit() else escaped


def parse(line: str) -> Sample:
    """The sample of a StatsD line with InfluxDB's tags: `name,tag=value:1|c`, with `|@0.1` if one in ten is sent.

    Raises:
        ValueError: it is no such line.
    """
    head, _, rest = line.partition(":")
    text, *parts = rest.split("|")
    if not head or not parts or parts[0] not in _KINDS:
        raise ValueError(f"not a StatsD line: {line[:100]!r}")
    name, *tags = head.split(",")
    pairs = (tag.partition("=") for tag in tags)
    labels = tuple(sorted((escape(key), value) for key, _, value in pairs if key and value))
    value, kind = float(text), _KINDS[parts[0]]
    rate = next((float(part[1:]) for part in parts[1:] if part.startswith("@")), 1.0) or 1.0
    if kind == "counter":
        value /= rate
    elif parts[0] == "ms":
        value /= 1000
    return Sample(escape(name), labels, kind, value, kind == "gauge" and text[:1] in "+-")


def read_buckets(path: Path) -> list[float]:
    """Upper bounds of the histograms, in seconds, from a mapping file of statsd_exporter.

    Raises:
        SettingsError: it holds what is not understood here.
    """
    import yaml

    match yaml.safe_load(path.read_text()):
        case {
            "defaults": {"observer_type": "histogram", "histogram_options": {"buckets": [*bounds], **none}, **neither},
            "mappings": [],
            **nor,
        } if not (none or neither or nor) and bounds == sorted(set(bounds)):
            return [float(bound) for bound in bounds]
    raise SettingsError(
        f"{path}: here only a default histogram with rising buckets and an empty list of mappings are understood. "
        "Teach evergreen.stack.cluster.statsd_exporter the rest, so that it is tried before it is deployed."
    )


@dataclass
class _Histogram:
    counts: list[int]
    total: float = 0.0


@dataclass(eq=False)  # a registry keeps collectors by identity
class Metrics:
    """What has been received. `add` and `collect` may run in different threads."""

    buckets: list[float]
    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[Labels, Any]] = field(default_factory=dict)
    lines: int = 0
    errors: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, datagram: bytes) -> None:
        """Take the lines of a datagram; what is wrong with one costs only that one."""
        for line in datagram.decode("utf-8", errors="replace").splitlines():
            self.lines += 1
            try:
                self.add(parse(line))
            except ValueError as err:
                self.errors += 1
                log.warning("%s", err)

    def add(self, sample: Sample) -> None:
        """Take a sample.

        Raises:
            ValueError: its name has another type already, or a counter would fall.
        """
        with self.lock:
            if self.kinds.setdefault(sample.name, sample.kind) != sample.kind:
                raise ValueError(f"{sample.name} is a {self.kinds[sample.name]} and cannot be a {sample.kind} too")
            series = self.values.setdefault(sample.name, {})
            if sample.kind == "histogram":
                known = series.setdefault(sample.labels, _Histogram([0] * (len(self.buckets) + 1)))
                known.counts[bisect_left(self.buckets, sample.value)] += 1
                known.total += sample.value
            elif sample.kind == "counter" and sample.value < 0:
                raise ValueError(f"{sample.name} is a counter and cannot fall by {-sample.value}")
            else:
                adds = sample.kind == "counter" or sample.relative
                series[sample.labels] = (series.get(sample.labels, 0.0) if adds else 0.0) + sample.value

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        with self.lock:
            families = [self._family(name) for name in sorted(self.values)]
        yield from families
        for name, value in (("lines", self.lines), ("sample_errors", self.errors)):
            family = CounterMetricFamily(f"statsd_exporter_{name}", "Of this exporter itself.")
            family.add_metric([], value)
            yield family

    def describe(self) -> list[Metric]:
        """Nothing is known before it was received."""
        return []

    def _family(self, name: str) -> Metric:
        kind = self.kinds[name]
        # The original keeps a counter's name as it came; this library would write `_total` into the line with its type.
        family = Metric(name, "Metric autogenerated by statsd_exporter.", "unknown" if kind == "counter" else kind)
        for labels, value in sorted(self.values[name].items(), key=lambda item: item[0]):
            if kind == "histogram":
                self._add_histogram(family, dict(labels), value)
            else:
                family.add_sample(name, dict(labels), value)
        return family

    def _add_histogram(self, family: Metric, labels: dict[str, str], value: _Histogram) -> None:
        seen = 0
        for bound, count in zip([*(f"{bound:g}" for bound in self.buckets), "+Inf"], value.counts, strict=True):
            seen += count
            family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, seen)
        family.add_sample(f"{family.name}_count", labels, seen)
        family.add_sample(f"{family.name}_sum", labels, value.total)


def serve(metrics: Metrics, udp_port: int, web_port: int) -> None:
    """Take datagrams until the process is ended, and answer Prometheus (any path) meanwhile."""
    registry = CollectorRegistry()
    registry.register(metrics)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        server.bind((HOST, udp_port))
        start_http_server(web_port, HOST, registry)
        log.info("taking StatsD on %s:%d, metrics on port %d", HOST, udp_port, web_port)
        while True:
            metrics.receive(server.recv(_DATAGRAM))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(Metrics(read_buckets(Path(sys.argv[1]))), int(sys.argv[2]), int(sys.argv[3]))
