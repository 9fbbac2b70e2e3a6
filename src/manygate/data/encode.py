"""The only code that turns a log's values into a model's inputs: for training, prediction and serving alike.

Shape suffixes: B rows, S sparse features, M dense features, T tasks.

Every id becomes a row of an embedding table: 0 is null, 1 is out of vocabulary, 2 and above are known ids. Every dense number
becomes one float: its place on a scale fitted on training rows (see :mod:`manygate.data.scale`). Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.config import DataConfig
from manygate.data.column import as_ids, as_numbers, beyond_range, fits, sample_space, type_problem
from manygate.data.hashing import stable_hash
from manygate.data.labels import LabelScale, LabelStatistics
from manygate.data.scale import NumberSample, Scale, fit_scale
from manygate.errors import InputError, raise_all
from manygate.schema import Feature, Schema, Task

NULL_ROW, UNKNOWN_ROW, FIRST_ROW = 0, 1, 2
LARGEST_WEIGHT = 1e30  # sums of a batch's weights stay finite in float32


@dataclass
class Rows:
    """Encoded rows, as plain arrays.

    ``id_BS`` int32 rows of the embedding tables; ``number_BM`` float32 places on the scales, NaN for null; ``bags`` one pair
    (ids, offsets of B + 1) per bag feature; ``label_BT`` and ``weight_BT`` float32, weight 0 where the label is masked;
    ``group_B`` uint64 or None.
    """

    id_BS: np.ndarray
    number_BM: np.ndarray
    bags: list[tuple[np.ndarray, np.ndarray]]
    label_BT: np.ndarray
    weight_BT: np.ndarray
    group_B: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.id_BS)

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """Put batches one after another."""
        first = parts[0]
        bags = []
        for b in range(len(first.bags)):
            starts = np.cumsum([0] + [part.bags[b][1][-1] for part in parts[:-1]])
            offsets = [part.bags[b][1][:-1] + start for part, start in zip(parts, starts, strict=True)]
            total = starts[-1] + parts[-1].bags[b][1][-1]
            bags.append((np.concatenate([part.bags[b][0] for part in parts]), np.append(np.concatenate(offsets), total)))
        return cls(
            id_BS=np.concatenate([part.id_BS for part in parts]),
            number_BM=np.concatenate([part.number_BM for part in parts]),
            bags=bags,
            label_BT=np.concatenate([part.label_BT for part in parts]),
            weight_BT=np.concatenate([part.weight_BT for part in parts]),
            group_B=None if first.group_B is None else np.concatenate([part.group_B for part in parts]),
        )

    def where(self, keep_B: np.ndarray) -> Rows:
        """The rows for which ``keep_B`` is true."""
        bags = []
        for value_n, offset in self.bags:
            length_B = np.diff(offset)
            kept = np.append(0, np.cumsum(length_B[keep_B]))
            bags.append((value_n[np.repeat(keep_B, length_B)], kept))
        group_B = None if self.group_B is None else self.group_B[keep_B]
        return Rows(self.id_BS[keep_B], self.number_BM[keep_B], bags, self.label_BT[keep_B], self.weight_BT[keep_B], group_B)


@dataclass(frozen=True)
class Input:
    """What the model must know of one feature: the size of its table, or the columns that its scale unfolds to."""

    name: str
    kind: str
    bias: bool
    rows: int = 0
    dim: int = 0
    pooling: str = "mean"
    units: int = 0
    unfold: bool = False
    flag: bool = False


@dataclass
class Vocabulary:
    """The known ids of one sparse or bag feature.

    >>> vocabulary = Vocabulary(pa.array(["a", "b"]))
    >>> vocabulary.rows_of(pa.array(["b", "zebra", None])).tolist()
    [3, 1, 0]
    """

    values: pa.Array
    buckets: int = 0

    @property
    def rows(self) -> int:
        """Rows of the embedding table, the null and the out-of-vocabulary row included."""
        return FIRST_ROW + (self.buckets or len(self.values))

    def rows_of(self, ids: pa.Array) -> np.ndarray:
        """Ids to rows, int32."""
        if self.buckets:
            row_N = (FIRST_ROW + stable_hash(ids) % np.uint64(self.buckets)).astype(np.int32)
        else:
            found = pc.index_in(ids, value_set=self.values)
            row_N = pc.fill_null(pc.add(found, FIRST_ROW), UNKNOWN_ROW).to_numpy(zero_copy_only=False).astype(np.int32)
        if ids.null_count:
            row_N[pc.is_null(ids).to_numpy(zero_copy_only=False)] = NULL_ROW
        return row_N


@dataclass
class Encoder:
    """A fitted encoder.

    >>> import pyarrow as pa
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

    def inputs(self, dim: int) -> tuple[Input, ...]:
        """The model's inputs in the schema's order; ``dim`` is the embedding width where the schema gives none."""
        return tuple(self._input(feature, dim) for feature in self.schema.features)

    def _input(self, feature: Feature, dim: int) -> Input:
        if feature.kind == "dense":
            scale = self.scales[feature.name]
            return Input(
                feature.name, "dense", feature.bias, units=scale.units, unfold=scale.unfolds, flag=scale.nullable or feature.bias
            )
        rows = self.vocabularies[feature.name].rows
        return Input(feature.name, feature.kind, feature.bias, rows=rows, dim=feature.dim or dim, pooling=feature.pooling)

    def check(self, arrow_schema: pa.Schema, source: str, columns: Iterable[str]) -> None:
        """Raise one error that lists every column whose type is not the one of training."""
        problems = []
        for name in columns:
            found, fitted = arrow_schema.field(name).type, self.types[name]
            if not fits(found, fitted):
                problems.append(f"{source}: column {name!r} is {found}, but was {fitted} in training. Write it with its old type.")
        raise_all(problems)

    def encode(self, batch: pa.RecordBatch, place: str = "log", labels: bool = True, bias: bool = True) -> Rows:
        """Turn a record batch into rows.

        ``labels=False`` neither reads nor needs labels, weights and groups. ``bias=False`` treats bias features as absent, as
        they are at serving. Raises :class:`InputError` naming ``place`` and the column.
        """
        features = self.schema.features
        count = batch.num_rows
        id_BS = np.zeros((count, sum(f.kind == "sparse" for f in features)), dtype=np.int32)
        number_BM = np.full((count, sum(f.kind == "dense" for f in features)), np.nan, dtype=np.float32)
        bags, s, m = [], 0, 0
        for feature in features:
            absent = feature.bias and not bias
            if feature.kind == "bag":
                bags.append(_empty_bag(count) if absent else self._bag(feature, batch, place))
            elif feature.kind == "sparse":
                if not absent:
                    id_BS[:, s] = self._rows(feature, batch.column(feature.name), self.types[feature.name], place)
                s += 1
            else:
                if not absent:
                    number_BM[:, m] = self.scales[feature.name](as_numbers(batch.column(feature.name), feature.name, place))
                m += 1
        label_BT, weight_BT = encode_labels(self.schema, batch, place) if labels else _no_labels(self.schema, count)
        for t, task in enumerate(self.schema.tasks):
            label = self.labels[task.name]
            if task.kind == "regression":
                label_BT[:, t] = np.where(weight_BT[:, t] > 0, label.encode(label_BT[:, t]), 0.0)
        group_B = stable_hash(batch.column(self.schema.group)) if labels and self.schema.group else None
        return Rows(id_BS, number_BM, bags, label_BT.astype(np.float32), weight_BT.astype(np.float32), group_B)

    def _bag(self, feature: Feature, batch: pa.RecordBatch, place: str) -> tuple[np.ndarray, np.ndarray]:
        lists = batch.column(feature.name)
        if pa.types.is_null(lists.type):
            return _empty_bag(len(lists))
        row_n = self._rows(feature, pc.list_flatten(lists), self.types[feature.name].value_type, place)
        length_B = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        return row_n, np.append(0, np.cumsum(length_B)).astype(np.int64)

    def _rows(self, feature: Feature, values: pa.Array, kind: pa.DataType, place: str) -> np.ndarray:
        beyond_N = beyond_range(values, kind)
        if beyond_N is None:
            return self.vocabularies[feature.name].rows_of(as_ids(values, kind, feature.name, place))
        values = pc.if_else(pa.array(beyond_N), pa.scalar(None, values.type), values)
        row_N = self.vocabularies[feature.name].rows_of(as_ids(values, kind, feature.name, place))
        row_N[beyond_N] = UNKNOWN_ROW
        return row_N


def _empty_bag(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, dtype=np.int32), np.zeros(count + 1, dtype=np.int64)


def _no_labels(schema: Schema, count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, len(schema.tasks))
    return np.zeros(shape), np.zeros(shape)


def encode_labels(schema: Schema, batch: pa.RecordBatch, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels as they stand (float64) and weights, zero where a label is null or outside its sample space."""
    row_weight_B = _row_weights(schema, batch, place)
    label_BT, weight_BT = _no_labels(schema, batch.num_rows)
    problems: list[str] = []
    for t, task in enumerate(schema.tasks):
        try:
            label_B = _checked_label(task, batch, place)
        except InputError as error:
            problems += error.problems
            continue
        known_B = ~np.isnan(label_B) & sample_space(task, batch, place)
        label_BT[:, t] = np.where(known_B, label_B, 0.0)
        weight_BT[:, t] = np.where(known_B, row_weight_B, 0.0)
    raise_all(problems)
    for t, after in funnel_order(schema.parents):
        happened_B = (weight_BT[:, after] > 0) & (label_BT[:, after] == 1)
        label_BT[:, t] = np.where(happened_B, label_BT[:, t], 0.0)
        weight_BT[:, t] = np.where(happened_B, weight_BT[:, t], 0.0)
    return label_BT, weight_BT


def funnel_order(parents: Sequence[int | None]) -> list[tuple[int, int]]:
    """(task, the task it comes after), such that a task comes before those after it.

    >>> funnel_order([1, 2, None])
    [(1, 2), (0, 1)]
    """
    steps: list[tuple[int, int]] = []
    ready = {t for t, after in enumerate(parents) if after is None}
    while len(ready) < len(parents):
        found = [(t, after) for t, after in enumerate(parents) if after is not None and t not in ready and after in ready]
        assert found, "a funnel without a beginning"
        steps += found
        ready |= {t for t, _ in found}
    return steps


def _too_early(schema: Schema, batch: pa.RecordBatch, place: str) -> np.ndarray:
    """For each task after another, the rows in which a binary label is 1 and that of the step before is 0."""
    found = np.zeros(len(schema.tasks), dtype=np.int64)
    for t, after in funnel_order(schema.parents):
        if schema.tasks[t].kind == "binary":
            label_B, before_B = (
                as_numbers(batch.column(schema.tasks[i].column), schema.tasks[i].column, place) for i in (t, after)
            )
            found[t] = np.count_nonzero((label_B == 1) & (before_B == 0))
    return found


def _checked_label(task: Task, batch: pa.RecordBatch, place: str) -> np.ndarray:
    label_B = as_numbers(batch.column(task.column), task.column, place)
    if task.kind == "binary":
        bad_B = ~np.isnan(label_B) & (label_B != 0) & (label_B != 1)
        remedy = f"A binary label is 0, 1 or null; for a number write --task {task.name}:kind=regression."
    elif task.trained_by == "log":
        bad_B = np.isinf(label_B) | (label_B < 0)
        remedy = "A label with loss=log is a finite number of 0 or more, or null."
    else:
        bad_B, remedy = np.isinf(label_B), "A regression label is a finite number or null."
    if bad_B.any():
        examples = ", ".join(f"{value:g}" for value in np.unique(label_B[bad_B])[:3])
        raise InputError(
            f"{place}: label {task.column!r} of task {task.name!r} has {int(bad_B.sum()):,} values that cannot be labels "
            f"({examples}), the first in row {int(bad_B.argmax())} of this part. {remedy}"
        )
    return label_B


def _row_weights(schema: Schema, batch: pa.RecordBatch, place: str) -> np.ndarray:
    if schema.weight is None:
        return np.ones(batch.num_rows)
    weight_B = as_numbers(batch.column(schema.weight), schema.weight, place)
    bad_B = ~np.isfinite(weight_B) | (weight_B < 0) | (weight_B > LARGEST_WEIGHT)
    if bad_B.any():
        raise InputError(
            f"{place}: weight column {schema.weight!r} has {int(bad_B.sum()):,} values that are null, negative, infinite or above "
            f"{LARGEST_WEIGHT:g}, the first in row {int(bad_B.argmax())} of this part. Weights must be numbers of 0 or more."
        )
    return weight_B


class _Counter:
    """Counts the ids of one column over a stream, with bounded memory for what repeats."""

    def __init__(self) -> None:
        self.parts: list[pa.Table] = []
        self.pending = 0

    def add(self, ids: pa.Array) -> None:
        counts = pc.value_counts(ids.drop_null())
        self.parts.append(pa.table({"id": counts.field("values"), "n": counts.field("counts")}))
        self.pending += len(counts)
        if self.pending > 4_000_000:
            self._merge()

    def _merge(self) -> None:
        merged = pa.concat_tables(self.parts).group_by("id").aggregate([("n", "sum")])
        self.parts = [pa.table({"id": merged["id"], "n": merged["n_sum"]})]
        self.pending = 0

    def vocabulary(self, min_count: int) -> pa.Array:
        """Ids seen at least ``min_count`` times, sorted, so that they do not depend on the order of the log."""
        self._merge()
        table = self.parts[0]
        kept = table.filter(pc.greater_equal(table["n"], min_count)).sort_by("id")["id"]
        return kept.combine_chunks()


def fit_encoder(schema: Schema, config: DataConfig, batches: Iterable[tuple[str, pa.RecordBatch]], seed: int = 0) -> Encoder:
    """Fit an encoder in one pass over training rows, given as (place, record batch)."""
    counters = {f.name: _Counter() for f in schema.features if f.kind != "dense" and f.vocabulary == "ids"}
    dense = [f.name for f in schema.features if f.kind == "dense"]
    sample = NumberSample(len(dense), seed)
    labels = LabelStatistics(schema, seed)
    nulls: dict[str, int] = dict.fromkeys(schema.feature_names, 0)
    types: dict[str, pa.DataType] = {}
    count, early = 0, np.zeros(len(schema.tasks), dtype=np.int64)
    for place, batch in batches:
        if not types:
            types = _fitted_types(schema, batch, place)
        for feature in schema.features:
            column = batch.column(feature.name)
            nulls[feature.name] += column.null_count
            if feature.name in counters:
                values = pc.list_flatten(column) if feature.kind == "bag" else column
                kind = types[feature.name].value_type if feature.kind == "bag" else types[feature.name]
                counters[feature.name].add(as_ids(values, kind, feature.name, place))
        number_BM = [as_numbers(batch.column(name), name, place) for name in dense]
        sample.add(np.stack(number_BM, axis=1) if dense else np.zeros((batch.num_rows, 0)))
        labels.add(*encode_labels(schema, batch, place))
        early += _too_early(schema, batch, place)
        count += batch.num_rows
    if count == 0:
        raise InputError("the training split has no rows. Give more rows, or a larger first share in --fractions.")
    encoder = Encoder(schema, types, {}, {}, labels.scales(place), {name: n / count for name, n in nulls.items()})
    encoder.warnings += [
        f"label {task.column!r} of task {task.name!r} is 1 in {rows:,} training rows where {task.after!r} has not happened; these "
        "are left out. Check how the labels were joined, or whether it really comes after."
        for task, rows in zip(schema.tasks, early, strict=True)
        if rows
    ]
    for feature in schema.features:
        _fit_feature(encoder, feature, config, counters, sample, dense)
    return encoder


def _fit_feature(
    encoder: Encoder, feature: Feature, config: DataConfig, counters: dict[str, _Counter], sample: NumberSample, dense: list[str]
) -> None:
    if feature.kind == "dense":
        scale, warnings = fit_scale(sample, dense.index(feature.name), feature.encoding or config.encoding, config.bins)
        encoder.scales[feature.name] = scale
        encoder.warnings += [f"column {feature.name!r} {warning}" for warning in warnings]
        encoder.null_share[feature.name] = sample.null_share(dense.index(feature.name))
        return
    if feature.vocabulary == "hash":
        encoder.vocabularies[feature.name] = Vocabulary(pa.array([], pa.string()), feature.buckets or 2**16)
        return
    values = counters[feature.name].vocabulary(feature.min_count or config.min_count)
    encoder.vocabularies[feature.name] = Vocabulary(values)
    if encoder.null_share[feature.name] == 1:
        encoder.warnings.append(f"column {feature.name!r} is null in every training row and teaches nothing.")


def _fitted_types(schema: Schema, batch: pa.RecordBatch, place: str) -> dict[str, pa.DataType]:
    types = {field.name: field.type for field in batch.schema if field.name in schema.columns}
    found = [type_problem(f.name, f.kind, types[f.name], place) for f in schema.features]
    if schema.group and pa.types.is_nested(types[schema.group]):
        found.append(
            f"{place}: group column {schema.group!r} is {types[schema.group]}; it must hold one plain value a row. Name another."
        )
    raise_all(problem for problem in found if problem is not None)
    return types
