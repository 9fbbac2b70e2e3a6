"""Growth of a fitted encoder: ids of further training rows get rows of their own, and old ids keep theirs.

A new id gets a row once the rows that were counted hold it as often as the feature's ``min_count`` asks. Its row comes after all
others of the feature, and several new ids are in their own order. ``max_ids`` limits old and new ids together. Hashed ids need no
row.

Everything else stays as it was fitted, since the weights of a trained network depend on it: scales and bins of numbers, the values
of numbers that are ids, scales and levels of labels, shares of nulls, target statistics. The target statistics of a new id are
those of an unseen id. So a row that was encoded before differs after the growth in the rows of new ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from manygate.config import DataConfig
from manygate.data.encode import Encoder
from manygate.data.fit import IdCounter, count_ids, early_warnings, is_counted, rounded_ids
from manygate.data.labels import count_too_early
from manygate.data.rows import UNKNOWN_ROW, Vocabulary
from manygate.data.target_statistics import TargetStatistics


class GrowingEncoder:
    """An encoder whose vocabularies grow by the ids of the rows that it is shown.

    Counts add up over all rows, so an id that is rare on each day gets a row once all days together hold it often enough.

    >>> from manygate.data.fit import fit_encoder
    >>> from manygate.schema import Schema
    >>> schema = Schema.from_yaml("{tasks: [{name: click}], features: [{name: item, kind: sparse}]}")
    >>> first = pa.record_batch({"item": ["b", "c", "b", "c"], "click": [0, 1, 0, 1]})
    >>> config = DataConfig(min_count=2)
    >>> growing = GrowingEncoder(fit_encoder(schema, config, [("log", first)]), config)
    >>> growing.add("log", pa.record_batch({"item": ["a", "a", "d"], "click": [0, 1, 0]}))
    >>> growing.grow()
    {'item': 1}
    >>> growing.encoder.vocabularies["item"].values.to_pylist()
    ['b', 'c', 'a']
    """

    def __init__(self, encoder: Encoder, config: DataConfig):
        """``config`` has the least count and the largest number of ids. The encoder that is given stays as it is."""
        self.encoder, self.config = encoder, config
        self._rounded: dict[str, str] = {}
        self._early_T = np.zeros(len(encoder.schema.tasks), dtype=np.int64)
        self._counters = {feature.name: IdCounter() for feature in encoder.schema.features if is_counted(feature)}

    def add(self, location: str, batch: pa.RecordBatch) -> None:
        """Count the ids of training rows.

        Raises:
            InputError: A column's values cannot be ids of the type that the encoder was fitted on.
        """
        schema, types = self.encoder.schema, self.encoder.types
        for name, counts in count_ids(schema, types, batch, location).items():
            self._counters[name].add(counts)
        for name, warning in rounded_ids(schema, batch).items():
            self._rounded.setdefault(name, warning)
        self._early_T += count_too_early(schema, batch, location)

    @property
    def warnings(self) -> list[str]:
        """Warnings about the rows so far: labels that are 1 too early, and ids that may have been rounded."""
        return [*early_warnings(self.encoder.schema, self._early_T), *self._rounded.values()]

    def grow(self) -> dict[str, int]:
        """Give rows to the ids that were counted often enough. Return the number of new ids of each feature that can have some."""
        features = {feature.name: feature for feature in self.encoder.schema.features}
        vocabularies, new = dict(self.encoder.vocabularies), {}
        for name, counter in self._counters.items():
            feature, known = features[name], vocabularies[name].values
            most = feature.max_ids or self.config.max_ids
            room = None if most is None else max(most - len(known), 0)
            found = counter.vocabulary(feature.min_count or self.config.min_count, room, known).cast(known.type)
            vocabularies[name] = replace(vocabularies[name], values=pa.concat_arrays([known, found]))
            new[name] = len(found)
        if any(new.values()):
            statistics = self.encoder.statistics and _with_new_rows(self.encoder.statistics, vocabularies)
            self.encoder = replace(self.encoder, vocabularies=vocabularies, statistics=statistics, warnings=[])
        return new


def grow_encoder(
    encoder: Encoder, config: DataConfig, batches: Iterable[tuple[str, pa.RecordBatch]]
) -> tuple[Encoder, dict[str, int]]:
    """Return an encoder with rows for the new ids of training rows, and their number by feature.

    Args:
        encoder: The encoder of the trained network. It stays as it is.
        config: Has ``min_count`` and ``max_ids``.
        batches: The rows, as pairs of a location (for errors) and a record batch. At least one row.

    Raises:
        InputError: A column's values cannot be ids of the type that the encoder was fitted on.

    >>> from manygate.data.fit import fit_encoder
    >>> from manygate.schema import Schema
    >>> schema = Schema.from_yaml("{tasks: [{name: click}], features: [{name: item, kind: sparse}]}")
    >>> log = [("log", pa.record_batch({"item": [7, 7, 9, 9], "click": [0, 1, 0, 1]}))]
    >>> encoder = fit_encoder(schema, DataConfig(), log)
    >>> later = [("later", pa.record_batch({"item": [9, 8, 8], "click": [0, 1, 0]}))]
    >>> grown, new = grow_encoder(encoder, DataConfig(), later)
    >>> grown.vocabularies["item"].values.to_pylist(), new
    ([7, 9, 8], {'item': 1})
    """
    growing = GrowingEncoder(encoder, config)
    for location, batch in batches:
        growing.add(location, batch)
    new = growing.grow()
    return replace(growing.encoder, warnings=growing.warnings), new


def _with_new_rows(statistics: TargetStatistics, vocabularies: dict[str, Vocabulary]) -> TargetStatistics:
    """Give the ids that have no statistics those of an unseen id."""
    tables = {}
    for name, table_VT in statistics.table_VT.items():
        missing = vocabularies[name].rows - len(table_VT) if name in vocabularies else 0
        tables[name] = np.concatenate([table_VT, np.repeat(table_VT[[UNKNOWN_ROW]], missing, axis=0)])
    return TargetStatistics(statistics.tasks, tables)
