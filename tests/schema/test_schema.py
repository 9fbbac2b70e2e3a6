"""A schema lists the columns of each use of a log, and refuses roles that contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.errors import InputError
from manygate.schema import Feature, Schema, Task


def test_evaluation_reads_no_time_and_bias_features_only_where_a_sample_space_needs_them():
    features = [Feature(name=name, kind="sparse", bias=name != "item") for name in ("item", "position", "slot")]
    tasks = (Task(name="click", where="position == 1"), Task(name="buy", label="bought"))
    schema = Schema(features=tuple(features), tasks=tasks, group="user", time="when", weight="importance")
    assert schema.columns == ("item", "position", "slot", "click", "bought", "user", "when", "importance")
    assert schema.evaluated_columns == ("item", "position", "click", "bought", "user", "importance")


ITEM = Feature(name="item", kind="sparse")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tasks": ()}, "tasks: the schema names no task. Name at least one label to predict."),
        ({"features": ()}, "features: the schema names no feature"),
        ({"features": (ITEM, ITEM)}, "feature 'item' is named twice."),
        ({"tasks": (Task(name="click"), Task(name="click"))}, "task 'click' is named twice."),
        ({"tasks": (Task(name="item"),)}, "feature 'item' is also a label"),
        ({"ignored": {"item": "because"}}, "column 'item' is both a feature and ignored."),
        ({"weight": "item"}, "column 'item' is both a feature and the row weight"),
        ({"weight": "click"}, "column 'click' is both a label and the row weight"),
        ({"features": (Feature(name="slot", kind="sparse", bias=True),)}, "features: all are bias features"),
        ({"tasks": (Task(name="click", loss="pairwise"),)}, "the loss pairwise compares rows of one group"),
        ({"tasks": (Task(name="click"), Task(name="buy", after="clik"))}, "which is no task. Did you mean 'click'?"),
        (
            {"tasks": (Task(name="watch", kind="regression"), Task(name="buy", after="watch"))},
            "task 'buy' comes after 'watch', which is a regression",
        ),
        ({"tasks": (Task(name="a", after="b"), Task(name="b", after="a"))}, "tasks: a after b after a is a circle"),
        (
            {"tasks": (Task(name="a"), Task(name="b", after="a"), Task(name="a_b"))},
            "task 'a_b' has the name of a funnel's joint column",
        ),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schema(**{"features": (ITEM,), "tasks": (Task(name="click"),), **changes})
    assert problem in str(caught.value)


def test_a_schema_survives_yaml(tmp_path: Path) -> None:
    tasks = (Task(name="click"), Task(name="buy", after="click", weight=0.5, where="price > 0"))
    schema = Schema(features=(ITEM, Feature(name="age", kind="dense")), tasks=tasks, group="user", ignored={"x": "a key"})
    (tmp_path / "schema.yaml").write_text(schema.to_yaml())
    assert Schema.load(tmp_path / "schema.yaml") == schema
    assert Schema.from_yaml(schema.to_yaml()) == schema
    assert (schema.parents, schema.joint_names) == ((None, 0), (None, "click_buy"))
    assert schema.predicted_names == ("click", "buy", "click_buy")
    assert schema.label_columns == {"click", "buy"}


def test_a_file_of_a_schema_names_itself_in_errors(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("tasks: [{name: click, kint: binary}]\nfeatures: [{name: item, kind: sparse}]\n")
    with pytest.raises(InputError, match=r"schema\.yaml:1: tasks\.0\.kint: unknown name\. Did you mean 'kind'"):
        Schema.load(tmp_path / "schema.yaml")


def test_context_features_are_marked_beside_those_that_are() -> None:
    features = [Feature(name=name, kind="sparse", context=name == "user") for name in ("user", "hour", "item")]
    schema = Schema(features=tuple(features), tasks=(Task(name="click"),)).with_context(["hour"])
    assert [feature.name for feature in schema.features if feature.context] == ["user", "hour"]
    assert Schema.from_yaml(schema.to_yaml()) == schema
    assert schema.with_context([]) == schema


def test_context_that_no_request_carries_is_named_all_at_once() -> None:
    features = (ITEM, Feature(name="slot", kind="sparse", bias=True))
    schema = Schema(features=features, tasks=(Task(name="click"),), ignored={"request": "a key"})
    with pytest.raises(InputError) as caught:
        schema.with_context(["itm", "slot", "item", "request", "itm", "click"], "--context")
    assert caught.value.problems == (
        "--context: 'itm' is no feature. Did you mean 'item'? Choose from item.",
        "--context: 'slot' is a bias feature, which is absent at serving, so it cannot be context.",
        "--context: 'request' is not used (a key), so it cannot be context.",
        "--context: 'click' is no feature. Choose from item.",
    )
