"""All ways to a prediction agree with the predictor in torch: Python, rank, and the protocol in JSON and in bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from exported import CONTEXT, Exported
from manygate.export.hostile_rows import hostile_rows
from manygate.export.parity import as_request, expect
from manygate.serving.protocol import HEADER
from manygate.serving.tensors import text_bytes, to_bytes
from served import as_json, client_of, funnel_rows, plain, service_of

SIZES = (0, 1, 7, 512)
DATATYPES = {"O": "BYTES", "i": "INT64", "f": "FP64", "b": "BOOL", "u": "UINT8"}
Columns = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def client(exported: Exported) -> Any:
    with client_of(service_of(exported.folder, name="ads", deadline=60.0)) as client:
        yield client


@pytest.fixture(scope="module")
def context_client(with_requests: Exported) -> Any:
    with client_of(service_of(with_requests.folder, name="ads", deadline=60.0)) as client:
        yield client


def rows_of(model: Exported, rows: int) -> pa.RecordBatch:
    return hostile_rows(model.predictor.encoder, rows, seed=11, fused=model.predictor.fusion.features)  # type: ignore[union-attr]


def assert_close(model: Exported, found: Columns, batch: pa.RecordBatch) -> None:
    """Probabilities are within 1e-6 of the predictor's, values within 1e-5 of their size."""
    expected = expect(model.predictor, batch).columns
    assert list(found) == list(expected)
    for output in model.model.manifest["outputs"]:
        name = output["name"]
        value = output["kind"] in ("regression", "score")
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5 if value else 0, atol=1e-6, err_msg=name)


def rank(client: TestClient, tree: dict[str, Any]) -> Columns:
    """The predictions by rank, in the order of the candidates."""
    answer = client.post("/v1/rank", json=tree)
    assert answer.status_code == 200, answer.text
    ids = np.array(answer.json()["ids"], np.int64)
    assert sorted(ids.tolist()) == list(range(len(ids)))
    return {name: np.array(values, np.float64)[np.argsort(ids)] for name, values in answer.json()["scores"].items()}


def infer_json(client: TestClient, feed: Columns) -> Columns:
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[value.dtype.kind],
            "shape": list(value.shape),
            "data": plain(value.ravel().tolist()),
        }
        for name, value in feed.items()
    ]
    answer = client.post("/v2/models/ads/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return {output["name"]: np.array(output["data"], np.float64) for output in answer.json()["outputs"]}


def infer_bytes(client: TestClient, feed: Columns) -> Columns:
    parts = [text_bytes(value.ravel().tolist()) if value.dtype.kind == "O" else to_bytes(value) for value in feed.values()]
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[value.dtype.kind],
            "shape": list(value.shape),
            "parameters": {"binary_data_size": len(part)},
        }
        for (name, value), part in zip(feed.items(), parts, strict=True)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = client.post("/v2/models/ads/infer", content=b"".join([head, *parts]), headers={HEADER: str(len(head))})
    assert answer.status_code == 200, answer.text
    place = int(answer.headers[HEADER])
    found = {}
    for output in json.loads(answer.content[:place])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]] = np.frombuffer(answer.content[place : place + size], "<f8")
        place += size
    assert place == len(answer.content)
    return found


@pytest.mark.parametrize("rows", SIZES)
def test_all_ways_to_a_prediction_agree(exported: Exported, client: TestClient, rows: int) -> None:
    batch = rows_of(exported, rows)
    columns = as_json(batch, exported.model.features)
    by_row = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    feed = exported.model.feed(batch)
    ways = {
        "ExportedModel": exported.model.columns(batch),
        "columns": rank(client, {"candidates": columns}),
        "rows": rank(client, {"candidates": by_row}),
        "JSON": infer_json(client, feed),
        "bytes": infer_bytes(client, feed),
    }
    for found in ways.values():
        assert_close(exported, found, batch)


@pytest.mark.parametrize("rows", SIZES)
def test_all_ways_to_a_prediction_with_contexts_agree(with_requests: Exported, context_client: TestClient, rows: int) -> None:
    model, client = with_requests, context_client
    batch, shared, context_row = as_request(rows_of(model, rows), CONTEXT)
    feed = model.model.feed(batch.drop_columns(list(CONTEXT)), context=shared, context_row=context_row)
    for found in (
        model.model.columns(batch.drop_columns(list(CONTEXT)), context=shared, context_row=context_row),
        rank(client, {"candidates": as_json(batch, model.model.features)}),
        infer_json(client, feed),
        infer_bytes(client, feed),
    ):
        assert_close(model, found, batch)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("seed", range(5))
def test_one_context_for_all_candidates(with_requests: Exported, context_client: TestClient, rows: int, seed: int) -> None:
    whole = hostile_rows(with_requests.predictor.encoder, 7, seed, with_requests.predictor.fusion.features)  # type: ignore[union-attr]
    batch = pa.record_batch(
        {name: whole.column(name).take([0] * rows) if name in CONTEXT else whole.column(name)[:rows] for name in whole.schema.names}
    )
    columns = as_json(batch, with_requests.model.features)
    context = {name: columns.pop(name)[0] for name in CONTEXT}
    assert_close(with_requests, rank(context_client, {"context": context, "candidates": columns}), batch)


def test_a_chosen_output_comes_alone(exported: Exported, client: TestClient) -> None:
    feed = exported.model.feed(funnel_rows(3))
    inputs = [
        {"name": n, "datatype": DATATYPES[v.dtype.kind], "shape": list(v.shape), "data": plain(v.tolist())} for n, v in feed.items()
    ]
    tree = client.post("/v2/models/ads/infer", json={"inputs": inputs, "outputs": [{"name": "like"}], "id": "r1"}).json()
    assert [output["name"] for output in tree["outputs"]] == ["like"]
    assert (tree["id"], tree["model_name"]) == ("r1", "ads")
