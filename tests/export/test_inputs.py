"""The inputs of the graph: their types, their names, and whose axis they have."""

from __future__ import annotations

from typing import Any

import pytest

from every_kind import Encoding, everything
from manygate.export.graph import Graph
from manygate.export.inputs import declare, input_type
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return everything()


def axes(predictor: Predictor, *context: str, fused: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """The axes of each input."""
    encoding = Encoding(predictor, fused, context)
    return {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in encoding.graph.inputs}


def test_types_of_inputs(predictor: Predictor) -> None:
    kinds = {f.name: input_type(predictor.encoder, f) for f in predictor.schema.features}
    assert [kinds[name] for name in ("int8", "uint8", "int64", "hashed int32", "a.mask")] == ["int64"] * 5
    assert [kinds[name] for name in ("float32", "float64", "whole", "truth", "missing")] == ["double"] * 5
    assert [kinds[name] for name in ("uint64", "text", "null text", "a", "id_BS")] == ["string"] * 5
    assert [kinds[name] for name in ("bool", "true", "hashed bool", "rows")] == ["bool"] * 4


def test_masks_and_other_inputs_give_way_to_features(predictor: Predictor) -> None:
    """A feature is named as the mask of another, one as the input for nulls; one of each pair gets an apostrophe."""
    inputs = declare(Graph(), predictor.encoder)
    entries = {entry.feature: entry for entry in inputs.entries}
    assert entries["a"].mask == "a.mask'"
    assert entries["a.mask"].name == "a.mask"
    assert entries["a.mask"].mask == "a.mask.mask"
    assert inputs.candidates.missing_tree()["name"] == "missing'"
    names = [name for entry in inputs.entries for name in (entry.name, entry.mask) if name]
    assert len(set(names)) == len(names)
    assert "bias id" not in entries


def test_axes_of_candidates_and_contexts(predictor: Predictor) -> None:
    """A column that the fusion alone reads belongs to the candidates."""
    found = axes(predictor, "int8", "a", "piecewise", fused=("other", "zeros"))
    assert [found[name] for name in ("int8", "piecewise", "zeros", "other")] == [["contexts"], ["contexts"], ["rows"], ["rows"]]
    assert (found["a"], found["a.mask'"]) == (["contexts", "places of a"],) * 2
    assert found["empty"] == ["rows", "places of empty"]
    assert (found["context_row"], found["context.missing"]) == (["rows"], ["context.missing rows", 1])


def test_without_context_there_is_no_input_for_it(predictor: Predictor) -> None:
    found = axes(predictor)
    assert not [name for name, shape in found.items() if name.startswith("context") or "contexts" in shape]


def test_an_entry_holds_what_is_there(predictor: Predictor) -> None:
    own, shared = (Encoding(predictor, context=context).encoded.inputs.entries[0] for context in ((), ("int8",)))
    assert own.tree() == {"name": "int8", "feature": "int8", "type": "int64", "kind": "sparse", "missing": 0}
    assert shared.tree() == {**own.tree(), "context": True}
