"""``inspection.json`` keeps all that it is given; the parts that were not asked for are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manygate.errors import InputError
from manygate.results.inspection import Alarm, GateUse, Inspection, InspectionDocument, NoiseReport, SeenLayer, SegmentGate

PARTS = ("gates", "dead", "experts", "noise", "segments", "conflict", "affinity", "importance", "embeddings")
SHAPE: dict[str, Any] = {
    "sees": [0, 2],
    "rows": 9,
    "mean": [0.5, 0.0, 0.5],
    "sd": [0.1, 0.0, 0.1],
    "entropy": 0.69,
    "entropy_share": 1.0,
    "polarised": None,
}
BARE: dict[str, Any] = {
    "architecture": "mmoe",
    "rows": 9,
    "replicas": {"looked_at": 1, "of": 2},
    "tasks": [{"task": "click", "kind": "binary", "rows": 9}],
    "gate": "softmax",
    "parts": [],
    "alarms": [],
}


def test_a_whole_inspection_is_read_and_written_as_it_was(inspected, tmp_path: Path) -> None:
    for architecture in ("mmoe", "single_task"):
        tree = inspected(architecture)
        path = tmp_path / "inspection.json"
        path.write_text(json.dumps(tree))
        document = InspectionDocument.read(path)
        assert document.to_tree() == tree
        assert set(tree["parts"]) <= set(PARTS)
    assert {layer.model for layer in document.dead.layers} == {"click", "like", "watch"}  # type: ignore[union-attr]


def test_parts_that_were_not_asked_for_are_absent() -> None:
    bare = Inspection.model_validate(BARE)
    assert bare.to_tree() == BARE
    assert all(getattr(bare, part) is None for part in PARTS)
    noise = [{"task": "click", "metric": "auc", "rows": 9, "value": None, "se": None, "chance": 0.5, "verdict": "too few rows"}]
    assert Inspection.model_validate({**BARE, "noise": noise}).to_tree() == {**BARE, "noise": noise}


def test_an_inspection_within_a_run_has_no_version_and_a_file_needs_one() -> None:
    with pytest.raises(InputError, match="it has no inspection_version"):
        InspectionDocument.from_tree(BARE, "x")
    whole = {**BARE, "inspection_version": 1, "manygate_version": "0.1.0", "log": "a", "rows_of_log": 20}
    assert InspectionDocument.from_tree(whole, "x").to_tree() == whole
    with pytest.raises(ValidationError, match="inspection_version"):
        Inspection.model_validate(whole)


def test_the_record_of_a_replica_names_a_task_only_where_each_has_its_own_model() -> None:
    network = {"name": "expert 1", "units": 5, "dead": 0.2, "mostly_zero": 0.4, "zeros": 0.5}
    layer = {"replica": 1, "part": "experts", "layer": 0, "networks": [network]}
    assert SeenLayer.model_validate(layer).to_tree() == layer
    assert SeenLayer.model_validate({**layer, "model": "click"}).model == "click"


def test_a_gate_of_a_segment_is_that_of_a_task_with_its_distance() -> None:
    use = {**SHAPE, "task": "click"}
    assert GateUse.model_validate(use).to_tree() == use
    segment = {**use, "replica": 0, "level": "level 1", "segment": "CH", "distance": 0.3}
    assert SegmentGate.model_validate(segment).to_tree() == segment
    with pytest.raises(ValidationError, match="distance"):
        SegmentGate.model_validate({name: value for name, value in segment.items() if name != "distance"})


def test_severities_and_verdicts_are_the_known_ones() -> None:
    alarm = {"kind": "x", "title": "T", "message": "M.", "numbers": {"a": [1, None]}, "advice": "A."}
    for severity in ("serious", "warning", "note"):
        assert Alarm.model_validate({**alarm, "severity": severity}).to_tree() == {**alarm, "severity": severity}
    with pytest.raises(ValidationError, match="severity"):
        Alarm.model_validate({**alarm, "severity": "fatal"})
    with pytest.raises(ValidationError, match="verdict"):
        NoiseReport.model_validate({"verdict": "worse"})
