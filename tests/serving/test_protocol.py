"""The protocol: tensors in JSON and in bytes, what may be left out, each problem that is named, and the answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.serving.protocol import InferRequest, metadata, parse, read_infer, tensors_of, write_infer
from manygate.serving.refusals import BadRequest, Refusal, TooLarge
from manygate.serving.tensors import text_bytes, to_bytes
from served import INPUTS

OUTPUTS = ["click", "score"]


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


X = tensor("x", "INT64", [2], [3, 4])
TAGS = tensor("tags", "BYTES", [2, 1], ["a", "b"])
USER = tensor("user", "BYTES", [1], ["u"])
GOOD: dict[str, Any] = {"inputs": [X, TAGS, USER]}


def read(tree: Any, max_rows: int = 5) -> InferRequest:
    return read_infer(json.dumps(tree).encode(), None, INPUTS, OUTPUTS, max_rows)


def with_bytes(tree: Any, *parts: bytes) -> tuple[bytes, str]:
    head = json.dumps(tree).encode()
    return b"".join([head, *parts]), str(len(head))


def problems(tree: Any) -> list[str]:
    with pytest.raises(BadRequest) as caught:
        read(tree)
    return caught.value.problems


def test_what_is_left_out() -> None:
    request = read(GOOD)
    assert {name: value.tolist() for name, value in request.feed.arrays.items()} == {
        "x": [3, 4],
        "tags": [["a"], ["b"]],
        "user": ["u"],
        "tags.mask": [[1], [1]],
        "missing": [[False]],
        "context.missing": [[False]],
        "row": [0, 0],
    }
    assert (request.feed.rows, request.feed.contexts) == (2, 1)
    assert (request.outputs, request.id) == ({"click": False, "score": False}, None)


def test_as_many_contexts_as_rows_are_one_each() -> None:
    request = read({"inputs": [X, TAGS, tensor("user", "BYTES", [2], ["u", "v"])]})
    assert request.feed.arrays["row"].tolist() == [0, 1]


def test_everything_may_be_given() -> None:
    given = [
        tensor("tags.mask", "UINT8", [2, 1], [0, 2]),
        tensor("missing", "BOOL", [2, 1], [True, False]),
        tensor("context.missing", "BOOL", [1, 1], [True]),
        tensor("row", "INT64", [2], [2, 0]),
    ]
    users = tensor("user", "BYTES", [3], ["u", "v", "w"])
    request = read({"inputs": [X, TAGS, users, *given], "id": "r1", "outputs": [{"name": "score"}]})
    assert request.feed.arrays["row"].tolist() == [2, 0]
    assert request.feed.arrays["missing"].tolist() == [[True], [False]]
    assert request.feed.arrays["tags.mask"].tolist() == [[0], [2]]
    assert (request.feed.contexts, request.outputs, request.id) == (3, {"score": False}, "r1")


def test_bytes_and_json_may_be_mixed() -> None:
    tree = {
        "inputs": [
            {"name": "x", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}},
            USER,
            {"name": "tags", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": 10}},
        ],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "score", "parameters": {"binary_data": False}}, {"name": "click"}],
    }
    body, header = with_bytes(tree, to_bytes(np.array([3, 4])), text_bytes(["a", "b"]))
    request = read_infer(body, header, INPUTS, OUTPUTS, 5)
    assert request.feed.arrays["x"].tolist() == [3, 4]
    assert request.feed.arrays["tags"].tolist() == [["a"], ["b"]]
    assert request.outputs == {"score": False, "click": True}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": None}, "inputs must be a list"),
        ({"inputs": [3]}, "inputs must be a list of objects"),
        ({"inputs": [X, TAGS]}, "'user' is missing"),
        ({"inputs": [X, X, TAGS, USER]}, "'x' is given twice"),
        ({"inputs": [*GOOD["inputs"], tensor("xx", "INT64", [1], [1])]}, "no input 'xx'"),
        ({"inputs": [{**X, "datatype": "INT32"}, TAGS, USER]}, "expected the datatype INT64, found 'INT32'"),
        ({"inputs": [{**X, "shape": [2, 1]}, TAGS, USER]}, "expected 1 axes, found 2"),
        ({"inputs": [{**X, "shape": []}, TAGS, USER]}, "expected 1 axes, found 0"),
        ({"inputs": [{**X, "shape": [10**9]}, TAGS, USER]}, "more than 4,000,000 places"),
        ({"inputs": [{**X, "shape": [3]}, TAGS, USER]}, "2 values, and the shape asks for 3"),
        ({"inputs": [{**X, "parameters": []}, TAGS, USER]}, "parameters of input 'x'"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 1}}, TAGS, USER]}, "binary_data_size must be"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 0}}, TAGS, USER]}, "both data and binary_data_size"),
        ({"inputs": [tensor("x", "INT64", [1], [1]), TAGS, USER]}, "input of 'x': 1 rows, and others have 2"),
        ({"inputs": [X, TAGS, tensor("user", "BYTES", [3], ["u"] * 3)]}, "there are 3 contexts"),
        ({"inputs": [*GOOD["inputs"], tensor("row", "INT64", [2], [0, 1])]}, "not between 0 and 0"),
        ({"inputs": [*GOOD["inputs"], tensor("row", "INT64", [2], [0, -1])]}, "not between 0 and 0"),
        ({"inputs": [*GOOD["inputs"], tensor("missing", "BOOL", [3, 1], [True] * 3)]}, "3 rows. Give 1 or 2"),
        ({"inputs": [*GOOD["inputs"], tensor("missing", "BOOL", [1, 2], [True] * 2)]}, "expected 1 columns, found 2"),
        ({"inputs": [*GOOD["inputs"], tensor("tags.mask", "UINT8", [2, 1], [0, 3])]}, "not 0, 1 or 2"),
        ({"inputs": [*GOOD["inputs"], tensor("tags.mask", "UINT8", [2, 2], [0] * 4)]}, "must have the shape of 'tags'"),
        ({"outputs": "click"}, "outputs must be a list"),
        ({"outputs": [{"name": "clik"}]}, "no output 'clik'. Did you mean 'click'?"),
        ({"outputs": [{"name": ["click"]}]}, "no output ['click']"),
        ({"outputs": [{"name": "click"}, {"name": "click"}]}, "named twice"),
        ({"outputs": [{"name": "click", "parameters": {"classification": 2}}]}, "no classification"),
        ({"parameters": 3}, "parameters of the request"),
        ({"id": 3}, "id must be text"),
        ({"id": "x" * 1001}, "at most 1,000 characters"),
    ],
)
def test_each_problem_is_named(change: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems({**GOOD, **change}))


def test_all_problems_are_named_at_once() -> None:
    found = problems({"inputs": [{**X, "shape": [3]}, {**TAGS, "datatype": "FP64"}], "outputs": [{"name": "z"}], "id": 1})
    assert len(found) == 4


def test_too_many_rows_or_contexts() -> None:
    for rows, contexts in ((6, 1), (1, 6)):
        x, tags = tensor("x", "INT64", [rows], [1] * rows), tensor("tags", "BYTES", [rows, 0], [])
        given = [x, tags, tensor("user", "BYTES", [contexts], ["u"] * contexts), tensor("row", "INT64", [rows], [0] * rows)]
        with pytest.raises(TooLarge, match="6 rows, and a request may have 5"):
            read({"inputs": given})


@pytest.mark.parametrize("header", ["", "-1", "1.0", "1e1", "²", "9" * 19, "9" * 5000, "99999", " 1"])
def test_a_length_of_the_json_that_is_none(header: str) -> None:
    with pytest.raises(BadRequest, match="Inference-Header-Content-Length"):
        read_infer(json.dumps(GOOD).encode(), header, INPUTS, OUTPUTS, 5)


def test_bytes_that_belong_to_no_tensor() -> None:
    body, header = with_bytes(GOOD, b"abc")
    with pytest.raises(BadRequest, match="3 bytes follow the last tensor"):
        read_infer(body, header, INPUTS, OUTPUTS, 5)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[1,]", b'"\xff"', b'"\\ud800"', b"[" * 100_000, b"{}x", b"\xef\xbb\xbf{}"])
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        parse(body)


def test_the_body_must_be_an_object() -> None:
    with pytest.raises(BadRequest, match="object with inputs"):
        read([])


def test_metadata_lists_each_tensor() -> None:
    described = metadata("ads", "v1", INPUTS, OUTPUTS)
    assert (described["name"], described["versions"]) == ("ads", ["v1"])
    assert {entry["name"]: (entry["datatype"], entry["shape"]) for entry in described["inputs"]} == {
        "x": ("INT64", [-1]),
        "tags": ("BYTES", [-1, -1]),
        "tags.mask": ("UINT8", [-1, -1]),
        "user": ("BYTES", [-1]),
        "missing": ("BOOL", [-1, 1]),
        "context.missing": ("BOOL", [-1, 1]),
        "row": ("INT64", [-1]),
    }
    assert [entry["name"] for entry in described["outputs"]] == OUTPUTS
    assert {name for name, tensor in tensors_of(INPUTS).items() if tensor.of_context} == {"user", "context.missing"}


COLUMNS = {"click": np.array([0.25, 1 / 3]), "score": np.array([-1.5, 1e300])}


def test_an_answer_in_json() -> None:
    body, head = write_infer(InferRequest(read(GOOD).feed, {"score": False}, "r1"), COLUMNS, "ads", "v1")
    assert head is None
    output = {"name": "score", "datatype": "FP64", "shape": [2], "data": [-1.5, 1e300]}
    assert json.loads(body) == {"model_name": "ads", "model_version": "v1", "outputs": [output], "id": "r1"}


def test_an_answer_in_bytes_and_json() -> None:
    body, head = write_infer(InferRequest(read(GOOD).feed, {"click": True, "score": False}, None), COLUMNS, "ads", "v1")
    tree = json.loads(body[:head])
    assert tree["outputs"][0] == {"name": "click", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}
    assert tree["outputs"][1]["data"] == [-1.5, 1e300]
    assert np.frombuffer(body[head:], "<f8").tolist() == [0.25, 1 / 3]


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4))
TENSORS = st.fixed_dictionaries(
    {"name": st.sampled_from([*tensors_of(INPUTS), "other"])},
    optional={
        "datatype": st.sampled_from(["INT64", "BYTES", "BOOL", "UINT8", "FP64"]) | TREES,
        "shape": st.lists(st.integers(0, 3), max_size=3) | TREES,
        "data": st.lists(LEAVES, max_size=4) | TREES,
        "parameters": TREES | st.fixed_dictionaries({"binary_data_size": st.integers(0, 30) | TREES}),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS | st.sampled_from([X, TAGS, USER]), max_size=6) | TREES},
    optional={
        "outputs": TREES | st.lists(st.fixed_dictionaries({"name": st.sampled_from(OUTPUTS)})),
        "parameters": TREES,
        "id": TREES,
    },
)


@settings(max_examples=300, deadline=None)
@given(TREES | REQUESTS, st.binary(max_size=30))
def test_any_body_is_read_or_refused(tree: Any, more: bytes) -> None:
    body, header = with_bytes(tree, more)
    try:
        request = read_infer(body, header, INPUTS, OUTPUTS, 5)
    except Refusal:
        return
    assert set(request.feed.arrays) == set(tensors_of(INPUTS))
