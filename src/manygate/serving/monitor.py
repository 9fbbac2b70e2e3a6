"""Watches sampled predictions: which values are unseen or null, and how far they are from the rows of the export.

A prediction is sampled at most every :data:`PAUSE` seconds, so that watching costs little under load.

Shape suffixes: B rows, S features of one id.
"""

from __future__ import annotations

import time

import numpy as np

from manygate.serving.batching import Ran
from manygate.serving.corrections import number_of
from manygate.serving.drift import Drift
from manygate.serving.measures import Measures
from manygate.serving.versions import Version

PAUSE = 0.1


class Monitor:
    """Counts what predictions read, and what sampled ones hold."""

    def __init__(self, measures: Measures):
        self.measures = measures
        self._next = 0.0
        self._drift: tuple[str, Drift] | None = None
        """The drift of a version. A new version begins anew."""

    def wants(self, version: Version) -> tuple[str, ...]:
        """Return the outputs of the graph that the next prediction is to have beside its columns: some if it is sampled."""
        now = time.perf_counter()
        if now < self._next:
            return ()
        self._next = now + PAUSE
        return (version.model.manifest["id_rows"]["name"],)

    def observe(self, ran: Ran) -> None:
        """Count a prediction that ran."""
        measures = self.measures
        measures.batch_rows.observe(ran.feed.rows)
        measures.stages["model"].observe(ran.took)
        for seconds in ran.waited:
            measures.stages["wait"].observe(seconds)
        if ran.extra:
            self._count(ran, ran.extra[ran.version.model.manifest["id_rows"]["name"]])

    def _count(self, ran: Ran, row_BS: np.ndarray) -> None:
        """Count the values of a sampled prediction."""
        entry, inputs = ran.version.model.manifest["id_rows"], ran.version.inputs
        for column, feature in enumerate(entry["features"]):
            unseen, null = (int((row_BS[:, column] == entry[kind]).sum()) for kind in ("unseen", "null"))
            self._add(feature, unseen=unseen, null=null, known=len(row_BS) - unseen - null)
        for name in (name for name, each in inputs.entries.items() if each["kind"] == "dense"):
            null = int(np.isnan(number_of(name, ran.feed, inputs)).sum())
            self._add(name, null=null, known=len(row_BS) - null)
        drift = self._drift_of(ran.version)
        drift.add(ran.feed, inputs, row_BS, ran.columns)
        self.measures.show_drift(drift.indices())

    def _add(self, feature: str, **counts: int) -> None:
        for kind, count in counts.items():
            if count:
                self.measures.values.labels(feature, kind).inc(count)

    def _drift_of(self, version: Version) -> Drift:
        if self._drift is None or self._drift[0] != version.model_version:
            self._drift = version.model_version, Drift(version.model.manifest)
        return self._drift[1]
