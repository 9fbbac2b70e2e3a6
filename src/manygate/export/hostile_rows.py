"""Rows on which an exported model and the predictor could differ: unseen, null and extreme values beside known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manygate.data.column import type_family
from manygate.data.encode import Encoder

TEXTS = [
    "",
    " ",
    "0",
    "-",
    "null",
    "NaN",
    "a\tb\n",
    "é",
    "日本語",
    "🙂🙂",
    "x" * 300,
    "\u200b",
    "A",
    "a",
    "\u0130",
    "ß",
    "\0",
    "a\0",
]
INTEGERS = [0, 1, -1, 7, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, -1e-300, 1e-12, 1e300, -1e300, 1.7e308, np.inf, -np.inf, np.nan, 2.0**24 + 1, 65.0]
NULL, KNOWN = 0.1, 0.6
"""The share of null values, and that of values that training knows among the others."""


def hostile_rows(encoder: Encoder, rows: int, seed: int = 0, fused: tuple[str, ...] = ()) -> pa.RecordBatch:
    """Draw rows of all features that are there at serving, and of the columns that a fusion reads.

    Args:
        encoder: The encoder of the model. Known ids come from its vocabularies, known numbers from the knots of its scales.
        rows: The number of rows.
        seed: Seed of the draw.
        fused: Columns of the fusion. Those that are no features hold numbers.
    """
    random = np.random.Generator(np.random.PCG64([seed, rows]))
    columns: dict[str, pa.Array] = {}
    for feature in encoder.schema.served_features:
        kind = encoder.types[feature.name]
        if feature.kind == "dense":
            columns[feature.name] = _numbers(encoder, feature.name, rows, random)
        elif feature.kind == "bag":
            columns[feature.name] = _lists(encoder, feature.name, kind, rows, random)
        else:
            columns[feature.name] = pa.array(_draw(_ids(encoder, feature.name, kind), rows, random), _held(kind))
    for name in fused:
        if name not in columns:
            columns[name] = pa.array(_draw(([0.5, 2.0, 100.0], NUMBERS), rows, random), pa.float64())
    return pa.record_batch(columns)


def _held(kind: pa.DataType) -> pa.DataType:
    """Return a type that holds the values of a column: dictionaries and dates of training are text here."""
    return kind if type_family(kind) in ("int", "float", "bool") else pa.string()


def _ids(encoder: Encoder, name: str, kind: pa.DataType) -> tuple[list[Any], list[Any]]:
    """Return known ids, and others that fit the type."""
    known = encoder.vocabularies[name].values.to_pylist()
    family = type_family(kind)
    if family == "int":
        limits = np.iinfo(kind.to_pandas_dtype())
        return known, [value for value in INTEGERS if limits.min <= value <= limits.max]
    if family == "float":  # beyond 2**24 a float32 stands for several ids, which is an error
        return known, [value for value in NUMBERS if not np.isfinite(value) or abs(value) < 2.0**10]
    return known, [True, False] if family == "bool" else TEXTS


def _numbers(encoder: Encoder, name: str, rows: int, random: np.random.Generator) -> pa.Array:
    knots = list(encoder.scales[name].x) or [0.0]
    between = [random.uniform(low, high) for low, high in zip(knots, knots[1:], strict=False)]
    ids = encoder.number_ids[name].values if name in encoder.number_ids else ()
    values = _draw(([*knots, *between, *ids], NUMBERS), rows, random)
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _lists(encoder: Encoder, name: str, kind: pa.DataType, rows: int, random: np.random.Generator) -> pa.Array:
    lists: list[list[Any] | None] = []
    for length in random.integers(0, 6, rows):
        lists.append(None if random.random() < NULL else _draw(_ids(encoder, name, kind.value_type), int(length), random))
    return pa.array(lists, pa.list_(_held(kind.value_type)))


def _draw(values: tuple[list[Any], list[Any]], rows: int, random: np.random.Generator) -> list[Any]:
    """Draw known values, others and nulls."""
    known, others = values
    drawn: list[Any] = []
    for null, familiar in zip(random.random(rows), random.random(rows), strict=True):
        among = known if known and familiar < KNOWN else others
        drawn.append(None if null < NULL else among[int(random.integers(len(among)))])
    return drawn
