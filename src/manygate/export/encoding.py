"""Raw features in the graph: ids become rows of embedding tables, and numbers their places on the scales.

It does what :meth:`manygate.data.encode.Encoder.encode` does for bias-free rows. The inputs are

- an id, one for each row: text (string), a whole number (int64), true or false (bool), or a number (double, NaN for null). A
  uint64 id is text, since int64 does not hold it;
- a list of ids: (rows, places), filled up to the longest one, and ``NAME.mask`` (uint8) beside it: 0 for a place that is filled
  up, 1 for an id, 2 for a null id. A null list is an empty one;
- a number: double, NaN for null;
- ``missing`` (bool), (rows or 1, features): true where the id of a feature is null. The manifest names its columns. Ids that are
  numbers have no column.

An input has the name of its feature. If another tensor has that name, apostrophes are added to it. The manifest has all names.

Shape suffixes: B rows, L places of a list, S ids, M numbers.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

from manygate.data import number_ids
from manygate.data.column import id_type, type_family
from manygate.data.encode import Encoder
from manygate.data.rows import FIRST_ROW, NULL_ROW, UNKNOWN_ROW, Vocabulary
from manygate.data.scale import LARGEST, SMALLEST, Scale
from manygate.errors import InputError
from manygate.export.graph import Graph, Value, concat, interpolate, log1p, where
from manygate.schema import Feature

TEXT, TRUTH = np.dtype(object), np.dtype(bool)
KINDS: dict[str, Any] = {"string": object, "int64": np.int64, "bool": bool, "double": np.float64}
"""The types of inputs."""


@dataclass(frozen=True)
class RawInput:
    """An input of the graph, as the manifest has it."""

    name: str
    feature: str
    type: str
    kind: str
    """``sparse``, ``bag``, ``dense``, or ``fused`` for a column that the fusion alone reads."""
    mask: str | None = None
    """The input with the mask of a list."""
    missing: int | None = None
    """The column of ``missing``."""

    def tree(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass
class Encoded:
    """What the network reads, and the inputs behind it."""

    id_BS: Value
    number_BM: Value
    lists: list[tuple[Value, Value]]
    """The rows (B, L) and where there is an id (B, L) of each list feature."""
    raw: dict[str, Value]
    """The inputs by feature. A number that is missing is NaN."""
    inputs: list[RawInput] = field(default_factory=list)
    missing: str | None = None
    """The name of the input ``missing``."""


def input_type(encoder: Encoder, feature: Feature) -> str:
    """Return the type of a feature's input.

    Raises :class:`InputError` if no type holds the ids.
    """
    if feature.kind == "dense":
        return "double"
    fitted = encoder.types[feature.name]
    if feature.kind == "bag":
        fitted = fitted.value_type
    family = {"int": "int64", "float": "double"}.get(type_family(fitted), type_family(fitted))
    if family == "int64" and str(id_type(fitted)) == "uint64":
        if encoder.vocabularies[feature.name].buckets:
            raise InputError(
                f"feature {feature.name!r}: hashed uint64 ids cannot be exported. Train with these ids as int64 or as text."
            )
        return "string"
    return family if family in KINDS else "string"


def encode(graph: Graph, encoder: Encoder, fused: Sequence[str] = ()) -> Encoded:
    """Add the inputs and the encoding of all features that are there at serving. ``fused`` are the columns of the fusion.

    Raises :class:`InputError` if one of them has no form in ONNX.
    """
    features = encoder.schema.served_features
    with_column = [f.name for f in features if f.kind == "sparse" and input_type(encoder, f) != "double"]
    kinds = {f.name: input_type(encoder, f) for f in features}
    raw = {f.name: graph.input(f.name, KINDS[kinds[f.name]], _shape(f)) for f in features}
    raw |= {name: graph.input(name, np.float64, ["rows"]) for name in fused if name not in raw}
    masks = {f.name: graph.input(f"{f.name}.mask", np.uint8, _shape(f)) for f in features if f.kind == "bag"}
    missing_BS = graph.input("missing", bool, ["missing rows", len(with_column)]) if with_column else None
    inputs = [
        RawInput(
            name=raw[f.name].name,
            feature=f.name,
            type=kinds[f.name],
            kind=f.kind,
            mask=masks[f.name].name if f.kind == "bag" else None,
            missing=with_column.index(f.name) if f.name in with_column else None,
        )
        for f in features
    ]
    inputs += [RawInput(raw[name].name, name, "double", "fused") for name in fused if name not in kinds]
    count = graph.op("Shape", raw[features[0].name], kind=np.int64, start=0, end=1)
    id_BS = _ids(encoder, raw, count, missing_BS, with_column)
    number_BM = _places(encoder, raw, count)
    lists = [
        _list(graph, encoder, feature, raw[feature.name], masks[feature.name]) for feature in features if feature.kind == "bag"
    ]
    numbers = {name: _number(raw[name], missing_BS, with_column, name, masks) for name in fused}
    return Encoded(id_BS, number_BM, lists, numbers, inputs, missing_BS.name if missing_BS else None)


def _shape(feature: Feature) -> list[str | int]:
    """Return the axes of a feature's input."""
    return ["rows", f"places of {feature.name}"] if feature.kind == "bag" else ["rows"]


def _ids(encoder: Encoder, raw: dict[str, Value], count: Value, missing_BS: Value | None, with_column: Sequence[str]) -> Value:
    """Return the rows of single ids (B, S), those of numbers whose values are ids last."""
    graph = count.graph
    sparse = [f.name for f in encoder.schema.served_features if f.kind == "sparse"]
    column_B = {name: look_up(encoder.vocabularies[name], raw[name], name) for name in sparse}
    if missing_BS is not None:
        row_BS = where(missing_BS, graph.constant(np.array(NULL_ROW, np.int64)), beside([column_B[n] for n in with_column], count))
        if with_column == sparse:
            return concat([row_BS, *_number_rows(encoder, raw, count)], 1)
        column_B |= {name: row_BS.at(column, 1) for column, name in enumerate(with_column)}
    parts = [*([beside([column_B[name] for name in sparse], count)] if sparse else []), *_number_rows(encoder, raw, count)]
    return concat(parts, 1) if parts else _empty(count, np.int64)


def beside(column_CB: Sequence[Value], count: Value) -> Value:
    """Return columns (B,) side by side, (B, C). Few nodes do it: one after the other, cut into rows, turned."""
    graph = count.graph
    shape = concat([graph.constant(np.array([len(column_CB)])), count], 0)
    return graph.op("Transpose", graph.op("Reshape", concat(column_CB, 0), shape, allowzero=1), perm=[1, 0])


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


def _number_rows(encoder: Encoder, raw: dict[str, Value], count: Value) -> list[Value]:
    """Return the rows of numbers whose values are ids, as no or one tensor (B, N). They are compared as float32."""
    if not encoder.number_ids:
        return []
    graph, largest = count.graph, number_ids.LARGEST
    x_BN = beside([raw[name] for name in encoder.number_ids], count)
    bounds = (graph.constant(np.array(bound)) for bound in (-largest, largest))
    single_BN = graph.op("Clip", x_BN, *bounds).to(np.float32)
    row_N = [_encoded(single_BN.at(n, 1), np.array(v.values, np.float32)) for n, v in enumerate(encoder.number_ids.values())]
    null_BN = graph.op("IsNaN", x_BN, kind=bool)
    return [where(null_BN, graph.constant(np.array(NULL_ROW, np.int64)), beside(row_N, count))]


def _places(encoder: Encoder, raw: dict[str, Value], count: Value) -> Value:
    """Return the places of numbers on their scales (B, M) float32, NaN for null."""
    graph = count.graph
    names = [f.name for f in encoder.schema.served_features if f.kind == "dense"]
    if not names:
        return _empty(count, np.float32)
    scales = [encoder.scales[name] for name in names]
    x_BM = beside([raw[name] for name in names], count)
    null_BM = graph.op("IsNaN", x_BM, kind=bool)
    x_BM = _tame(where(null_BM, graph.constant(np.array(0.0)), x_BM))
    logged = np.array([scale.encoding == "log1p" and bool(scale.units) for scale in scales])
    if logged.any():
        x_BM = where(graph.constant(logged), _log(x_BM), x_BM)
    place_BM = interpolate(x_BM, [_knots(scale) for scale in scales])
    null_M = np.array([_null_place(scale) for scale in scales])
    return where(null_BM, graph.constant(null_M), place_BM).to(np.float32)


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


def _list(graph: Graph, encoder: Encoder, feature: Feature, ids_BL: Value, mask_BL: Value) -> tuple[Value, Value]:
    """Return the rows of a list's ids, and where it holds one."""
    row_BL = look_up(encoder.vocabularies[feature.name], ids_BL, feature.name)
    null = graph.constant(np.array(NULL_ROW, np.int64))
    holds_BL = mask_BL.to(np.int64) >= 1
    return where((mask_BL.to(np.int64) >= 2) | graph.op("Not", holds_BL), null, row_BL), holds_BL


def _number(value: Value, missing_BS: Value | None, with_column: Sequence[str], name: str, lists: Container[str]) -> Value:
    """Return a column of the fusion as float64, NaN where it is missing."""
    if value.kind == TEXT or name in lists:
        raise InputError(f"fusion: feature {name!r} is text or a list, and its transform needs a number. Change the fusion.")
    number = value.to(np.float64)
    if missing_BS is None or name not in with_column:
        return number
    return where(missing_BS.at(with_column.index(name), 1), value.graph.constant(np.array(np.nan)), number)


def _empty(count: Value, kind: Any) -> Value:
    """Return a tensor of as many rows and no columns."""
    graph = count.graph
    shape = concat([count, graph.constant(np.array([0]))], 0)
    return graph.op("ConstantOfShape", shape, kind=kind, value=numpy_helper.from_array(np.zeros(1, kind), "zero"))
