"""Raw features in the graph become what the encoder makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from every_kind import ENCODED, HASHED, IDS, LARGE, LISTS, Encoding, Outputs, everything
from exported import Exported, draw, draw_flags, run, untrained
from manygate.data.rows import Vocabulary
from manygate.errors import InputError
from manygate.export.encoding import encode, look_up
from manygate.export.graph import Graph
from manygate.export.hostile_rows import hostile_rows
from manygate.schema import Feature, Schema, Task
from manygate.scoring.predictor import Predictor

NAMES = [*IDS, *LISTS, *HASHED, *ENCODED]
CONTEXTS: dict[str, list[str]] = {"none": [], "every second": NAMES[::2], "the others": NAMES[1::2], "all": NAMES}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return everything()


@pytest.fixture(scope="module")
def encoding(predictor: Predictor) -> Encoding:
    return Encoding(predictor)


@pytest.fixture(scope="module", params=CONTEXTS)
def shared(request: pytest.FixtureRequest, predictor: Predictor) -> Encoding:
    return Encoding(predictor, context=CONTEXTS[request.param])


def assert_encoded(predictor: Predictor, encoding: Encoding, found: Outputs, rows: pa.RecordBatch, contexts: Any = None) -> None:
    """The graph's encoding is the encoder's. Lists of a context are those of the ``contexts``."""
    expected = predictor.encoder.encode(rows, labels=False, bias=False)
    served = [n for n, f in enumerate(f for f in predictor.schema.features if f.kind == "sparse") if not f.bias]
    assert encoding.encoded.ids == [f.name for f in predictor.schema.served_features if f.kind == "sparse"]
    served += range(len(served) + 1, expected.id_BS.shape[1])
    np.testing.assert_array_equal(found["ids"], expected.id_BS[:, served])
    np.testing.assert_allclose(found["numbers"], expected.number_BM[:, 1:], rtol=2e-7, atol=1e-12)
    of_contexts = None if contexts is None else predictor.encoder.encode(contexts, labels=False, bias=False)
    shared = [entry.feature for entry in encoding.encoded.inputs.entries if entry.context]
    for n, (name, bag) in enumerate(zip(encoding.encoded.lists, expected.bags, strict=True)):
        row_n, offset = of_contexts.bags[n] if of_contexts and name in shared else bag
        np.testing.assert_array_equal(found[f"list {n}"][found[f"holds {n}"]], row_n)
        np.testing.assert_array_equal(found[f"holds {n}"].sum(axis=1), np.diff(offset))


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_it_is_what_the_encoder_does(predictor: Predictor, shared: Encoding, rows: int) -> None:
    """On known, unseen, null and extreme values of every type and encoding, equal in every bit."""
    batch = hostile_rows(predictor.encoder, rows, seed=3)
    assert_encoded(predictor, shared, shared(batch), batch)


@pytest.mark.parametrize("contexts", [1, 5])
@pytest.mark.parametrize("shared", [name for name in CONTEXTS if name != "none"], indirect=True)
def test_contexts_are_encoded_once_and_gathered(predictor: Predictor, shared: Encoding, contexts: int) -> None:
    """Features of every kind: the context of a row stands in another batch than the row."""
    names = [entry.feature for entry in shared.encoded.inputs.entries if entry.context]
    batch, given = hostile_rows(predictor.encoder, 40, seed=4), hostile_rows(predictor.encoder, contexts, seed=5)
    context_row = np.random.default_rng(6).integers(0, contexts, 40)
    found = shared(batch.drop_columns(names), context=given.select(names), context_row=context_row)
    taken = given.take(pa.array(context_row))
    rows = pa.record_batch({name: (taken if name in names else batch).column(name) for name in batch.schema.names})
    assert_encoded(predictor, shared, found, rows, given)


def test_the_manifest_says_what_is_context(predictor: Predictor) -> None:
    names = ["int64", "float64", "a", "hashed text", "piecewise"]
    manifest = Encoding(predictor, context=names).model.manifest
    entries = {entry["feature"]: entry for entry in manifest["inputs"]}
    assert [name for name, entry in entries.items() if entry.get("context")] == names
    assert manifest["context"] == {"row": "context_row", "missing": "context.missing", "features": ["int64", "hashed text"]}
    assert entries["hashed text"]["missing"] == 1
    assert not {*names} & {*manifest["missing"]["features"]}
    assert Encoding(predictor, context=["piecewise"]).model.manifest["context"] == {
        "row": "context_row", "missing": None, "features": [],
    }  # fmt: skip
    everything = Encoding(predictor, context=NAMES).model.manifest
    assert everything["missing"] == {"name": None, "features": []}
    assert Encoding(predictor).model.manifest["context"] is None


def test_no_rows(predictor: Predictor, shared: Encoding) -> None:
    found = shared(hostile_rows(predictor.encoder, 5).slice(0, 0))
    assert found["ids"].shape[0] == found["numbers"].shape[0] == found["list 0"].shape[0] == 0


def test_one_row_of_nulls_stands_for_all(predictor: Predictor, encoding: Encoding) -> None:
    """``missing`` may have one row, for callers whose ids are never null."""
    batch = hostile_rows(predictor.encoder, 20)
    sparse = len(encoding.model.manifest["missing"]["features"])
    found = encoding(batch, {"missing'": np.zeros((1, sparse), dtype=bool)})
    assert found["ids"].shape[0] == 20
    assert (found["ids"][:, 0] >= 1).all()
    np.testing.assert_array_equal(encoding(batch, {"missing'": np.ones((1, sparse), dtype=bool)})["ids"][:, 0], 0)


TEXTS = ["", "a", "a\0", "a\0b", "\0", "🙂", "x" * 1000, "7"]
CASES: dict[str, tuple[list[Any], Any, pa.DataType]] = {
    "text": (TEXTS, object, pa.string()),
    "whole": ([0, -1, 2**63 - 1, -(2**63), 7], np.int64, pa.int64()),
    "fractions": ([0.0, -0.0, 1.5, np.inf, -np.inf, 5e-324, 7.0], np.float64, pa.float64()),
    "truth": ([True, False], bool, pa.bool_()),
}


@pytest.mark.parametrize("buckets", [0, 1000])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("known", ["all", "some", "none"])
def test_look_ups(name: str, known: str, buckets: int) -> None:
    """Raw values go into the graph as they are, without the conversion before it: text with zero bytes, -0.0, infinity."""
    values, kind, arrow = CASES[name]
    plain = pa.array([value + 0.0 if kind == np.float64 else value for value in values], arrow)
    chosen = {"all": plain.unique(), "some": plain.unique().slice(1, 1), "none": plain.slice(0, 0)}[known]
    vocabulary = Vocabulary(chosen, buckets)
    graph = Graph()
    graph.output("row", look_up(vocabulary, graph.input("ids", kind, ["rows"]), "f"), ["rows"])
    assert run(graph, ids=np.array(values, kind))["row"].tolist() == vocabulary.rows_of(plain).tolist()


def test_a_nan_is_a_null() -> None:
    for vocabulary in (Vocabulary(pa.array([1.5])), Vocabulary(pa.array([], pa.string()), 50)):
        graph = Graph()
        graph.output("row", look_up(vocabulary, graph.input("ids", np.float64, ["rows"]), "f"), ["rows"])
        assert run(graph, ids=np.array([np.nan, 1.5]))["row"][0] == 0


def with_feature(values: pa.Array, **changes: Any) -> Predictor:
    schema = Schema(features=(Feature(name="f", kind="sparse", **changes),), tasks=(Task(name="click"),))
    return untrained({"f": values, "click": draw_flags(1)}, schema, replicas=1)


def test_what_has_no_form_in_onnx_is_one_clear_error() -> None:
    """A hash that ONNX lacks, and hashed uint64 ids."""
    graph = Graph()
    with pytest.raises(InputError, match="feature 'f': an earlier version hashed its ids by blake2b"):
        look_up(Vocabulary(pa.array([], pa.string()), 50, "blake2b"), graph.input("f", object, ["rows"]), "f")
    hashed = with_feature(draw(LARGE, pa.uint64(), 1), vocabulary="hash", buckets=9)
    with pytest.raises(InputError, match=r"feature 'f': hashed uint64 ids cannot be exported\. Train with these ids as int64"):
        encode(Graph(), hashed.encoder)


def test_columns_of_the_fusion(exported: Exported) -> None:
    """A number, an id, true and false, and a column that is no feature become numbers, NaN where they are missing."""
    fused = ("price", "item", "flag", "share", "other")
    batch = hostile_rows(exported.predictor.encoder, 50, fused=fused)
    found = Encoding(exported.predictor, fused)(batch)
    for name in fused:
        expected = batch.column(name).cast(pa.float64() if name != "flag" else pa.int8()).cast(pa.float64()).fill_null(np.nan)
        np.testing.assert_array_equal(found[f"fused {name}"], expected.to_numpy(), err_msg=name)
    for name in ("word", "tags.mask"):
        with pytest.raises(InputError, match=f"fusion: feature '{name}' is text or a list"):
            encode(Graph(), exported.predictor.encoder, (name,))
