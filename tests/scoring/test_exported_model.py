"""An exported model at serving: what it opens, what it reads, and its errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exported import CONTEXT, Exported, draw, funnel_log
from flipped_bytes import TRIES, flipped
from manygate.errors import InputError
from manygate.export.hostile_rows import hostile_rows
from manygate.files import write_manifest
from manygate.scoring import exported_model
from manygate.scoring.exported_model import INSTALL, ExportedModel, ids_unlike, is_exported, open_session


@pytest.fixture(scope="module")
def rows() -> pa.RecordBatch:
    columns = funnel_log() | {"other": draw([1.0, 2.0], pa.float64(), 3)}
    return pa.record_batch({name: values.slice(0, 24) for name, values in columns.items()})


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.names.index(name), name, values)


def both(exported: Exported, batch: pa.RecordBatch) -> list[Any]:
    """What the predictor and the exported model say: the first column, or ``refused``."""
    said: list[Any] = []
    for predict in (lambda: exported.predictor.predict(batch)["click"].to_numpy(), lambda: exported.model.columns(batch)["click"]):
        try:
            said.append(predict())
        except InputError:
            said.append("refused")
    return said


def turns(*values: Any, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([values[i % len(values)] for i in range(24)], kind)


GIVEN: dict[str, pa.Array] = {
    "digits": turns("7", "8", "-1", None, "200"),
    "digits and others": turns("7", "07", "-0", "x", "7.0", ""),
    "beyond int64": turns("18446744073709551615", "9223372036854775813", "7", "99999999999999999999999"),
    "whole fractions": turns(7.0, -0.0, float("nan"), None, -1.0),
    "fractions": turns(0.5, 7.0, float("nan")),
    "large fractions": turns(1e300, float("inf"), -float("inf"), 7.0),
    "float32": turns(7.0, 0.5, kind=pa.float32()),
    "int8": turns(7, 8, -1, 0, 1, None, kind=pa.int8()),
    "int64": turns(7, 2**62, -(2**63), None),
    "uint64": turns(7, 2**63 + 5, 2**64 - 1, None, kind=pa.uint64()),
    "flags": turns(True, False, None),
    "zeros and ones": turns(0, 1, None),
    "nothing": pa.nulls(24),
    "decimals": turns(7, 1, None).cast(pa.decimal128(38, 0)),
    "dictionary": turns("7", "red", None).dictionary_encode(),
    "large text": turns("7", "red", None, kind=pa.large_string()),
    "bytes": turns(b"7", b"\xff", b"t"),
    "times": turns(1, None, kind=pa.timestamp("us")),
    "records": turns({"a": 1}, None),
    "lists of text": turns(["7", "t"], [], None, [None], ["8"]),
    "lists of numbers": turns([7.0], [8.0, None], [float("nan")], None),
    "lists of nothing": turns([], None, kind=pa.list_(pa.null())),
    "large lists": turns([7, 8], None, [], kind=pa.large_list(pa.int64())),
    "lists of two": turns([7, 8], None, [1, None], kind=pa.list_(pa.int8(), 2)),
    "views": turns(["7"], None, ["t", "t"], kind=pa.list_view(pa.string())),
}


@pytest.mark.parametrize("given", GIVEN)
def test_other_types_than_in_training(exported: Exported, rows: pa.RecordBatch, given: str) -> None:
    """Each column in each type: both predict the same, or both refuse it. Hashed ids of other types are a case of their own."""
    for name in ("item", "word", "digits", "share", "flag", "large", "tags", "tags.mask", "age", "other"):
        batch = with_column(rows, name, GIVEN[given])
        predictor, model = both(exported, batch)
        if isinstance(predictor, str) or isinstance(model, str):
            assert isinstance(predictor, str) == isinstance(model, str), f"{name}: {predictor}, {model}"
        else:
            np.testing.assert_allclose(model, predictor, rtol=0, atol=1e-6, err_msg=name)


def test_hashed_ids_of_another_type(exported: Exported, rows: pa.RecordBatch) -> None:
    """Text is the id that its digits are. What cannot be an id is an error, since each hash has a row."""
    predictor, model = both(exported, with_column(rows, "bucket", turns("7", "8", "-5", None)))
    np.testing.assert_allclose(model, predictor, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"column 'bucket' holds string, of which some values cannot be ids of int64. Write"):
        exported.model.columns(with_column(rows, "bucket", turns("7", "07")))


@pytest.mark.parametrize("size", [0, 1, 7, 24])
def test_batches_of_any_size(exported: Exported, rows: pa.RecordBatch, size: int) -> None:
    found, whole = exported.model.columns(rows.slice(3, size)), exported.model.columns(rows)
    for name, value_B in found.items():
        assert value_B.dtype == np.float64
        np.testing.assert_allclose(value_B, whole[name][3 : 3 + size], rtol=1e-6)
        assert len(value_B) == min(size, 21)


def test_all_lists_empty_or_null(exported: Exported, rows: pa.RecordBatch) -> None:
    batch = with_column(with_column(rows, "tags", turns([], None, kind=pa.list_(pa.string()))), "tags.mask", pa.nulls(24))
    predictor, model = both(exported, batch)
    np.testing.assert_allclose(model, predictor, rtol=0, atol=1e-6)
    feed = exported.model.feed(batch)
    assert feed["tags"].shape == feed["tags.mask'"].shape == (24, 0)


def test_inputs_of_the_graph(exported: Exported, rows: pa.RecordBatch) -> None:
    """Lists are filled up, with 0 for a place, 1 for an id and 2 for a null id; a null has its own column."""
    batch = with_column(rows.slice(0, 3), "tags", pa.array([["7", None], None, ["t", "t", "t"]]))
    batch = with_column(batch, "item", pa.array([7, None, 2**40]))
    batch = with_column(batch, "large", pa.array([2**64 - 1, None, 7], pa.uint64()))
    feed = exported.model.feed(batch)
    assert feed["tags"].tolist() == [["7", "", ""], ["", "", ""], ["t", "t", "t"]]
    assert feed["tags.mask'"].tolist() == [[1, 2, 0], [0, 0, 0], [1, 1, 1]]
    assert feed["item"].tolist() == [7, 0, 2**40]
    assert feed["missing"][:, 0].tolist() == [False, True, False]
    assert feed["large"].tolist() == [str(2**64 - 1), "", "7"]
    assert feed["age'"].dtype == np.float64


@pytest.mark.parametrize("contexts", [1, 3])
def test_candidates_and_their_contexts(with_requests: Exported, rows: pa.RecordBatch, contexts: int) -> None:
    """What the rows have to say about a context is not read. One context needs no ``context_row``."""
    context_row = np.arange(24) % contexts
    given = rows.slice(20, contexts)
    taken = given.take(pa.array(context_row))
    joined = pa.record_batch({n: (taken if n in CONTEXT else rows).column(n) for n in rows.schema.names})
    expected = with_requests.predictor.predict(joined)
    row = None if contexts == 1 else context_row.tolist()
    for candidates, shared in ((rows, given), (rows.drop_columns(list(CONTEXT)), given.select(list(CONTEXT)))):
        found = with_requests.model.columns(candidates, context=shared, context_row=row)
        for name, value_B in found.items():
            np.testing.assert_allclose(value_B, expected[name].to_numpy(), rtol=1e-5, atol=1e-7, err_msg=name)
        feed = with_requests.model.feed(candidates, context=shared, context_row=row)
        assert (len(feed["word"]), len(feed["tags"]), len(feed["item"]), len(feed["context_row"])) == (contexts, contexts, 24, 24)
        assert feed["context.missing"].shape == (contexts, 3)
        assert feed["missing"].shape == (24, 3)


@pytest.mark.parametrize("size", [0, 1, 24])
def test_a_table_has_a_context_for_each_row(with_requests: Exported, rows: pa.RecordBatch, size: int) -> None:
    batch = rows.slice(0, size)
    feed = with_requests.model.feed(batch)
    assert feed["context_row"].tolist() == list(range(size))
    assert len(feed["word"]) == size
    found, expected = with_requests.model.columns(batch), with_requests.predictor.predict(batch)
    for name, value_B in found.items():
        np.testing.assert_allclose(value_B, expected[name].to_numpy(), rtol=1e-5, atol=1e-7, err_msg=name)


def _noting(session: Any, feeds: list[dict[str, np.ndarray]], names: list[str], feed: dict[str, np.ndarray]) -> Any:
    feeds.append(feed)
    return session.run(names, feed)


@pytest.mark.parametrize("shared", [False, True])
def test_many_rows_are_predicted_in_parts(
    exported: Exported, with_requests: Exported, rows: pa.RecordBatch, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part has the contexts of its own rows alone, and the results stand in the order of the rows."""
    given: dict[str, Any] = {"context": rows.slice(5, 9), "context_row": [n * 5 % 9 for n in range(24)]} if shared else {}
    whole = {model: model.columns(rows, **given) for model in (with_requests.model, *([] if shared else [exported.model]))}
    monkeypatch.setattr(exported_model, "MOST_ROWS", 7)
    for model, expected in whole.items():
        feeds: list[dict[str, np.ndarray]] = []
        session = SimpleNamespace(run=partial(_noting, model.session, feeds))
        found = ExportedModel(model.folder, model.manifest, session).columns(rows, **given)
        assert [len(feed["item"]) for feed in feeds] == [7, 7, 7, 3]
        if model is with_requests.model:
            assert [len(feed["word"]) for feed in feeds] == [7, 7, 7, 3]
        for name, value_B in expected.items():
            np.testing.assert_allclose(found[name], value_B, rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_changed_schema_is_checked_anew(exported: Exported, rows: pa.RecordBatch) -> None:
    exported.model.columns(rows)
    with pytest.raises(InputError, match="column 'word' is int64, but was string in training"):
        exported.model.columns(with_column(rows, "word", turns(1, 2)))
    exported.model.columns(rows)
    marked = rows.replace_schema_metadata({"from": "elsewhere"})
    np.testing.assert_array_equal(exported.model.columns(marked)["click"], exported.model.columns(rows)["click"])


def test_contexts_that_do_not_fit_the_rows(exported: Exported, with_requests: Exported, rows: pa.RecordBatch) -> None:
    model, two = with_requests.model, rows.slice(0, 2)
    for given, problem in (
        ({"context": two}, r"request: 2 contexts are given\. Give context_row, too"),
        ({"context": rows.slice(0, 0)}, "0 contexts are given"),
        ({"context": two, "context_row": [0, 1]}, r"context_row must be 24 whole numbers.*found int64 of the shape \(2,\)"),
        ({"context": two, "context_row": np.zeros(24)}, "context_row must be 24 whole numbers.*found float64"),
        ({"context": two, "context_row": [2] * 24}, "context_row must lie between 0 and 1; found 2 to 2"),
        ({"context": two, "context_row": [-1] * 24}, "context_row must lie between 0 and 1; found -1 to -1"),
    ):
        with pytest.raises(InputError, match=problem):
            model.feed(rows, "request", **given)
    with pytest.raises(InputError) as caught:
        model.feed(rows.drop_columns(["item"]), "request", context=two.drop_columns(["word"]), context_row=[0] * 24)
    assert caught.value.problems == (
        "request: column 'item' (needed to predict) is missing.",
        "request, context: column 'word' (needed to predict) is missing.",
    )
    with pytest.raises(InputError, match=r"this model has no context features\. Export it again with: manygate export --context"):
        exported.model.feed(rows, context=two)


def test_bad_columns_are_named_all_at_once(exported: Exported, rows: pa.RecordBatch) -> None:
    batch = with_column(rows, "word", turns(1, 2)).rename_columns(
        ["itm", *rows.schema.names[1:-1], "age"]  # item is missing, age is there twice, and so is the fusion's column missing
    )
    with pytest.raises(InputError) as caught:
        exported.model.columns(batch, "request")
    assert caught.value.problems == (
        "request: column 'item' (needed to predict) is missing. Did you mean 'itm'?",
        "request: column 'word' is int64, but was string in training: no id of training is a number ('', for instance). "
        "Write it as text.",
        "request: column 'age' (needed to predict) is there twice. Rename or drop one.",
        "request: column 'other' (needed to predict) is missing.",
    )
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")])
    with pytest.raises(InputError, match=r"rows: column 'word' \(string\) cannot be read: Invalid UTF8"):
        exported.model.columns(with_column(rows.slice(0, 1), "word", broken))
    with pytest.raises(InputError, match="column 'other' must hold numbers"):
        exported.model.columns(with_column(rows, "other", turns("x")))


def test_an_error_of_the_runtime_is_one_clear_error(exported: Exported, rows: pa.RecordBatch, capfd: Any) -> None:
    class Failing:
        def run(self, *_: Any) -> None:
            raise RuntimeError("no\nmemory")

    model = ExportedModel(exported.folder, exported.model.manifest, Failing())
    with pytest.raises(InputError, match=r"rows: ONNX Runtime cannot predict them \(RuntimeError: no memory\)"):
        model.columns(rows)
    assert capfd.readouterr().err == ""


def test_threads_do_not_change_what_is_predicted(exported: Exported) -> None:
    batch = hostile_rows(exported.predictor.encoder, 64, fused=("price", "other"))
    two = ExportedModel.load(str(exported.folder), threads=2).columns(batch)
    for name, value_B in exported.model.columns(batch).items():
        np.testing.assert_allclose(two[name], value_B, rtol=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_changed_and_missing_files_are_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=name):
        ExportedModel.load(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        ExportedModel.load(copy)


def test_unknown_files_are_refused(copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes.txt: not in the manifest"):
        ExportedModel.load(copy)


def test_each_flipped_byte_is_detected_and_its_file_named(copy: Path) -> None:
    detected = 0
    for file in flipped(sorted(copy.iterdir())):
        with pytest.raises(InputError) as caught:
            ExportedModel.load(copy)
        detected += str(file) in str(caught.value)
    assert detected == TRIES
    ExportedModel.load(copy)


def test_what_is_no_exported_model(copy: Path, tmp_path: Path) -> None:
    assert is_exported(copy)
    assert not is_exported(tmp_path)
    with pytest.raises(InputError, match=r"nothing: no exported model here \(no manifest.json\). Make one with: manygate export"):
        ExportedModel.load(tmp_path / "nothing")
    manifest = json.loads((copy / "manifest.json").read_text())
    write_manifest(copy, {**manifest, "export_version": 99})
    with pytest.raises(InputError, match=r"export version 99, and this manygate reads export version 2\. Export the run again"):
        ExportedModel.load(copy)
    write_manifest(copy, {name: value for name, value in manifest.items() if name != "export_version"})
    with pytest.raises(InputError, match="not an exported model, and this manygate"):
        ExportedModel.load(copy)


def test_a_graph_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"model.onnx: ONNX Runtime cannot load it \(\w+: .*\). Export the run again"):
        open_session(path)


def test_without_the_library(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError) as caught:
        ExportedModel.load(exported.folder)
    assert str(caught.value) == INSTALL
    assert "pip install 'manygate[export]'" in INSTALL


def test_a_server_needs_neither_torch_nor_onnx(exported: Exported) -> None:
    script = (
        "import sys; from manygate.scoring.exported_model import ExportedModel; "
        f"ExportedModel.load({str(exported.folder)!r}); print([m for m in ('torch', 'onnx', 'onnxscript') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("known", [[], [0], [0, 1, 2], [True, 5], ["", "-", "---"], [0.0, 1.0]])
def test_ids_unlike_any_known(known: list[Any]) -> None:
    kind = "string" if known and isinstance(known[0], str) else "int64"
    assert ids_unlike(known, kind) not in known
