"""A model that is not trained, with every type of id, every encoding of numbers, lists, and the graph of its encoding alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from exported import draw, draw_flags, draw_lists, draw_numbers, run, untrained
from manygate.export.encoding import encode
from manygate.export.folder import describe, with_context
from manygate.export.graph import Graph
from manygate.schema import Feature, Schema, Task
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.predictor import Predictor

Outputs = dict[str, np.ndarray]
LARGE = [2**63 + 5, 7, 2**64 - 1]
IDS: dict[str, pa.Array] = {
    "int8": draw([1, 2, -3], pa.int8(), 1),
    "int16": draw([1, 500], pa.int16(), 2),
    "int32": draw([0, -(2**31)], pa.int32(), 3),
    "int64": draw([2**62, -5, 2**53 + 1], pa.int64(), 4),
    "uint8": draw([0, 200], pa.uint8(), 5),
    "uint64": draw(LARGE, pa.uint64(), 6),
    "float32": draw([0.1, -0.0, 7.0], pa.float32(), 7),
    "float64": draw([0.1, 0.0, 7.0], pa.float64(), 8),
    "bool": draw([True, False], pa.bool_(), 9),
    "true": draw([True], pa.bool_(), 10),
    "one id": draw(["only"], pa.string(), 11),
    "null text": pa.nulls(120, pa.string()),
    "null numbers": pa.nulls(120, pa.int64()),
    "text": draw(["7", "x", "", "a\0", "\0", "🙂"], pa.string(), 12),
}
LISTS: dict[str, pa.Array] = {
    "a": draw_lists(["t", "", "🙂"], pa.string(), 13),
    "a.mask": draw_lists([1, 2], pa.int8(), 14),
    "missing": draw_lists([1.5, 2.0], pa.float64(), 15),
    "rows": draw_lists([True, False], pa.bool_(), 16),
    "id_BS": draw_lists(LARGE, pa.uint64(), 17),
    "empty": pa.array([[]] * 120, pa.list_(pa.string())),
    "null lists": pa.nulls(120, pa.list_(pa.int64())),
}
HASHED: dict[str, pa.Array] = {f"hashed {name}": IDS[name] for name in ("int32", "float32", "bool", "text")} | {
    "hashed a": LISTS["a"],
    "hashed a.mask": LISTS["a.mask"],
}
RANDOM = np.random.default_rng(18)
ENCODED: dict[str, tuple[str, pa.Array]] = {
    "piecewise": ("piecewise", draw_numbers(19)),
    "zeros": ("piecewise", pa.array(np.where(RANDOM.random(120) < 0.7, 0.0, RANDOM.normal(size=120) * 1e6))),
    "minmax": ("minmax", draw_numbers(20)),
    "standard": ("standard", draw_numbers(21)),
    "log1p": ("log1p", draw_numbers(22)),
    "log1p of tiny": ("log1p", pa.array(RANDOM.random(120) * 1e-9)),
    "log1p of large": ("log1p", pa.array(RANDOM.normal(size=120) * 1e200)),
    "tiny": ("piecewise", pa.array(RANDOM.normal(size=120) * 1e-200)),
    "constant": ("piecewise", pa.array([3.0] * 120)),
    "constant or null": ("minmax", pa.array([3.0, None] * 60)),
    "always null": ("standard", pa.nulls(120, pa.float64())),
    "repeats": ("piecewise", pa.array(RANDOM.integers(0, 4, 120).astype(float))),
    "whole": ("piecewise", pa.array(RANDOM.integers(0, 9, 120))),
    "truth": ("minmax", draw([True, False], pa.bool_(), 23)),
}


def everything() -> Predictor:
    """Every type of id, every encoding of numbers, numbers that are ids, and bias features in between."""
    features = [Feature(name="bias id", kind="sparse", bias=True), Feature(name="bias number", kind="dense", bias=True)]
    features += [Feature(name=name, kind="sparse") for name in IDS]
    features += [Feature(name=name, kind="bag") for name in LISTS]
    features += [
        Feature(name=name, kind="bag" if pa.types.is_list(values.type) else "sparse", vocabulary="hash", buckets=50)
        for name, values in HASHED.items()
    ]
    features += [Feature(name=name, kind="dense", encoding=encoding) for name, (encoding, _) in ENCODED.items()]
    columns = {**IDS, **LISTS, **HASHED, **{name: values for name, (_, values) in ENCODED.items()}}
    columns |= {"bias id": draw([1, 2], pa.int8(), 24), "bias number": draw_numbers(25), "click": draw_flags(26)}
    return untrained(columns, Schema(features=tuple(features), tasks=(Task(name="click"),)), number_ids=5, replicas=1)


class Encoding:
    """The encoding of a predictor alone, as a graph."""

    def __init__(self, predictor: Predictor, fused: tuple[str, ...] = (), context: Sequence[str] = ()):
        self.graph, predictor = Graph(), with_context(predictor, context)
        self.encoded = encode(self.graph, predictor.encoder, fused)
        self.graph.output("ids", self.encoded.id_BS, ["rows", "ids"])
        self.graph.output("numbers", self.encoded.number_BM, ["rows", "numbers"])
        for n, (rows, holds) in enumerate(self.encoded.lists.values()):
            self.graph.output(f"list {n}", rows, [f"rows {n}", f"length {n}"])
            self.graph.output(f"holds {n}", holds, [f"rows {n}", f"length {n}"])
        for name, value in self.encoded.fused.items():
            self.graph.output(f"fused {name}", value, ["rows"])
        self.model = ExportedModel(Path(), describe(predictor, self.encoded), None)

    def __call__(self, batch: pa.RecordBatch, changes: Mapping[str, np.ndarray] = MappingProxyType({}), **context: Any) -> Outputs:
        return run(self.graph, **{**self.model.feed(batch, **context), **changes})
