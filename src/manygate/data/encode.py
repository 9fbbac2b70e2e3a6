"""Turns a log's values into a model's inputs, in training, prediction and serving alike; no other code does.

Shape suffixes: B rows, S sparse features, M dense features, T tasks.

Every id becomes a row of an embedding table: 0 is null, 1 is out of vocabulary, 2 and above are known ids. Every dense number
becomes one float: its place on a scale fitted on training rows (see :mod:`manygate.data.scale`). Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.data.column import as_ids, as_numbers, numbers_for_text, type_change
from manygate.data.comparisons import comparable
from manygate.data.hashing import stable_hash
from manygate.data.labels import LabelScale, encode_labels, no_labels
from manygate.data.number_ids import NumberIds
from manygate.data.rows import NO_GROUP, UNKNOWN_ROW, Input, Rows, Vocabulary
from manygate.data.scale import Scale
from manygate.data.statistics import Bag
from manygate.data.target_statistics import TargetStatistics, served_bags
from manygate.errors import raise_all
from manygate.schema import Feature, Schema


@dataclass
class Encoder:
    """A fitted encoder.

    >>> import pyarrow as pa
    >>> from manygate.config import DataConfig
    >>> from manygate.data.fit import fit_encoder
    >>> schema = Schema.from_yaml("{tasks: [{name: click}], features: [{name: item, kind: sparse}, {name: age, kind: dense}]}")
    >>> log = pa.record_batch({"item": ["a", "a", "b"], "age": [20.0, 30.0, 40.0], "click": [0, 1, 0]})
    >>> encoder = fit_encoder(schema, DataConfig(min_count=1), [("log", log)])
    >>> encoder.encode(log.slice(2)).id_BS.tolist()
    [[3]]
    """

    schema: Schema
    types: dict[str, pa.DataType]
    vocabularies: dict[str, Vocabulary]
    scales: dict[str, Scale]
    labels: dict[str, LabelScale]
    null_share: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    number_ids: dict[str, NumberIds] = field(default_factory=dict)
    """The numbers whose values are also ids."""
    statistics: TargetStatistics | None = None
    """The target statistics of the training rows, if the network reads them."""

    def inputs(self, dim: int) -> tuple[Input, ...]:
        """The model's inputs in the schema's order, then the numbers as ids, then the target statistics.

        ``dim`` is the embedding width where the schema gives none.
        """
        of_features = (self._input(feature, dim) for feature in self.schema.features)
        of_numbers = (Input(name, "sparse", False, rows=ids.rows, dim=dim, of_number=True) for name, ids in self.number_ids.items())
        named = self.statistics.named(self.schema.feature_names) if self.statistics else ()
        of_labels = (Input(name, "dense", False, units=1, source=feature, unseen=value) for name, feature, value in named)
        return *of_features, *of_numbers, *of_labels

    @property
    def table_rows(self) -> dict[str, int]:
        """The rows of the embedding table of each feature of ids, and of each number whose values are ids."""
        of_features = {name: vocabulary.rows for name, vocabulary in self.vocabularies.items()}
        return of_features | {name: ids.rows for name, ids in self.number_ids.items()}

    def bags_of(self, id_BS: np.ndarray, bags: Sequence[Bag]) -> dict[str, Bag]:
        """The encoded ids of each feature that is there at serving, and of the numbers whose values are ids."""
        return served_bags(self.schema, list(self.number_ids), id_BS, bags)

    def _input(self, feature: Feature, dim: int) -> Input:
        if feature.kind == "dense":
            scale = self.scales[feature.name]
            return Input(
                feature.name, "dense", feature.bias, units=scale.units, unfold=scale.unfolds, flag=scale.nullable or feature.bias
            )
        return Input(
            feature.name,
            feature.kind,
            feature.bias,
            rows=self.vocabularies[feature.name].rows,
            dim=feature.dim or dim,
            pooling=feature.pooling,
            can_be_unseen=feature.vocabulary == "ids" and not feature.bias,
            id_dropout=feature.id_dropout,
        )

    def check(self, arrow_schema: pa.Schema, source: str, columns: Iterable[str], reasons: Mapping[str, str] | None = None) -> None:
        """Raise one error that lists every column whose values cannot be those of training; ``reasons`` has words for it.

        Any value may name a group. Labels and sample spaces are judged row by row, whatever their type.
        """
        judged = {self.schema.group, *(column for task in self.schema.tasks for column in task.columns)}
        compared = (name for name in columns if name not in judged or name in self.schema.feature_names)
        given = {name: arrow_schema.field(name).type for name in compared}
        ids = {name: vocabulary.values for name, vocabulary in self.vocabularies.items()}
        changes = {name: type_change(name, kind, self.types[name], ids.get(name), source) for name, kind in given.items()}
        changes = {n: problem or self._numbers_for_text(n, given[n], source) for n, problem in changes.items()}
        reasons = {name: f" The column is text, since it holds {why}." for name, why in (reasons or {}).items()}
        raise_all(f"{problem}{reasons.get(name, '')}" for name, problem in changes.items() if problem is not None)

    def _numbers_for_text(self, name: str, given: pa.DataType, source: str) -> str | None:
        """The problem of numbers in a column that was text in training: 7 may stand for "007"."""
        reason = self.vocabularies[name].unlike_numbers() if name in self.vocabularies else None
        return reason and numbers_for_text(name, given, self.types[name], reason, source)

    def encode(self, batch: pa.RecordBatch, location: str = "log", labels: bool = True, bias: bool = True) -> Rows:
        """Turn a record batch into rows.

        ``labels=False`` neither reads nor needs labels, weights and groups. ``bias=False`` treats bias features as absent, as
        they are at serving. Raises :class:`InputError` naming ``location`` and the column.
        """
        features = self.schema.features
        count = batch.num_rows
        sparse = sum(f.kind == "sparse" for f in features)
        id_BS = np.zeros((count, sparse + len(self.number_ids)), dtype=np.int32)
        number_BM = np.full((count, sum(f.kind == "dense" for f in features)), np.nan, dtype=np.float32)
        bags, s, m = [], 0, 0
        for feature in features:
            absent = feature.bias and not bias
            if feature.kind == "bag":
                bags.append(_empty_bag(count) if absent else self._bag(feature, batch, location))
            elif feature.kind == "sparse":
                if not absent:
                    id_BS[:, s] = self._rows(feature, batch.column(feature.name), self.types[feature.name], location)
                s += 1
            else:
                if not absent:
                    number_BM[:, m] = self.scales[feature.name](as_numbers(batch.column(feature.name), feature.name, location))
                m += 1
        for s, (name, ids) in enumerate(self.number_ids.items(), sparse):
            id_BS[:, s] = ids.rows_of(as_numbers(batch.column(name), name, location))
        if self.statistics:
            number_BM = np.concatenate([number_BM, self.statistics.columns(self.bags_of(id_BS, bags), count)], axis=1)
        label_BT, weight_BT = encode_labels(self.schema, batch, location) if labels else no_labels(self.schema, count)
        for t, task in enumerate(self.schema.tasks):
            label = self.labels[task.name]
            if task.kind == "regression":
                label_BT[:, t] = np.where(weight_BT[:, t] > 0, label.encode(label_BT[:, t]), 0.0)
        group_B = _groups(batch.column(self.schema.group)) if labels and self.schema.group else None
        return Rows(id_BS, number_BM, bags, label_BT.astype(np.float32), weight_BT.astype(np.float32), group_B)

    def _bag(self, feature: Feature, batch: pa.RecordBatch, location: str) -> tuple[np.ndarray, np.ndarray]:
        lists = batch.column(feature.name)
        if pa.types.is_null(lists.type):
            return _empty_bag(len(lists))
        row_n = self._rows(feature, pc.list_flatten(lists), self.types[feature.name].value_type, location)
        length_B = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        return row_n, np.append(0, np.cumsum(length_B)).astype(np.int64)

    def _rows(self, feature: Feature, values: pa.Array, kind: pa.DataType, location: str) -> np.ndarray:
        ids, unseen_N = as_ids(values, kind, feature.name, location)
        row_N = self.vocabularies[feature.name].rows_of(ids)
        if unseen_N is not None:
            row_N[unseen_N] = UNKNOWN_ROW
        return row_N


def _groups(column: pa.Array) -> np.ndarray:
    """A hash of each row's group; :data:`NO_GROUP` for null and NaN alone."""
    values = comparable(column)
    hash_B = stable_hash(values)
    known_B = values.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known_B, np.minimum(hash_B, NO_GROUP - np.uint64(1)), NO_GROUP)


def _empty_bag(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, dtype=np.int32), np.zeros(count + 1, dtype=np.int64)
