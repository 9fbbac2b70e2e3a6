"""A model of a Triton repository: its configuration, as a parser of the text format reads it, and its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported import Exported
from manygate.errors import InputError
from manygate.export.graph import Graph
from manygate.export.hostile_rows import hostile_rows
from manygate.export.triton import config_text, quoted, write_repository
from manygate.scoring.exported_model import open_session

TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_]\w*|-?\d+)|(?P<sign>[{}\[\]:,]))')


def parse(text: str) -> dict[str, list[Any]]:
    """Read the part of the protobuf text format that a configuration needs. Each field has the list of its values."""
    tokens, end = [], 0
    while match := TOKEN.match(text, end):
        tokens.append(match)
        end = match.end()
    assert not text[end:].strip(), f"not understood: {text[end : end + 40]!r}"
    message, rest = _message(tokens, 0)
    assert rest == len(tokens)
    return message


def _message(tokens: list[re.Match[str]], at: int) -> tuple[dict[str, list[Any]], int]:
    found: dict[str, list[Any]] = {}
    while at < len(tokens) and tokens[at]["sign"] != "}":
        name = tokens[at]["word"]
        if tokens[at + 1]["sign"] == "{":
            value, at = _message(tokens, at + 2)
            assert tokens[at]["sign"] == "}"
            found.setdefault(name, []).append(value)
            at += 1
            continue
        assert tokens[at + 1]["sign"] == ":"
        if tokens[at + 2]["sign"] == "[":
            at += 3
            while tokens[at]["sign"] != "]":
                if tokens[at]["sign"] != ",":
                    found.setdefault(name, []).append(_scalar(tokens[at]))
                at += 1
        else:
            at += 2
            found.setdefault(name, []).append(_scalar(tokens[at]))
        at += 1
    return found, at


def _scalar(token: re.Match[str]) -> Any:
    if token["text"] is not None:
        return token["text"][1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    return int(token["word"]) if re.fullmatch(r"-?\d+", token["word"]) else token["word"]


@pytest.mark.parametrize("which", ["exported", "with_requests"])
def test_the_configuration_has_every_input_and_output(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    case: Exported = request.getfixturevalue(which)
    out = write_repository(tmp_path / "repository", case.folder)
    assert out == tmp_path / "repository" / "model"
    config = parse((out / "config.pbtxt").read_text())
    assert (config["name"], config["platform"], config["max_batch_size"]) == (["model"], ["onnxruntime_onnx"], [0])
    given = {tensor["name"][0]: (*tensor["data_type"], *tensor["dims"]) for tensor in config["input"]}
    manifest = case.model.manifest
    kinds = {"string": "TYPE_STRING", "int64": "TYPE_INT64", "bool": "TYPE_BOOL", "double": "TYPE_FP64"}
    expected: dict[str, tuple[Any, ...]] = {}
    for entry in manifest["inputs"]:
        axes = (-1, -1) if "mask" in entry else (-1,)
        expected[entry["name"]] = (kinds[entry["type"]], *axes)
        if "mask" in entry:
            expected[entry["mask"]] = ("TYPE_UINT8", *axes)
    expected[manifest["missing"]["name"]] = ("TYPE_BOOL", -1, len(manifest["missing"]["features"]))
    if context := manifest["context"]:
        expected[context["row"]] = ("TYPE_INT64", -1)
        expected[context["missing"]] = ("TYPE_BOOL", -1, len(context["features"]))
    assert given == expected
    outputs = {tensor["name"][0]: (*tensor["data_type"], *tensor["dims"]) for tensor in config["output"]}
    assert [name for name in outputs if name in case.model.output_names] == case.model.output_names
    assert outputs.pop(manifest["id_rows"]["name"]) == ("TYPE_INT64", -1, len(manifest["id_rows"]["features"]))
    assert set(outputs.values()) == {("TYPE_FP64", -1)}


def test_the_version_is_the_exported_model(exported: Exported, tmp_path: Path) -> None:
    """Its graph finds the weights beside it."""
    out = write_repository(tmp_path, exported.folder)
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {"config.pbtxt", "1/model.onnx", "1/weights.bin"}
    batch = hostile_rows(exported.predictor.encoder, 9, fused=("price", "other"))
    session = open_session(out / "1" / "model.onnx", 1)
    (click,) = session.run(["click"], exported.model.feed(batch))
    np.testing.assert_array_equal(click, exported.model.columns(batch)["click"])


def test_what_is_there_is_replaced_if_asked_and_if_it_is_a_model(exported: Exported, tmp_path: Path) -> None:
    out = write_repository(tmp_path, exported.folder)
    with pytest.raises(InputError, match=r"model is there\. Choose another repository, or add"):
        write_repository(tmp_path, exported.folder)
    (out / "config.pbtxt").write_text("old")
    write_repository(tmp_path, exported.folder, overwrite=True)
    assert parse((out / "config.pbtxt").read_text())["name"] == ["model"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "other" / "model").mkdir(parents=True)
    with pytest.raises(InputError, match="is no model of a repository, so it is not replaced"):
        write_repository(tmp_path / "other", exported.folder, overwrite=True)


@pytest.mark.parametrize("name", ['a "b" \\', "tab\tand\nline", "bell\a"])
def test_names_of_any_kind(name: str, tmp_path: Path) -> None:
    graph = Graph(["y"])
    graph.output("y", graph.input(name, np.float64, ["rows", 3]), ["rows", 3])
    (tmp_path / "model.onnx").write_bytes(graph.model().SerializeToString())
    config = parse(config_text(name, open_session(tmp_path / "model.onnx")))
    assert config["input"] == [{"name": [name], "data_type": ["TYPE_FP64"], "dims": [-1, 3]}]
    assert config["name"] == [name]


def test_other_alphabets_stay_as_they_are() -> None:
    assert quoted("été 日本") == '"été 日本"'
