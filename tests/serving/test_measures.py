"""The metrics."""

from __future__ import annotations

import re

from manygate.serving.measures import STAGES, Measures


def test_all_metrics_are_there_in_the_format_of_prometheus() -> None:
    measures = Measures()
    measures.requests.labels("rank", "200").inc()
    measures.drift.labels("feature", "age").set(0.25)
    measures.stages["model"].observe(0.003)
    text, kind = measures.text()
    lines = text.decode().splitlines()
    assert kind.startswith("text/plain")
    assert 'manygate_requests_total{route="rank",status="200"} 1.0' in lines
    assert 'manygate_drift{kind="feature",name="age"} 0.25' in lines
    assert 'manygate_stage_seconds_bucket{le="0.005",stage="model"} 1.0' in lines
    assert 'manygate_stage_seconds_bucket{le="0.002",stage="model"} 0.0' in lines
    assert {re.search(r'stage="(\w+)"', line)[1] for line in lines if line.startswith("manygate_stage_seconds_count")} == set(
        STAGES
    )  # type: ignore[index]
    assert all(re.match(r"(# (HELP|TYPE) )?manygate_\w+", line) for line in lines)


def test_what_answered_before_is_shown_as_such() -> None:
    measures = Measures()
    measures.show_version({"model_version": "a", "fusion_version": "f"})
    measures.show_version({"model_version": "b"})
    measures.show_drift({("feature", "age"): 0.25, ("output", "click"): 0.5})
    measures.show_drift({("output", "click"): 0.75})
    lines = measures.text()[0].decode().splitlines()
    assert 'manygate_version{calibration_version="",fusion_version="f",model_version="a"} 0.0' in lines
    assert 'manygate_version{calibration_version="",fusion_version="",model_version="b"} 1.0' in lines
    assert 'manygate_drift{kind="feature",name="age"} NaN' in lines
    assert 'manygate_drift{kind="output",name="click"} 0.75' in lines


def test_two_servers_count_apart() -> None:
    one, two = Measures(), Measures()
    one.refused.labels("Full").inc()
    assert "Full" in one.text()[0].decode()
    assert "Full" not in two.text()[0].decode()
