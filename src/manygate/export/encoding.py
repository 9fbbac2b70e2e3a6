"""Raw features in the graph: ids become rows of embedding tables, and numbers their places on the scales.

It does what :meth:`manygate.data.encode.Encoder.encode` does for bias-free rows. :mod:`manygate.export.inputs` says what the inputs
are. Context features are encoded once for each context, and what they become is gathered to the rows. The lists of a context stay
lists of the context: the network pools them first.

Shape suffixes: B rows, C contexts, X rows or contexts, L places of a list, S ids, M numbers, N numbers whose values are ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from manygate.data import number_ids
from manygate.data.encode import Encoder
from manygate.data.rows import FIRST_ROW, NULL_ROW, UNKNOWN_ROW, Vocabulary
from manygate.data.scale import LARGEST, SMALLEST, Scale
from manygate.errors import InputError
from manygate.export.graph import Graph, Value, concat, interpolate, log1p, where
from manygate.export.inputs import Inputs, Side, declare

TEXT, TRUTH = np.dtype(object), np.dtype(bool)
Parts = dict[tuple[str, ...], Value]
"""Columns (S, B), by the names of their features."""
Lists = dict[str, tuple[Value, Value]]
"""The rows of the ids, (X, L), and where there is an id, (X, L), of each list feature."""


@dataclass(frozen=True)
class Encoded:
    """What the network reads, and the inputs behind it."""

    id_BS: Value
    """The rows of single ids in the order of the schema, then those of numbers whose values are ids."""
    ids: list[str]
    """The features of the single ids."""
    number_BM: Value
    lists: Lists
    """In the order of the schema. Those of context features are lists of the contexts."""
    fused: dict[str, Value]
    """The columns of the fusion, (B,). A number that is missing is NaN."""
    inputs: Inputs


def encode(graph: Graph, encoder: Encoder, fused: Sequence[str] = ()) -> Encoded:
    """Add the inputs and the encoding of all features that are there at serving. ``fused`` are the columns of the fusion.

    Raises :class:`InputError` if one of them has no form in ONNX.
    """
    inputs = declare(graph, encoder, fused)
    columns, features = [_Columns(encoder, inputs, side) for side in inputs.sides], encoder.schema.served_features
    ids, numbers = ([feature.name for feature in features if feature.kind == kind] for kind in ("sparse", "dense"))
    id_rows: Parts = {}
    places: Parts = {}
    for part in columns:
        id_rows |= part.ids() | part.rows_of_numbers()
        places |= part.places()
    return Encoded(
        id_BS=_together(id_rows, [*ids, *encoder.number_ids], np.int64, inputs),
        ids=ids,
        number_BM=_together(places, numbers, np.float32, inputs),
        lists={name: _list(encoder, name, inputs.raw[name], mask_XL) for name, mask_XL in inputs.masks.items()},
        fused={name: _number(inputs, name) for name in fused},
        inputs=inputs,
    )


def _together(parts: Parts, names: Sequence[str], kind: Any, inputs: Inputs) -> Value:
    """Return the columns of the ``names``, (B, S), of parts (S, B) with names of their own.

    Features lie one under the other until the end, because ONNX Runtime then moves whole rows of numbers.
    """
    if not names:
        return _empty(inputs.candidates.count, kind)
    together, found = concat(list(parts.values()), 0), [name for part in parts for name in part]
    if found != list(names):
        order = np.array([found.index(name) for name in names])
        together = together.graph.op("Gather", together, together.graph.constant(order), axis=0)
    return turned(together)


def to_rows(value: Value, inputs: Inputs, axis: int = 0) -> Value:
    """Return what each row's context has: contexts become rows along an axis."""
    assert inputs.context_row is not None, "a graph without contexts has nothing to gather"
    return value.graph.op("Gather", value, inputs.context_row, axis=axis)


class _Columns:
    """The single ids and the numbers of one axis. Each method returns parts (S, B) by the names of their features."""

    def __init__(self, encoder: Encoder, inputs: Inputs, side: Side):
        self.encoder, self.inputs, self.side, self.graph = encoder, inputs, side, side.count.graph
        self.null = self.graph.constant(np.array(NULL_ROW, np.int64))
        self.numbers = side.names("dense")
        self.with_ids = [name for name in encoder.number_ids if name in self.numbers]
        if self.numbers:
            self.x_MX = under([inputs.raw[name] for name in self.numbers], side.count)
            self.null_MX = self.graph.op("IsNaN", self.x_MX, kind=bool)

    def ids(self) -> Parts:
        """Return the rows of single ids. A null has the row of nulls."""
        missing_XS, with_column = self.side.missing, self.side.with_column
        found: Parts = {}
        if missing_XS is not None:
            found[tuple(with_column)] = self._at_rows(where(turned(missing_XS), self.null, self._looked_up(with_column)))
        if fractions := [name for name in self.side.names("sparse") if name not in with_column]:
            found[tuple(fractions)] = self._at_rows(self._looked_up(fractions))
        return found

    def _looked_up(self, names: Sequence[str]) -> Value:
        vocabularies, raw = self.encoder.vocabularies, self.inputs.raw
        return under([look_up(vocabularies[name], raw[name], name) for name in names], self.side.count)

    def rows_of_numbers(self) -> Parts:
        """Return the rows of numbers whose values are ids. They are compared as float32."""
        if not self.with_ids:
            return {}
        graph, largest, x_NX, null_NX = self.graph, number_ids.LARGEST, self.x_MX, self.null_MX
        if self.with_ids != self.numbers:
            places = graph.constant(np.array([self.numbers.index(name) for name in self.with_ids]))
            x_NX, null_NX = (graph.op("Gather", value, places, axis=0) for value in (x_NX, null_NX))
        bounds = (graph.constant(np.array(bound)) for bound in (-largest, largest))
        single_NX = graph.op("Clip", x_NX, *bounds).to(np.float32)
        keys = [np.array(self.encoder.number_ids[name].values, np.float32) for name in self.with_ids]
        row_NX = concat([_encoded(x_1X, key) for x_1X, key in zip(graph.split(single_NX, len(keys), 0), keys, strict=True)], 0)
        return {tuple(self.with_ids): self._at_rows(where(null_NX, self.null, row_NX))}

    def places(self) -> Parts:
        """Return the places of numbers on their scales, float32, NaN for null."""
        if not self.numbers:
            return {}
        graph, scales = self.graph, [self.encoder.scales[name] for name in self.numbers]
        x_MX = _tame(where(self.null_MX, graph.constant(np.array(0.0)), self.x_MX))
        logged_M1 = np.array([[scale.encoding == "log1p" and bool(scale.units)] for scale in scales])
        if logged_M1.any():
            x_MX = where(graph.constant(logged_M1), _log(x_MX), x_MX)
        place_MX = interpolate(x_MX, [_knots(scale) for scale in scales]).to(np.float32)
        null_M1 = np.array([[_null_place(scale)] for scale in scales], np.float32)
        return {tuple(self.numbers): self._at_rows(where(self.null_MX, graph.constant(null_M1), place_MX))}

    def _at_rows(self, value_SX: Value) -> Value:
        return to_rows(value_SX, self.inputs, 1) if self.side is self.inputs.contexts else value_SX


def under(column_SX: Sequence[Value], count: Value) -> Value:
    """Return columns (X,) one under the other, (S, X). ``count`` is X."""
    graph = count.graph
    if len(column_SX) == 1:
        return column_SX[0].unsqueeze(0)
    shape = concat([graph.constant(np.array([len(column_SX)])), count], 0)
    return graph.op("Reshape", concat(column_SX, 0), shape, allowzero=1)


def turned(value_SX: Value) -> Value:
    """Return (X, S) of (S, X)."""
    return value_SX.graph.op("Transpose", value_SX, perm=[1, 0])


def look_up(vocabulary: Vocabulary, ids: Value, feature: str) -> Value:
    """Return the rows of ids, int64. An id that is NaN has the row of null.

    Raises :class:`InputError` if ids are hashed in a way that ONNX does not have.
    """
    graph = ids.graph
    if vocabulary.buckets:
        row = _hashed(vocabulary, ids, feature)
    else:
        known = vocabulary.values.to_pylist()
        keys = np.array([str(v) for v in known] if ids.kind == TEXT else known, ids.kind)
        if ids.kind == TRUTH:
            ids, keys = ids.to(np.int64), keys.astype(np.int64)
        row = _encoded(ids, keys)
    if ids.kind != np.float64:
        return row
    return where(graph.op("IsNaN", ids, kind=bool), graph.constant(np.array(NULL_ROW, np.int64)), row)


def _encoded(ids: Value, keys: np.ndarray) -> Value:
    """Return the row of each known id, and that of unseen ids for the others."""
    attributes = {
        "keys_tensor": numpy_helper.from_array(keys, "keys"),
        "values_tensor": numpy_helper.from_array(np.arange(FIRST_ROW, FIRST_ROW + len(keys)), "rows"),
        "default_tensor": numpy_helper.from_array(np.array([UNKNOWN_ROW]), "unseen"),
    }
    return ids.graph.op("LabelEncoder", ids, kind=np.int64, domain="ai.onnx.ml", **attributes)


def _hashed(vocabulary: Vocabulary, ids: Value, feature: str) -> Value:
    if vocabulary.hash != "murmur3":
        raise InputError(
            f"feature {feature!r}: an earlier version hashed its ids by {vocabulary.hash}, and ONNX has MurmurHash3 alone. "
            "Train the model again with this version."
        )
    if ids.kind == TRUTH:
        ids = ids.to(np.int64)
    elif ids.kind == np.float64:
        ids = where(ids.equals(0.0), ids.graph.constant(np.array(0.0)), ids)  # 0 for -0
    hashed = ids.graph.op("MurmurHash3", ids, kind=np.uint32, domain="com.microsoft", positive=1, seed=0).to(np.int64)
    return ids.graph.op("Mod", hashed, ids.graph.constant(np.array(vocabulary.buckets))) + FIRST_ROW


def _knots(scale: Scale) -> tuple[Sequence[float], Sequence[float]]:
    """Return the knots of a scale. A number that was constant in training has the place 0 everywhere."""
    return (scale.x, scale.u) if scale.units else ((0.0,), (0.0,))


def _null_place(scale: Scale) -> float:
    if scale.nullable:
        return np.nan
    return scale.null_place if scale.units else 0.0


def _tame(x: Value) -> Value:
    """Return numbers whose differences and slopes are finite, as :mod:`manygate.data.scale` does."""
    graph = x.graph
    inside = graph.op("Clip", x, graph.constant(np.array(-LARGEST)), graph.constant(np.array(LARGEST)))
    return where(graph.op("Abs", inside) < SMALLEST, graph.constant(np.array(0.0)), inside)


def _log(x: Value) -> Value:
    """Return sign(x) log(1 + |x|)."""
    return x.graph.op("Sign", x) * log1p(x.graph.op("Abs", x))


def _list(encoder: Encoder, name: str, ids_XL: Value, mask_XL: Value) -> tuple[Value, Value]:
    """Return the rows of a list's ids, and where it holds one."""
    graph = ids_XL.graph
    row_XL = look_up(encoder.vocabularies[name], ids_XL, name)
    null = graph.constant(np.array(NULL_ROW, np.int64))
    holds_XL = mask_XL.to(np.int64) >= 1
    return where((mask_XL.to(np.int64) >= 2) | graph.op("Not", holds_XL), null, row_XL), holds_XL


def _number(inputs: Inputs, name: str) -> Value:
    """Return a column of the fusion as float64, (B,), NaN where it is missing."""
    value = inputs.raw[name]
    if value.kind == TEXT or name in inputs.masks:
        raise InputError(f"fusion: feature {name!r} is text or a list, and its transform needs a number. Change the fusion.")
    number = value.to(np.float64)
    for side in inputs.sides:
        if side.missing is not None and name in side.with_column:
            missing_X = side.missing.at(side.with_column.index(name), 1)
            number = where(missing_X, value.graph.constant(np.array(np.nan)), number)
    shared = inputs.contexts is not None and name in [feature.name for feature in inputs.contexts.features]
    return to_rows(number, inputs) if shared else number


def _empty(count: Value, kind: Any) -> Value:
    """Return a tensor of as many rows and no columns."""
    graph = count.graph
    shape = concat([count, graph.constant(np.array([0]))], 0)
    return graph.op("ConstantOfShape", shape, kind=kind, value=numpy_helper.from_array(np.zeros(1, kind), "zero"))
