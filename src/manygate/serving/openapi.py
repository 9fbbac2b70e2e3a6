"""The OpenAPI document of the server, with the features of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manygate.config.serve_settings import ServeConfig
from manygate.serving.distribution import distribution_version
from manygate.serving.protocol import Tensor, tensors_of
from manygate.serving.tensors import DATATYPES
from manygate.serving.versions import Version

TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": ["string", "null"]},
    "int64": {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
    "bool": {"type": ["boolean", "null"]},
    "double": {"type": ["number", "null"]},
}
EXAMPLES: dict[str, Any] = {"string": "a", "int64": 1, "bool": True, "double": 0.5}


def openapi(name: str, version: Version, settings: ServeConfig) -> dict[str, Any]:
    """Return the document. ``name`` is the model's name in URLs."""
    model = f"/v2/models/{name}"
    infer = _operation("Predict rows (Open Inference Protocol V2).", _infer_schema(version), "InferAnswer")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Manygate: {name}",
            "version": distribution_version(),
            "description": "Ranks candidates and predicts rows with a multi-task ranking model. Features go in as in a log.",
        },
        "paths": {
            "/v1/rank": {"post": _operation("Rank candidates.", _rank_schema(version, settings), "RankAnswer")},
            f"{model}/infer": {"post": infer},
            f"{model}/versions/{version.model_version}/infer": {"post": infer},
            model: {"get": _reading("Metadata of the model.")},
            f"{model}/ready": {"get": _reading("Whether the model answers.", {"503": _answer("It drains.")})},
            "/v2": {"get": _reading("Metadata of the server.")},
            "/v2/health/live": {"get": _reading("Whether the server lives.")},
            "/v2/health/ready": {"get": _reading("Whether new requests are welcome.", {"503": _answer("It drains.")})},
            "/metrics": {"get": _reading("Metrics for Prometheus.", kind="text/plain")},
        },
        "components": {
            "schemas": {"RankAnswer": _rank_answer(version), "InferAnswer": {"type": "object"}, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def _answer(description: str, schema: str = "Error", kind: str = "application/json") -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": description, "content": {kind: content}}


_REFUSALS = {
    "400": "The request cannot be read. The error lists all problems.",
    "401": "A token is missing or wrong.",
    "404": "There is no model or version of this name.",
    "408": "The body came too slowly.",
    "413": "The body or the number of rows is too large.",
    "415": "The body is packed.",
    "429": "Too many requests wait. Retry-After says when to come again.",
    "504": "The deadline passed while the request waited.",
}


def _operation(summary: str, schema: Mapping[str, Any], answer: str) -> dict[str, Any]:
    refusals = {status: _answer(description) for status, description in _REFUSALS.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": _answer("The predictions.", answer), **refusals},
    }


def _reading(summary: str, more: Mapping[str, Any] | None = None, kind: str = "application/json") -> dict[str, Any]:
    done = {"description": "Done.", "content": {kind: {"schema": {}}}}
    return {"summary": summary, "responses": {"200": done, "401": _answer(_REFUSALS["401"]), **(more or {})}}


def _feature(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a feature's value, with the values of other types that mean the same."""
    kind, fitted = entry["type"], entry.get("fitted")
    one = TYPES[kind]
    if kind == "string" and fitted == "uint64":
        one = {"type": ["string", "integer", "null"], "minimum": 0, "maximum": 2**64 - 1}
    elif (kind == "int64" and entry.get("true_and_false")) or (kind == "double" and fitted == "bool"):
        one = {**one, "type": ["boolean", *one["type"]]}
    if kind == "double":
        one = {"anyOf": [one, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    return {"type": ["array", "null"], "items": one} if entry["kind"] == "bag" else one


def _example(entry: Mapping[str, Any]) -> Any:
    value = EXAMPLES[entry["type"]]
    return [value] if entry["kind"] == "bag" else value


def _rank_schema(version: Version, settings: ServeConfig) -> dict[str, Any]:
    entries = version.inputs.entries
    in_context = {name: entry for name, entry in entries.items() if entry.get("context")}
    in_rows = {name: entry for name, entry in entries.items() if name not in in_context}
    by_column = {
        "type": "object",
        "description": f"A list for each feature, of at most {settings.max_rows:,} candidates. Other columns are allowed.",
        "required": list(in_rows),
        "properties": {name: {"type": "array", "items": _feature(entry)} for name, entry in in_rows.items()},
        "additionalProperties": {"type": "array"},
    }
    by_row = {
        "type": "array",
        "description": f"An object for each of at most {settings.max_rows:,} candidates. Other columns are allowed.",
        "items": {
            "type": "object",
            "required": list(in_rows),
            "properties": {name: _feature(entry) for name, entry in in_rows.items()},
        },
    }
    needs_by = version.score is None and len(version.outputs) > 1
    example: dict[str, Any] = {
        "context": {name: _example(entry) for name, entry in in_context.items()},
        "candidates": {name: [_example(entry)] * 2 for name, entry in in_rows.items()},
        "by": version.score or version.outputs[0],
        "top": 2,
    }
    return {
        "type": "object",
        "required": ["candidates", "by"] if needs_by else ["candidates"],
        "additionalProperties": False,
        "properties": {
            "context": {
                "type": "object",
                "description": "Features that are the same for all candidates. Any feature may stand here.",
                "required": list(in_context),
                "properties": {name: _feature(entry) for name, entry in in_context.items()},
                "additionalProperties": False,
            },
            "candidates": {"anyOf": [by_column, by_row]},
            "id": {"type": ["string", "null"], "description": "The column of candidates that names them in the answer."},
            "by": {
                "enum": version.outputs if needs_by else [*version.outputs, None],
                "description": "The output by which candidates are ranked, highest first.",
            },
            "top": {"type": "integer", "minimum": 0, "description": "How many are returned."},
        },
        "example": example,
    }


def _rank_answer(version: Version) -> dict[str, Any]:
    scores = {output: {"type": "array", "items": {"type": "number"}} for output in version.outputs}
    return {
        "type": "object",
        "required": ["model_version", "by", "ids", "scores"],
        "properties": {
            "model_version": {"type": "string"},
            "calibration_version": {"type": "string"},
            "fusion_version": {"type": "string"},
            "by": {"enum": version.outputs},
            "ids": {"type": "array"},
            "scores": {"type": "object", "required": list(scores), "properties": scores},
        },
    }


def _tensor_schema(name: str, tensor: Tensor) -> dict[str, Any]:
    """Return the schema of an input of the graph."""
    shape = {"type": "array", "minItems": tensor.axes, "maxItems": tensor.axes, "items": {"type": "integer", "minimum": 0}}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": tensor.datatype},
            "shape": shape,
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }


def _infer_schema(version: Version) -> dict[str, Any]:
    tensors = [_tensor_schema(name, tensor) for name, tensor in tensors_of(version.inputs).items()]
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "items": {"anyOf": tensors}},
            "outputs": {
                "type": ["array", "null"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"enum": version.outputs}}},
            },
            "parameters": {"type": "object"},
        },
        "example": {"inputs": [_example_tensor(entry) for entry in version.inputs.entries.values()]},
    }


def _example_tensor(entry: Mapping[str, Any]) -> dict[str, Any]:
    shape = [1, 1] if entry["kind"] == "bag" else [1]
    return {"name": entry["name"], "datatype": DATATYPES[entry["type"]], "shape": shape, "data": [EXAMPLES[entry["type"]]]}
