"""A schema tells which columns each use of a log reads."""

from __future__ import annotations

from manygate.schema import Feature, Schema, Task


def test_evaluation_reads_no_time_and_bias_features_only_where_a_sample_space_needs_them():
    features = [Feature(name=name, kind="sparse", bias=name != "item") for name in ("item", "position", "slot")]
    tasks = (Task(name="click", where="position == 1"), Task(name="buy", label="bought"))
    schema = Schema(features=tuple(features), tasks=tasks, group="user", time="when", weight="importance")
    assert schema.columns == ("item", "position", "slot", "click", "bought", "user", "when", "importance")
    assert schema.evaluated_columns == ("item", "position", "click", "bought", "user", "importance")
