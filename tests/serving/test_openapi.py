"""The OpenAPI document: its example is answered, and it says what the server reads."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exported import CONTEXT, Exported
from manygate.config.serve_settings import ServeConfig
from manygate.export.folder import export_model
from manygate.serving.openapi import openapi
from manygate.serving.versions import Versions
from served import client_of, service_of


@pytest.fixture(scope="module", params=["candidates", "context"])
def model(request: pytest.FixtureRequest, exported: Exported, with_requests: Exported) -> Exported:
    return exported if request.param == "candidates" else with_requests


@pytest.fixture(scope="module")
def document(model: Exported) -> dict[str, Any]:
    settings = ServeConfig(max_rows=50)
    tree: dict[str, Any] = json.loads(json.dumps(openapi("ads", Versions(model.folder, settings, 1).current, settings)))
    return tree


def rank_schema(document: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = document["paths"]["/v1/rank"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def test_each_path_answers(document: dict[str, Any], model: Exported) -> None:
    with client_of(service_of(model.folder, name="ads")) as client:
        for path, methods in document["paths"].items():
            for method in methods:
                status = client.request(method.upper(), path).status_code
                assert status == (400 if method == "post" else 200), path


def test_the_example_is_answered_as_the_schema_says(document: dict[str, Any], model: Exported) -> None:
    with client_of(service_of(model.folder)) as client:
        answer = client.post("/v1/rank", json=rank_schema(document)["example"])
    assert answer.status_code == 200
    schema = document["components"]["schemas"]["RankAnswer"]
    assert set(schema["required"]) <= set(answer.json()) <= set(schema["properties"])
    assert list(answer.json()["scores"]) == schema["properties"]["scores"]["required"]
    assert len(answer.json()["ids"]) == 2


def test_features_stand_where_they_belong(document: dict[str, Any], model: Exported) -> None:
    properties = rank_schema(document)["properties"]
    in_context = set(CONTEXT) if model.model.manifest["context"] else set()
    assert set(properties["context"]["required"]) == in_context
    by_column, by_row = properties["candidates"]["anyOf"]
    assert set(by_column["required"]) == set(by_row["items"]["required"]) == set(model.model.features) - in_context
    assert "at most 50 candidates" in by_column["description"]
    assert "at most 50 candidates" in by_row["description"]


def test_null_stands_for_a_name_that_is_not_given(document: dict[str, Any], model: Exported) -> None:
    schema = rank_schema(document)
    assert schema["properties"]["id"]["type"] == ["string", "null"]
    assert schema["properties"]["by"]["enum"][-1] is None  # the model has a fused score
    with client_of(service_of(model.folder)) as client:
        answer = client.post("/v1/rank", json={**schema["example"], "id": None, "by": None})
    assert answer.status_code == 200
    assert answer.json()["by"] == "score"


def test_by_cannot_be_null_without_a_score(tmp_path: Path, exported: Exported) -> None:
    export_model(replace(exported.predictor, fusion=None), tmp_path / "model")
    schema = rank_schema(openapi("ads", Versions(tmp_path / "model", ServeConfig(), 1).current, ServeConfig()))
    assert None not in schema["properties"]["by"]["enum"]
    assert "by" in schema["required"]


def test_the_types_of_features(document: dict[str, Any]) -> None:
    properties = rank_schema(document)["properties"]
    by_column, by_row = properties["candidates"]["anyOf"]
    features = {name: column["items"] for name, column in by_column["properties"].items()}
    assert features == by_row["items"]["properties"]
    features |= properties["context"]["properties"]
    assert features["item"]["type"] == ["integer", "null"]
    assert features["large"]["type"] == ["string", "integer", "null"]  # uint64
    assert features["bucket"]["type"] == ["boolean", "integer", "null"]  # hashed: true is 1
    assert features["word"]["type"] == ["string", "null"]
    assert features["flag"]["type"] == ["boolean", "null"]
    assert features["tags"] == {"type": ["array", "null"], "items": {"type": ["string", "null"]}}
    assert {"enum": ["NaN", "Infinity", "-Infinity"]} in features["price"]["anyOf"]


def test_values_of_another_type_that_mean_the_same_are_answered(exported: Exported) -> None:
    settings = ServeConfig()
    example = rank_schema(openapi("ads", Versions(exported.folder, settings, 1).current, settings))["example"]
    with client_of(service_of(exported.folder)) as client:
        answers = [
            client.post("/v1/rank", json={**example, "candidates": {**example["candidates"], **changes}}).json()["scores"]
            for changes in ({"large": [7, 7], "bucket": [True, True]}, {"large": ["7", "7"], "bucket": [1, 1]})
        ]
    assert answers[0] == answers[1]


def test_the_example_of_tensors_is_answered(document: dict[str, Any], model: Exported) -> None:
    schema = document["paths"]["/v2/models/ads/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    with client_of(service_of(model.folder, name="ads")) as client:
        answers = [client.post("/v2/models/ads/infer", json={**schema["example"], **more}) for more in ({}, {"outputs": None})]
    assert schema["properties"]["outputs"]["type"] == ["array", "null"]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert [output["shape"] for output in answer.json()["outputs"]] == [[1]] * len(model.model.manifest["outputs"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = set(document["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))) == schemas


def test_the_tensors_are_those_of_the_metadata(document: dict[str, Any], model: Exported) -> None:
    schema = document["paths"]["/v2/models/ads/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    with client_of(service_of(model.folder, name="ads")) as client:
        metadata = client.get("/v2/models/ads").json()
    tensors = [tensor["properties"] for tensor in schema["properties"]["inputs"]["items"]["anyOf"]]
    named = [(tensor["name"]["const"], tensor["datatype"]["const"], tensor["shape"]["minItems"]) for tensor in tensors]
    assert named == [(entry["name"], entry["datatype"], len(entry["shape"])) for entry in metadata["inputs"]]
    outputs = schema["properties"]["outputs"]["items"]["properties"]["name"]["enum"]
    assert outputs == [entry["name"] for entry in metadata["outputs"]]
