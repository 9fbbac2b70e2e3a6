"""The metrics of the server, in the format of Prometheus."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
VERSIONS = ("model_version", "calibration_version", "fusion_version")
STAGES = ("read", "parse", "wait", "model", "answer")
ROWS = (1, 8, 64, 256, 512, 1024, 4096)


class Measures:
    """What the server counts.

    >>> measures = Measures()
    >>> measures.requests.labels("rank", "200").inc()
    >>> b'manygate_requests_total{route="rank",status="200"} 1.0' in measures.text()[0]
    True
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._shown: tuple[str, ...] | None = None
        self._drifts: set[tuple[str, str]] = set()
        self.requests = Counter("manygate_requests", "Requests by route and status.", ["route", "status"], registry=registry)
        stage = Histogram(
            "manygate_stage_seconds", "Seconds of a request, by stage.", ["stage"], buckets=SECONDS, registry=registry
        )
        self.stages = {name: stage.labels(name) for name in STAGES}
        self.batch_rows = Histogram("manygate_batch_rows", "Rows of a prediction.", buckets=ROWS, registry=registry)
        self.inside = Gauge("manygate_inside", "Requests that wait or run.", multiprocess_mode="livesum", registry=registry)
        self.refused = Counter("manygate_refused", "Requests without an answer, by reason.", ["reason"], registry=registry)
        self.swaps = Counter("manygate_swaps", "New versions, by result.", ["result"], registry=registry)
        self.version = Gauge(
            "manygate_version",
            "1 for the versions that answer, and 0 for earlier ones.",
            VERSIONS,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.values = Counter(
            "manygate_values", "Values of sampled requests: known, unseen or null.", ["feature", "kind"], registry=registry
        )
        self.drift = Gauge(
            "manygate_drift",
            "Population stability index of sampled requests against the rows of the export.",
            ["kind", "name"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )

    def show_version(self, names: Mapping[str, str]) -> None:
        """Show the versions that answer. Earlier ones stay, with 0: metrics of several workers cannot be taken back."""
        if self._shown is not None:
            self.version.labels(*self._shown).set(0)
        self._shown = tuple(names.get(name, "") for name in VERSIONS)
        self.version.labels(*self._shown).set(1)

    def show_drift(self, indices: Mapping[tuple[str, str], float]) -> None:
        """Show the drift by (``feature`` or ``output``, name). What has no index any more is NaN."""
        for key in self._drifts - set(indices):
            self.drift.labels(*key).set(math.nan)
        for key, index in indices.items():
            self.drift.labels(*key).set(index)
        self._drifts |= set(indices)

    def text(self) -> tuple[bytes, str]:
        """Return all metrics, and their content type. With several workers they are those of all workers together."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together), CONTENT_TYPE_LATEST
