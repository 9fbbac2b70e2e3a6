"""Raw features in the graph become what the encoder makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exported import Exported, draw, draw_flags, draw_lists, draw_numbers, run, untrained
from manygate.data.rows import Vocabulary
from manygate.errors import InputError
from manygate.export.encoding import encode, input_type, look_up
from manygate.export.folder import describe
from manygate.export.graph import Graph
from manygate.export.hostile_rows import hostile_rows
from manygate.schema import Feature, Schema, Task
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.predictor import Predictor

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


@pytest.fixture(scope="module")
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

    def __init__(self, predictor: Predictor, fused: tuple[str, ...] = ()):
        self.graph = Graph()
        self.encoded = encode(self.graph, predictor.encoder, fused)
        self.graph.output("ids", self.encoded.id_BS, ["rows", "ids"])
        self.graph.output("numbers", self.encoded.number_BM, ["rows", "numbers"])
        for n, (rows, holds) in enumerate(self.encoded.lists):
            self.graph.output(f"list {n}", rows, ["rows", f"length {n}"])
            self.graph.output(f"holds {n}", holds, ["rows", f"length {n}"])
        for name, value in self.encoded.raw.items():
            self.graph.output(f"fused {name}", value, ["rows"])
        self.model = ExportedModel(Path(), describe(predictor, self.encoded), None)

    def __call__(self, batch: pa.RecordBatch, **changes: np.ndarray) -> dict[str, np.ndarray]:
        return run(self.graph, **{**self.model.feed(batch), **changes})


@pytest.fixture(scope="module")
def encoding(everything: Predictor) -> Encoding:
    return Encoding(everything)


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_it_is_what_the_encoder_does(everything: Predictor, encoding: Encoding, rows: int) -> None:
    """On known, unseen, null and extreme values of every type and encoding, equal in every bit."""
    batch = hostile_rows(everything.encoder, rows, seed=3)
    found, expected = encoding(batch), everything.encoder.encode(batch, labels=False, bias=False)
    served = [n for n, f in enumerate(f for f in everything.schema.features if f.kind == "sparse") if not f.bias]
    served += range(len(served) + 1, expected.id_BS.shape[1])
    np.testing.assert_array_equal(found["ids"], expected.id_BS[:, served])
    np.testing.assert_allclose(found["numbers"], expected.number_BM[:, 1:], rtol=2e-7, atol=1e-12)
    for n, (row_n, offset) in enumerate(expected.bags):
        np.testing.assert_array_equal(found[f"list {n}"][found[f"holds {n}"]], row_n)
        np.testing.assert_array_equal(found[f"holds {n}"].sum(axis=1), np.diff(offset))


def test_no_rows(everything: Predictor, encoding: Encoding) -> None:
    found = encoding(hostile_rows(everything.encoder, 5).slice(0, 0))
    assert found["ids"].shape[0] == found["numbers"].shape[0] == found["list 0"].shape[0] == 0


def test_types_of_inputs(everything: Predictor) -> None:
    kinds = {f.name: input_type(everything.encoder, f) for f in everything.schema.features}
    assert [kinds[name] for name in ("int8", "uint8", "int64", "hashed int32", "a.mask")] == ["int64"] * 5
    assert [kinds[name] for name in ("float32", "float64", "whole", "truth", "missing")] == ["double"] * 5
    assert [kinds[name] for name in ("uint64", "text", "null text", "a", "id_BS")] == ["string"] * 5
    assert [kinds[name] for name in ("bool", "true", "hashed bool", "rows")] == ["bool"] * 4


def test_masks_and_other_inputs_give_way_to_features(encoding: Encoding) -> None:
    """A feature is named as the mask of another, one as the input for nulls; one of each pair gets an apostrophe."""
    entries = {entry.feature: entry for entry in encoding.encoded.inputs}
    assert entries["a"].mask == "a.mask'"
    assert entries["a.mask"].name == "a.mask"
    assert entries["a.mask"].mask == "a.mask.mask"
    assert encoding.encoded.missing == "missing'"
    names = [name for entry in encoding.encoded.inputs for name in (entry.name, entry.mask) if name]
    assert len(set(names)) == len(names)
    assert "bias id" not in entries


def test_one_row_of_nulls_stands_for_all(everything: Predictor, encoding: Encoding) -> None:
    """``missing`` may have one row, for callers whose ids are never null."""
    batch = hostile_rows(everything.encoder, 20)
    sparse = len(encoding.model.manifest["missing"]["features"])
    found = encoding(batch, **{"missing'": np.zeros((1, sparse), dtype=bool)})
    assert found["ids"].shape[0] == 20
    assert (found["ids"][:, 0] >= 1).all()
    np.testing.assert_array_equal(encoding(batch, **{"missing'": np.ones((1, sparse), dtype=bool)})["ids"][:, 0], 0)


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
