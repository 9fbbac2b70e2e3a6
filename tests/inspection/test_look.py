"""The parts of an inspection in one document."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pytest

from manygate.architecture import MMoE
from manygate.architecture.base import Inputs
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.inspection import look as look_module
from manygate.inspection.look import _by_segment, check_parts, inspect_log, look, look_at_run, read_history, rounded
from manygate.inspection.survey import Level
from manygate.results.evaluation import Epoch
from manygate.scoring.predictor import Predictor


def test_numbers_are_finite_and_the_same_every_time(encoded, trainer, settings, log_table):
    def leaves(tree: Any) -> list[Any]:
        if isinstance(tree, dict):
            tree = list(tree.values())
        return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, list) else [tree]

    log, table = encoded(), log_table(150)
    training = trainer(log, settings(architecture="ple", replicas=2, epochs=2))
    training.fit()
    document = inspect_log(Predictor(training.model, log.encoder), table, by="country")
    assert document == inspect_log(Predictor(training.model, log.encoder), table, by="country")
    assert all(math.isfinite(leaf) for leaf in leaves(document) if isinstance(leaf, float))


def test_parts_are_checked_all_at_once():
    with pytest.raises(InputError) as error:
        check_parts(["gate", "units"])
    assert len(error.value.problems) == 2


def test_a_run_looks_at_no_more_than_its_share_of_rows_spread_evenly(encoded, trainer, settings, monkeypatch):
    log = encoded()
    rows, model = log.parts["train"], trainer(log, settings()).model
    received = []
    monkeypatch.setattr(look_module, "ROWS_OF_A_RUN", 4)
    monkeypatch.setattr(look_module, "look", lambda model, rows, parts: received.append((rows, parts)))
    look_at_run(model, rows)
    ((chosen, parts),) = received
    last = len(rows) - 1
    expected = [round(step * last / 3) for step in range(4)]
    np.testing.assert_array_equal(chosen.id_BS, rows.id_BS[expected])
    assert parts == ("gates", "dead", "experts", "noise")


def test_only_the_first_replicas_are_looked_at(encoded, trainer, settings):
    log = encoded()
    model = trainer(log, settings(replicas=3)).model
    document = look(model, log.parts["test"], ["gates"], replicas=2).to_tree()
    assert document["replicas"] == {"looked_at": 2, "of": 3}
    assert [entry["replica"] for entry in document["gates"]] == [0, 1]
    assert document["parts"] == ["gates"]
    rows = log.parts["test"].weight_BT
    assert document["tasks"] == [
        {"task": task.name, "kind": task.kind, "rows": sum(weight > 0 for weight in rows[:, t].tolist())}
        for t, task in enumerate(log.schema.tasks)
    ]


def test_segments_by_hand():
    """Task a has rows 1, 2 and 3; its mean over them is (.5, .5), on the first segment (.8, .2): .3 apart."""
    gate_NTE = np.array([[[0.8, 0.2]], [[0.2, 0.8]], [[0.5, 0.5]], [[0.0, 1.0]]])
    weight_NT = np.array([[1.0], [2.0], [0.5], [0.0]])
    segments = [
        ("x", np.array([True, False, False, True])),
        ("y", np.array([False, True, True, False])),
        ("z", np.array([False, False, False, True])),
    ]
    report = _by_segment({"replica": 0}, Level("experts", gate_NTE, [(0, 1)]), weight_NT, ["a"], segments)
    assert [(entry.task, entry.segment, entry.level) for entry in report] == [("a", "x", "experts"), ("a", "y", "experts")]
    assert [entry.mean for entry in report] == [pytest.approx([0.8, 0.2]), pytest.approx([0.35, 0.65])]
    assert [entry.distance for entry in report] == pytest.approx([0.3, 0.15])
    assert _by_segment({"replica": 0}, Level("experts", gate_NTE, [(0,)]), weight_NT, ["a"], segments) == [], "there is no choice"


class OneMixtureEach(MMoE):
    """A mixture of experts for each task alone."""

    one_model_per_task: ClassVar[bool] = True

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return super().build(inputs, 1, config)


def test_segments_of_a_model_for_each_task_are_over_the_rows_of_that_task(encoded, trainer, settings):
    """The only segment is the whole log, so that each gate is its mean over the rows of its task, and nothing lies apart."""
    log = encoded()
    model = trainer(log, settings(architecture=OneMixtureEach)).model
    rows = log.parts["train"]
    whole = ("all", pa.array(["x"] * len(rows)))
    document = look(model, rows, ["gates"], by=whole)
    means = {(entry.model, use.task): use.mean for entry in document.gates for use in entry.tasks}
    assert list(means) == [("click", "click"), ("like", "like"), ("watch", "watch")]
    segments = document.segments.gates
    assert {(entry.model, entry.task): entry.mean for entry in segments} == means
    assert [entry.distance for entry in segments] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def epoch(number: int) -> Epoch:
    losses = {"click": [0.5]}
    return Epoch(epoch=number, step=10, train_loss=losses, valid=losses, weights=losses, gates=[])


def test_the_history_of_a_folder(tmp_path):
    assert read_history(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps(epoch(number).to_tree()) + "\n" for number in (1, 2)), encoding="utf-8"
    )
    assert read_history(tmp_path) == [epoch(1), epoch(2)]
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{', encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.jsonl: not the epochs of a run"):
        read_history(tmp_path)


def test_numbers_have_six_digits_and_those_that_are_not_finite_are_null():
    tree = {"a": (1234567.0, 0.00001234567), "b": [float("nan"), float("inf"), True, "text", 12345678]}
    assert rounded(tree) == {"a": [1234570.0, 1.23457e-05], "b": [None, None, True, "text", 12345678]}


@pytest.mark.parametrize("changes", [{"rows": 0}, {"replicas": 0}, {"rows": -1, "replicas": -1}])
def test_counts_below_one_are_refused(changes):
    with pytest.raises(InputError, match="expected at least 1") as error:
        inspect_log(None, None, **changes)
    assert len(error.value.problems) == len(changes)
