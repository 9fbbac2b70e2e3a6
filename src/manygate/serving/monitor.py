"""Watches sampled predictions: which ids are unseen or null.

A prediction is sampled at most every :data:`PAUSE` seconds, so that watching costs little under load.

Shape suffixes: B rows, S features of one id.
"""

from __future__ import annotations

import time

from manygate.serving.batching import Ran
from manygate.serving.measures import Measures
from manygate.serving.versions import Version

PAUSE = 0.1


class Monitor:
    """Counts what sampled predictions read."""

    def __init__(self, measures: Measures):
        self.measures = measures
        self._next = 0.0

    def wants(self, version: Version) -> tuple[str, ...]:
        """Return the outputs of the graph that the next prediction is to have beside its columns."""
        now = time.perf_counter()
        if now < self._next or "id_rows" not in version.model.manifest:
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
            self._count_ids(ran)

    def _count_ids(self, ran: Ran) -> None:
        entry = ran.version.model.manifest["id_rows"]
        row_BS = ran.extra[entry["name"]]
        for column, feature in enumerate(entry["features"]):
            unseen = int((row_BS[:, column] == entry["unseen"]).sum())
            null = int((row_BS[:, column] == entry["null"]).sum())
            counts = {"unseen": unseen, "null": null, "known": len(row_BS) - unseen - null}
            for kind, count in counts.items():
                if count:
                    self.measures.ids.labels(feature, kind).inc(count)
