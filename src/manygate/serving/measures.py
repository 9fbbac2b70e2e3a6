"""The metrics of the server, in the format of Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
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
            "1 for the versions that answer.",
            ["model_version", "calibration_version", "fusion_version"],
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

    def text(self) -> tuple[bytes, str]:
        """Return all metrics, and their content type. With several workers they are those of all workers together."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together), CONTENT_TYPE_LATEST
