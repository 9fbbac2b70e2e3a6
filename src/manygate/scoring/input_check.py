"""Counts the inputs of scored rows that say nothing: ids that training has not seen, and nulls where training had values."""

from __future__ import annotations

from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.data.encode import Encoder
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW, Rows
from manygate.text import share

MUCH = 0.5
"""From this share of the rows on there is a warning."""


@final
class InputCheck:
    """Counts unseen ids and nulls of each served feature, batch by batch."""

    def __init__(self, encoder: Encoder):
        self._encoder = encoder
        served = [feature for feature in encoder.schema.features if not feature.bias]
        self._names = {kind: [f.name for f in served if f.kind == kind] for kind in ("sparse", "dense", "bag")}
        self._columns = {
            kind: [i for i, f in enumerate(f for f in encoder.schema.features if f.kind == kind) if not f.bias]
            for kind in ("sparse", "bag")
        }
        self._unseen = dict.fromkeys([*self._names["sparse"], *self._names["bag"]], 0)
        self._ids, self._nulls = dict(self._unseen), dict.fromkeys([*self._names["sparse"], *self._names["dense"]], 0)
        self._rows = 0

    def add(self, batch: pa.RecordBatch, rows: Rows) -> None:
        """Add the next rows, as they were read and encoded. Nulls are counted as read: a scale may give them a value."""
        self._rows += len(rows)
        for name in self._nulls:
            self._nulls[name] += pc.sum(pc.is_null(batch.column(name), nan_is_null=True)).as_py() or 0
        for name, s in zip(self._names["sparse"], self._columns["sparse"], strict=True):
            id_N = rows.id_BS[:, s]
            self._ids[name] += int(np.count_nonzero(id_N != NULL_ROW))
            self._unseen[name] += int(np.count_nonzero(id_N == UNKNOWN_ROW))
        for name, b in zip(self._names["bag"], self._columns["bag"], strict=True):
            self._ids[name] += len(rows.bags[b][0])
            self._unseen[name] += int(np.count_nonzero(rows.bags[b][0] == UNKNOWN_ROW))

    def warnings(self, fewest: int = 1) -> list[str]:
        """A sentence for each feature of which most values say nothing; none for fewer than ``fewest`` rows."""
        if self._rows < fewest:
            return []
        texts = [
            f"feature {name!r}: {share(self._unseen[name] / count)} of the ids are ids that training has not seen, or too rarely. "
            "There the model knows no more than that the id is new. Check that the column is the one of training."
            for name, count in self._ids.items()
            if count and self._unseen[name] >= MUCH * count
        ]
        before = self._encoder.null_share
        return texts + [
            f"feature {name!r} is null in {share(nulls / self._rows)} of the rows, and in {share(before.get(name, 0.0))} of the "
            "training rows. Check what wrote it, or how it was joined."
            for name, nulls in self._nulls.items()
            if self._rows and nulls >= MUCH * self._rows and before.get(name, 0.0) < MUCH * nulls / self._rows
        ]
