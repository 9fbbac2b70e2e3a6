"""Fits an encoder in one pass over training rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.config import DataConfig
from manygate.config.data_settings import LARGE_LOG
from manygate.data.column import as_ids, as_numbers, rounded_id, rounding_warning, type_problem
from manygate.data.encode import Encoder
from manygate.data.in_order import in_order
from manygate.data.labels import LabelStatistics, count_too_early, encode_labels
from manygate.data.number_ids import fit_number_ids
from manygate.data.rows import Vocabulary
from manygate.data.scale import NumberSample, fit_scale
from manygate.errors import InputError, raise_all, setting
from manygate.schema import Feature, Schema


class IdCounter:
    """Counts the ids of one column over a stream, with bounded memory for what repeats."""

    def __init__(self) -> None:
        self.parts: list[pa.Table] = []
        self.pending = 0

    def add(self, counts: pa.Table) -> None:
        """Add the ids of a batch with their numbers: see :func:`count_ids`."""
        self.parts.append(counts)
        self.pending += len(counts)
        if self.pending > 4_000_000:
            self._merge()

    def _merge(self) -> None:
        merged = pa.concat_tables(self.parts).group_by("id").aggregate([("n", "sum")])
        self.parts = [pa.table({"id": merged["id"], "n": merged["n_sum"]})]
        self.pending = 0

    def vocabulary(self, min_count: int, most: int | None = None, known: pa.Array | None = None) -> pa.Array:
        """Ids seen at least ``min_count`` times, sorted, so that they do not depend on the order of the log.

        Of more than ``most`` ids the most frequent stay; among ids that are as frequent, the first in the order of ids. Ids that
        are ``known`` are left out and do not count.
        """
        self._merge()
        table = self.parts[0]
        table = table.filter(pc.greater_equal(table["n"], min_count))
        if known is not None:
            table = table.filter(pc.invert(pc.is_in(table["id"], value_set=known)))
        if most is not None:
            table = table.sort_by([("n", "descending"), ("id", "ascending")]).slice(0, most)
        return table.sort_by("id")["id"].combine_chunks()


@dataclass(frozen=True)
class _Facts:
    """What the encoder is fitted on, of one batch."""

    location: str
    rows: int
    nulls: dict[str, int]
    ids: dict[str, pa.Table]
    rounded: dict[str, str]
    number_BM: np.ndarray
    labels: tuple[np.ndarray, np.ndarray]
    early_T: np.ndarray


def fit_encoder(
    schema: Schema,
    config: DataConfig,
    batches: Iterable[tuple[str, pa.RecordBatch]],
    seed: int = 0,
    threads: int | None = 1,
) -> Encoder:
    """Fit an encoder in one pass over training rows, given as pairs of a location (for errors) and a record batch.

    Batches are read by ``threads`` threads and counted in their order, so the encoder does not depend on the number of threads.
    """
    counters = {f.name: IdCounter() for f in schema.features if is_counted(f)}
    dense = [f.name for f in schema.features if f.kind == "dense"]
    sample = NumberSample(len(dense), seed)
    labels = LabelStatistics(schema, seed)
    nulls: dict[str, int] = dict.fromkeys(schema.feature_names, 0)
    rounded: dict[str, str] = {}
    count, early = 0, np.zeros(len(schema.tasks), dtype=np.int64)
    waiting = iter(batches)
    first = list(islice(waiting, 1))
    types = _fitted_types(schema, first[0][1], first[0][0]) if first else {}
    for facts in in_order(partial(_read, schema, types), chain(first, waiting), threads):
        location, count = facts.location, count + facts.rows
        for name, number in facts.nulls.items():
            nulls[name] += number
        for name, counts in facts.ids.items():
            counters[name].add(counts)
        for name, warning in facts.rounded.items():
            rounded.setdefault(name, warning)
        sample.add(facts.number_BM)
        labels.add(*facts.labels)
        early += facts.early_T
    if count == 0:
        raise InputError(f"the training split has no rows. Give more rows, or a larger first share in {setting('fractions')}.")
    encoder = Encoder(schema, types, {}, {}, labels.scales(location), {name: n / count for name, n in nulls.items()})
    encoder.warnings += early_warnings(schema, early)
    encoder.warnings += rounded.values()
    small = config.number_ids is None and count < LARGE_LOG
    least = 0 if small else config.number_ids
    for feature in schema.features:
        _fit_feature(encoder, feature, config, counters, sample, dense, least)
    return encoder


def early_warnings(schema: Schema, early_T: np.ndarray) -> list[str]:
    """Warn of labels that are 1 where the step before did not happen. ``early_T`` has their number for each task."""
    return [
        f"label {task.column!r} of task {task.name!r} is 1 in {rows:,} training rows where {task.after!r} has not happened; these "
        "are left out. Check how the labels were joined, or whether it really comes after."
        for task, rows in zip(schema.tasks, early_T, strict=True)
        if rows
    ]


def is_counted(feature: Feature) -> bool:
    """Return whether a feature's ids are counted: those of a hashed vocabulary and numbers are not."""
    return feature.kind != "dense" and feature.vocabulary == "ids"


def _read(schema: Schema, types: dict[str, pa.DataType], located: tuple[str, pa.RecordBatch]) -> _Facts:
    """Read a batch. Raises :class:`InputError` that names its location for values that cannot be those of a column."""
    location, batch = located
    columns = [as_numbers(batch.column(f.name), f.name, location) for f in schema.features if f.kind == "dense"]
    return _Facts(
        location=location,
        rows=batch.num_rows,
        nulls={name: batch.column(name).null_count for name in schema.feature_names},
        ids=count_ids(schema, types, batch, location),
        rounded=rounded_ids(schema, batch),
        number_BM=np.stack(columns, axis=1) if columns else np.zeros((batch.num_rows, 0)),
        labels=encode_labels(schema, batch, location),
        early_T=count_too_early(schema, batch, location),
    )


def count_ids(schema: Schema, types: dict[str, pa.DataType], batch: pa.RecordBatch, location: str) -> dict[str, pa.Table]:
    """Count the ids of each feature of ids in a batch: tables of the columns ``id`` and ``n``. ``types`` are those of training.

    Raises :class:`InputError` that names the location for values that cannot be ids of a column.
    """
    found = {}
    for feature in filter(is_counted, schema.features):
        column, kind = batch.column(feature.name), types[feature.name]
        values, kind = (_flat(column), kind.value_type) if feature.kind == "bag" else (column, kind)
        counts = pc.value_counts(as_ids(values, kind, feature.name, location)[0].drop_null())
        found[feature.name] = pa.table({"id": counts.field("values"), "n": counts.field("counts")})
    return found


def _flat(column: pa.Array) -> pa.Array:
    return column if pa.types.is_null(column.type) else pc.list_flatten(column)


def rounded_ids(schema: Schema, batch: pa.RecordBatch) -> dict[str, str]:
    """Return a warning for each column of ids that are floating-point numbers too large to be exact; the group counts as ids."""
    names = [feature.name for feature in schema.features if feature.kind != "dense"]
    warnings = {}
    for name in dict.fromkeys([*names, *([schema.group] if schema.group else [])]):
        column = batch.column(name)
        values = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        example = rounded_id(values)
        if example is not None:
            warnings[name] = rounding_warning(name, values.type, example)
    return warnings


def _fit_feature(
    encoder: Encoder,
    feature: Feature,
    config: DataConfig,
    counters: dict[str, IdCounter],
    sample: NumberSample,
    dense: list[str],
    least: int | None,
) -> None:
    if feature.kind == "dense":
        scale, warnings = fit_scale(sample, dense.index(feature.name), feature.encoding or config.encoding, config.bins)
        encoder.scales[feature.name] = scale
        encoder.warnings += [f"column {feature.name!r} {warning}" for warning in warnings]
        encoder.null_share[feature.name] = sample.null_share(dense.index(feature.name))
        ids = None if least == 0 or feature.bias else fit_number_ids(sample.rows[:, dense.index(feature.name)], least)
        if ids is not None:
            encoder.number_ids[feature.name] = ids
        return
    if feature.vocabulary == "hash":
        encoder.vocabularies[feature.name] = Vocabulary(pa.array([], pa.string()), feature.buckets or 2**16)
        return
    most = feature.max_ids or config.max_ids
    values = counters[feature.name].vocabulary(feature.min_count or config.min_count, most)
    encoder.vocabularies[feature.name] = Vocabulary(values)
    if encoder.null_share[feature.name] == 1:
        encoder.warnings.append(f"column {feature.name!r} is null in every training row and teaches nothing.")


def _fitted_types(schema: Schema, batch: pa.RecordBatch, location: str) -> dict[str, pa.DataType]:
    types = {field.name: field.type for field in batch.schema if field.name in schema.columns}
    problems = [type_problem(f.name, f.kind, types[f.name], location) for f in schema.features]
    if schema.group and pa.types.is_nested(types[schema.group]):
        problems.append(
            f"{location}: group column {schema.group!r} is {types[schema.group]}; it must hold one plain value a row. Name another."
        )
    raise_all(problem for problem in problems if problem is not None)
    return types
