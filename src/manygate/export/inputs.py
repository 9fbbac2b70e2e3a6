"""The inputs of the graph: raw features, and what says where an id is null.

The inputs are

- an id, one for each row: text (string), a whole number (int64), true or false (bool), or a number (double, NaN for null). A
  uint64 id is text, since int64 does not hold it;
- a list of ids: (rows, places), filled up to the longest one, and ``NAME.mask`` (uint8) beside it: 0 for a place that is filled
  up, 1 for an id, 2 for a null id. A null list is an empty one;
- a number: double, NaN for null;
- ``missing`` (bool), (rows or 1, features): true where the id of a feature is null. The manifest names its columns. Ids that are
  numbers have no column.

Context features belong to a request, and several rows share them. Their axis is ``contexts`` in place of ``rows``, and their nulls
stand in ``context.missing``. ``context_row`` (int64) has the context of each row.

An input has the name of its feature. If another tensor has that name, apostrophes are added to it. The manifest has all names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from manygate.data.column import id_type, type_family
from manygate.data.encode import Encoder
from manygate.errors import InputError
from manygate.export.graph import Graph, Value
from manygate.schema import Feature

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
    context: bool = False
    mask: str | None = None
    """The input with the mask of a list."""
    missing: int | None = None
    """The column of ``missing``, or of ``context.missing``."""

    def tree(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}


@dataclass(frozen=True)
class Side:
    """The features that share an axis: those of the candidates, or those of the contexts."""

    features: tuple[Feature, ...]
    count: Value
    """The number of rows of the axis."""
    missing: Value | None
    with_column: list[str]
    """The features with a column in ``missing``."""

    def names(self, kind: str) -> list[str]:
        """Return the features of a kind."""
        return [feature.name for feature in self.features if feature.kind == kind]

    def missing_tree(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {"name": self.missing.name if self.missing else None, "features": self.with_column}


@dataclass(frozen=True)
class Inputs:
    """All inputs."""

    entries: list[RawInput]
    raw: dict[str, Value]
    """The features, and the columns that the fusion alone reads."""
    masks: dict[str, Value]
    """The masks of the lists."""
    candidates: Side
    contexts: Side | None
    context_row: Value | None

    @property
    def sides(self) -> list[Side]:
        """The candidates, and the contexts if there are any."""
        return [self.candidates, *([self.contexts] if self.contexts else [])]

    def context_tree(self) -> dict[str, Any] | None:
        """Return the manifest's entry of the context."""
        if self.contexts is None or self.context_row is None:
            return None
        missing = self.contexts.missing_tree()
        return {"row": self.context_row.name, "missing": missing["name"], "features": missing["features"]}


def declare(graph: Graph, encoder: Encoder, fused: Sequence[str] = ()) -> Inputs:
    """Add the inputs of all features that are there at serving. ``fused`` are the columns of the fusion.

    Raises :class:`InputError` if no type holds the ids of a feature.
    """
    features = encoder.schema.served_features
    kinds = {feature.name: input_type(encoder, feature) for feature in features}
    raw = {f.name: graph.input(f.name, KINDS[kinds[f.name]], _axes(f)) for f in features}
    raw |= {name: graph.input(name, np.float64, ["rows"]) for name in fused if name not in raw}
    masks = {f.name: graph.input(f"{f.name}.mask", np.uint8, _axes(f)) for f in features if f.kind == "bag"}
    shared = tuple(feature for feature in features if feature.context)
    own = tuple(feature for feature in features if not feature.context)
    context_row = graph.input("context_row", np.int64, ["rows"]) if shared else None
    candidates = _side(graph, own, kinds, "missing", context_row or raw[features[0].name])
    contexts = _side(graph, shared, kinds, "context.missing", raw[shared[0].name]) if shared else None
    columns = {name: n for side in (candidates, contexts) if side for n, name in enumerate(side.with_column)}
    entries = [
        RawInput(
            name=raw[f.name].name,
            feature=f.name,
            type=kinds[f.name],
            kind=f.kind,
            context=f.context,
            mask=masks[f.name].name if f.kind == "bag" else None,
            missing=columns.get(f.name),
        )
        for f in features
    ]
    entries += [RawInput(raw[name].name, name, "double", "fused") for name in fused if name not in kinds]
    return Inputs(entries, raw, masks, candidates, contexts, context_row)


def _axes(feature: Feature) -> list[str | int]:
    """Return the axes of a feature's input."""
    rows = "contexts" if feature.context else "rows"
    return [rows, f"places of {feature.name}"] if feature.kind == "bag" else [rows]


def _side(graph: Graph, features: tuple[Feature, ...], kinds: dict[str, str], missing: str, counted: Value) -> Side:
    """Return the features of an axis, of which ``counted`` is an input."""
    with_column = [f.name for f in features if f.kind == "sparse" and kinds[f.name] != "double"]
    input_BS = graph.input(missing, bool, [f"{missing} rows", len(with_column)]) if with_column else None
    return Side(features, graph.op("Shape", counted, kind=np.int64, start=0, end=1), input_BS, with_column)


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
