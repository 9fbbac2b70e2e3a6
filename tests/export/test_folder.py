"""The exported folder: what is in it, when it is written, and that a wrong graph leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch

import manygate.export.encoding as encoding_module
import manygate.export.folder as folder_module
from exported import CONTEXT, FUNNEL, Exported, draw, draw_flags, funnel_log, untrained
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.export.folder import describe, export_model, first_rows, on_cpu, refuse_other, with_context
from manygate.export.graph import OPSETS
from manygate.export.hostile_rows import hostile_rows
from manygate.export.predictions import Predicted
from manygate.files import write_manifest
from manygate.schema import Feature, Schema, Task
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def small() -> Predictor:
    schema = Schema(features=(Feature(name="item", kind="sparse"),), tasks=(Task(name="click"),))
    return untrained({"item": draw([1, 2], pa.int64(), 1), "click": draw_flags(2)}, schema, architecture="single_task", replicas=1)


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch, small: Predictor, _traced: onnx.ModelProto) -> None:
    """Exports of the small predictor take no seconds."""
    monkeypatch.setattr(folder_module, "trace", lambda network: _traced)


@pytest.fixture(scope="module")
def _traced(small: Predictor) -> onnx.ModelProto:
    return folder_module.trace(folder_module.ServedNetwork(small))


def test_the_folder_predicts_as_the_predictor(exported: Exported) -> None:
    """Known, missing and unseen values, at batches of several sizes; the rows of the log are compared, too."""
    rows = pa.record_batch(funnel_log() | {"other": draw([1.0, 2.0], pa.float64(), 3)})
    expected = exported.predictor.predict(rows)
    found = exported.model.columns(rows)
    assert list(found) == exported.predictor.output_names == expected.column_names
    for name in found:
        np.testing.assert_allclose(found[name], expected[name].to_numpy(), rtol=1e-5, atol=1e-7, err_msg=name)
    manifest = exported.model.manifest
    assert manifest["parity"]["hostile"]["rows"] == folder_module.HOSTILE_ROWS
    assert max(manifest["parity"]["hostile"]["largest"].values()) < 1e-5
    assert manifest["parity"]["hostile"]["rounded"] == 0


def test_the_manifest_describes_inputs_and_outputs(exported: Exported) -> None:
    manifest = exported.model.manifest
    assert set(manifest["files"]) == {"model.onnx", "weights.bin"}
    assert manifest["export_version"] == 2
    assert manifest["opsets"] == {"ai.onnx": OPSETS[""], "ai.onnx.ml": OPSETS["ai.onnx.ml"], "com.microsoft": 1}
    assert (manifest["architecture"], manifest["replicas"]) == ("shared_bottom", 2)
    entries = {entry["feature"]: entry for entry in manifest["inputs"]}
    assert list(entries) == [*(f.name for f in FUNNEL.served_features), "other"]
    assert entries["item"] == {
        "name": "item", "feature": "item", "type": "int64", "kind": "sparse", "missing": 0, "fitted": "int32",
        "true_and_false": False, "unseen": 0,
    }  # fmt: skip
    assert entries["age"]["name"] == "age'", "a task has this name"
    assert entries["tags"]["mask"] == "tags.mask'"
    assert "unseen" not in entries["bucket"]
    assert entries["word"]["unlike_numbers"].startswith("no id of training is a number")
    assert entries["other"] == {"name": "other", "feature": "other", "type": "double", "kind": "fused"}
    assert manifest["missing"] == {"name": "missing", "features": ["item", "word", "digits", "flag", "large", "bucket"]}
    assert manifest["context"] is None
    assert [(o["name"], o["kind"]) for o in manifest["outputs"]] == [
        ("click", "binary"), ("like", "binary"), ("age", "regression"), ("click_like", "joint"), ("score", "score"),
    ]  # fmt: skip
    assert manifest["calibration"]["tasks"]["click"] == {"method": "platt", "a": 1.3, "b": -0.2}
    assert manifest["fusion"]["weights"] == {"click": 1.0, "click_like": 0.5}
    assert Schema.model_validate(manifest["schema"]) == FUNNEL


def test_inputs_and_outputs_of_the_graph_are_those_of_the_manifest(exported: Exported) -> None:
    session, manifest = exported.model.session, exported.model.manifest
    names = {name for entry in manifest["inputs"] for name in (entry["name"], entry.get("mask")) if name}
    assert {i.name for i in session.get_inputs()} == names | {manifest["missing"]["name"]}
    further = [manifest["id_rows"]["name"], *manifest["uncalibrated"].values()]
    assert [o.name for o in session.get_outputs()] == [*exported.model.output_names, *further]
    onnx.checker.check_model(str(exported.folder / "model.onnx"))


def test_raw_values_in_their_own_types(exported: Exported) -> None:
    """A caller without pyarrow gives arrays: text, whole numbers, masks, and no nulls."""
    rows = 3
    given: dict[str, Any] = {}
    for entry in exported.model.manifest["inputs"]:
        kind = {"string": object, "int64": np.int64, "bool": bool, "double": np.float64}[entry["type"]]
        value = {"string": "7", "int64": 7, "bool": True, "double": 7.0}[entry["type"]]
        given[entry["name"]] = np.full((rows, 2) if "mask" in entry else rows, value, kind)
        if "mask" in entry:
            given[entry["mask"]] = np.array([[1, 0], [1, 1], [2, 0]], np.uint8)
    given["missing"] = np.zeros((1, 6), dtype=bool)
    found = dict(zip(exported.model.output_names, exported.model.session.run(exported.model.output_names, given), strict=True))
    lists = {"tags": [["7"], ["7", "7"], [None]], "tags.mask": [[7], [7, 7], [None]]}
    plain = {"item": 7, "word": "7", "digits": "7", "share": 7.0, "flag": True, "bucket": 7, "age": 7.0, "price": 7.0, "other": 7.0}
    table = pa.table(
        {**lists, **{name: [value] * rows for name, value in plain.items()}, "large": pa.array([7] * rows, pa.uint64())}
    )
    expected = exported.predictor.predict(table)
    for name, value_B in found.items():
        np.testing.assert_allclose(value_B, expected[name].to_numpy(), rtol=1e-5, atol=1e-7, err_msg=name)


def test_predictions_before_calibration(exported: Exported) -> None:
    """In the unit of the label, and for tasks that are not calibrated, too. A server that calibrates them gets the columns."""
    manifest, rows = exported.model.manifest, pa.record_batch(funnel_log() | {"other": draw([1.0], pa.float64(), 3)})
    names = manifest["uncalibrated"]
    assert names == {"click": "uncalibrated.click", "like": "uncalibrated.like", "age": "uncalibrated.age"}
    found = exported.model.session.run(list(names.values()), exported.model.feed(rows))
    expected = exported.predictor.uncorrected().predict(rows)
    for name, value_B in zip(names, found, strict=True):
        np.testing.assert_allclose(value_B, expected[name].to_numpy(), rtol=1e-5, atol=1e-7, err_msg=name)
    calibrated = exported.predictor.calibration
    assert calibrated is not None
    columns = calibrated.apply(dict(zip(names, found, strict=True)))
    np.testing.assert_allclose(columns["click"], exported.model.columns(rows)["click"], rtol=1e-9)


@pytest.mark.parametrize("which", ["exported", "with_requests"])
def test_rows_of_ids(which: str, request: pytest.FixtureRequest) -> None:
    """Per row, also those of a context, without numbers whose values are ids."""
    case: Exported = request.getfixturevalue(which)
    entry, rows = case.model.manifest["id_rows"], hostile_rows(case.predictor.encoder, 50, fused=("price", "other"))
    assert (entry["unseen"], entry["null"]) == (1, 0)
    assert set(entry["features"]) == {f.name for f in FUNNEL.served_features if f.kind == "sparse"}
    assert case.predictor.encoder.number_ids
    (found_BS,) = case.model.session.run([entry["name"]], case.model.feed(rows))
    encoded = case.predictor.encoder.encode(rows, labels=False, bias=False)
    single = [f.name for f in FUNNEL.features if f.kind == "sparse"]
    np.testing.assert_array_equal(found_BS, encoded.id_BS[:, [single.index(name) for name in entry["features"]]])


def test_context_features_of_the_schema_and_of_the_call(with_requests: Exported) -> None:
    """The graph, the manifest and its schema have them. Requests were compared with the predictor."""
    session, manifest = with_requests.model.session, with_requests.model.manifest
    assert manifest["context"] == {
        "row": "context_row", "missing": "context.missing", "features": ["word", "flag", "bucket"],
    }  # fmt: skip
    assert manifest["missing"] == {"name": "missing", "features": ["item", "digits", "large"]}
    entries = manifest["inputs"]
    assert tuple(entry["feature"] for entry in entries if entry.get("context")) == CONTEXT
    assert [f.name for f in Schema.model_validate(manifest["schema"]).features if f.context] == list(CONTEXT)
    names = {name for entry in entries for name in (entry["name"], entry.get("mask")) if name}
    assert {i.name for i in session.get_inputs()} == names | {"missing", "context.missing", "context_row"}
    shapes = {i.name: i.shape[0] for i in session.get_inputs()}
    assert (shapes["word"], shapes["tags"], shapes["item"], shapes["context_row"]) == ("contexts", "contexts", "rows", "rows")
    assert session.get_outputs()[0].shape == ["rows"]


def test_context_that_no_request_carries_is_refused(small: Predictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"context(=|: )'itm' is no feature\. Did you mean 'item'"):
        export_model(small, tmp_path / "out", context=["itm"])
    assert not list(tmp_path.iterdir())
    marked = with_context(with_context(small, ["item"]), [])
    assert marked.schema.features[0].context
    assert not small.schema.features[0].context


@pytest.mark.usefixtures("traced_once")
def test_requests_are_compared(small: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that gives all rows the first context is refused."""
    first = lambda value, inputs, axis=0: value.graph.op("Gather", value, inputs.context_row * 0, axis=axis)  # noqa: E731
    monkeypatch.setattr(encoding_module, "to_rows", first)
    with pytest.raises(InputError, match="the graph predicts click"):
        export_model(small, tmp_path / "out", context=["item"])


@pytest.mark.usefixtures("traced_once")
def test_an_exported_model_is_replaced(small: Predictor, tmp_path: Path) -> None:
    """Also one without tensors that are large enough for a file of their own. Rows of a log are compared, too."""
    out = tmp_path / "deep" / "model"
    log = open_table(pa.table({"item": [1, 2, None, 3]}))
    for _ in range(2):
        found = export_model(small, out, log)
        assert (found.folder, found.inputs, found.outputs, found.replicas) == (out, ["item"], ["click"], 1)
        assert found.log is not None
        assert (found.hostile.rows, found.log.rows) == (folder_module.HOSTILE_ROWS, 4)
        manifest = ExportedModel.load(out).manifest
        assert manifest["parity"]["log"]["rows"] == 4
        assert manifest["reference"]["rows"] == 4
        assert manifest["reference"]["features"]["item"]["null"] == 0.25
        export_model(small, out)
        assert ExportedModel.load(out).manifest["reference"] is None
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


@pytest.mark.parametrize("content", ["file", "folder", "bundle", "list"])
@pytest.mark.usefixtures("traced_once")
def test_other_content_is_not_replaced(small: Predictor, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    if content == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
        if content == "bundle":
            write_manifest(out, {"bundle_version": 1})
        if content == "list":
            (out / "manifest.json").write_text("[1, 2]")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"exists and is not an exported model, so it is not replaced\. Choose another path"):
        export_model(small, out)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert (out if content == "file" else out / "mine.txt").read_text() == "mine"


def test_an_exported_model_may_be_kept(exported: Exported) -> None:
    with pytest.raises(InputError, match=r"an exported model is there\. Choose another path, or add"):
        refuse_other(exported.folder, overwrite=False)
    refuse_other(exported.folder, overwrite=True)


def test_an_empty_folder_and_no_folder_are_free(tmp_path: Path) -> None:
    refuse_other(tmp_path)
    refuse_other(tmp_path / "new")


@pytest.mark.usefixtures("traced_once")
def test_a_wrong_graph_is_refused_and_nothing_is_left(small: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probability that is 0.000 01 too large; an exported model that was there before stays."""
    right = folder_module.predictions

    def wrong(*given: Any) -> Predicted:
        columns, uncalibrated = right(*given)
        return Predicted({name: value + 1e-5 for name, value in columns.items()}, uncalibrated)

    export_model(small, tmp_path / "old")
    before = (tmp_path / "old" / "model.onnx").read_bytes()
    monkeypatch.setattr(folder_module, "predictions", wrong)
    for out in ("new", "old"):
        with pytest.raises(InputError, match=r"export: the graph predicts click as .* in place of .*Please report it"):
            export_model(small, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "model.onnx").read_bytes() == before


@pytest.mark.usefixtures("traced_once")
def test_a_difference_on_the_rows_of_the_log_is_refused(small: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def second(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise InputError("export: the graph predicts something else.")
        return folder_module.Parity(1, {"click": 0.0}, 0)

    monkeypatch.setattr(folder_module, "compare", second)
    with pytest.raises(InputError, match="something else"):
        export_model(small, tmp_path / "new", open_table(pa.table({"item": [1]})))
    assert not list(tmp_path.iterdir())


def test_first_rows_are_few(small: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "LOG_ROWS", 5)
    table = open_table(pa.table({"item": range(20), "price": range(20), "other": range(20)}))
    batch = first_rows(table, small, ["price"])
    assert batch is not None
    assert batch.schema.names == ["item", "price"]
    assert batch.column("item").to_pylist() == [0, 1, 2, 3, 4]
    assert first_rows(open_table(pa.table({"item": pa.nulls(0, pa.int64())})), small, []) is None


def test_a_model_elsewhere_is_compared_on_the_cpu(small: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_cpu(small) is small
    batch = pa.table({"item": [1, 2, None]})
    expected = small.predict(batch)
    with monkeypatch.context() as patch:
        patch.setattr(small.model, "device", torch.device("cuda"))
        moved = on_cpu(small)
    assert moved.model is not small.model
    assert moved.model.device == torch.device("cpu")
    assert moved.predict(batch).equals(expected)


def test_the_description_is_plain_json(exported: Exported) -> None:
    encoded = folder_module.encode(
        folder_module.Graph(exported.predictor.output_names), exported.predictor.encoder, ("price", "other")
    )
    tree = describe(exported.predictor, encoded)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
