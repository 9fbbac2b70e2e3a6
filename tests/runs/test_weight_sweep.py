"""The sweep of fixed weights: its points, its front, and what it says of the runs beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from manygate.config import RunConfig
from manygate.data.labels import LabelScale
from manygate.data.rows import Rows
from manygate.errors import InputError
from manygate.metrics.pareto import weight_vectors
from manygate.model.problem import Problem
from manygate.runs.comparison import compare_run, crossed
from manygate.runs.preflight import prepare
from manygate.runs.weight_sweep import _compare_with_front, judge, sweep_settings
from manygate.schema import Task
from manygate.training.progress import Progress

N, R, COUNT = 3000, 4, 3
TASKS = (Task(name="click"), Task(name="like"))


class Fake:
    """Something with attributes."""

    def __init__(self, **parts: Any):
        self.__dict__.update(parts)


@pytest.fixture
def log() -> Any:
    random = np.random.default_rng(0)
    label = random.integers(0, 2, (N, 2)).astype(np.float32)
    rows = Rows(np.zeros((N, 0)), np.zeros((N, 0)), [], label, np.ones((N, 2), np.float32))
    encoder = Fake(labels={task.name: LabelScale() for task in TASKS})
    return Fake(parts={"test": rows}, schema=Fake(tasks=TASKS, task_names=("click", "like")), encoder=encoder)


def trained(log: Any, skills: Any, valid: Any, seed: int) -> Any:
    """A run whose replica r has the skills (of both tasks) and validation metrics of entry r // R."""
    count = R * len(skills)
    noise = np.random.default_rng(99).normal(size=(1, N, 2)) + 0.05 * np.random.default_rng(seed).normal(size=(count, N, 2))
    skill = np.array([skills[r // R] for r in range(count)])
    logit = log.parts["test"].label_BT * skill[:, None] + noise
    metrics = {task: [valid[r // R][t] for r in range(count)] for t, task in enumerate(("click", "like"))}
    history = [{"epoch": 1, "valid": metrics}]
    config = Fake(replica_weights=weight_vectors(2, COUNT).repeat(R, axis=0).tolist())
    return Fake(
        test_logit_RNT=logit,
        state=Fake(history=history),
        model=Fake(replicas=len(logit), config=config),
        predictor=Fake(problem=Problem.unscaled((), TASKS)),
        result=Fake(seconds=1.0, stopped=Fake(best_epoch={task: [1] * len(logit) for task in ("click", "like")})),
    )


def test_a_method_inside_the_front_is_dominated_one_outside_is_beyond_and_one_on_it_cannot_be_told(log):
    skills, valid = [(0.5, 1.5), (1.0, 1.0), (0.4, 0.4)], [(0.6, 0.8), (0.7, 0.7), (0.55, 0.55)]
    sweep = trained(log, skills, valid, 1)
    rivals = {
        "worse": trained(log, [(0.8, 0.8)], [(0.9, 0.9)], 2),
        "better": trained(log, [(1.6, 1.6)], [(0.5, 0.5)], 3),
        "same": trained(log, [(1.0, 1.0)], [(0.7, 0.7)], 4),
    }
    found = judge(log, sweep, COUNT, rivals)
    assert [point.on_front for point in found.points] == [True, True, False]
    assert [list(point.valid.values()) for point in found.points] == [pytest.approx(list(pair)) for pair in valid]
    assert {name: method.verdict for name, method in found.methods.items()} == {
        "worse": "dominated",
        "better": "beyond the sweep",
        "same": "cannot tell",
    }
    assert found.methods["worse"].hypervolume_added == 0
    assert found.methods["better"].hypervolume_added > 0.01
    assert [one.point for one in found.methods["same"].against] == [0, 1]
    assert found.hypervolume["valid"] == pytest.approx(0.1 * 0.3 + 0.1 * 0.2)
    assert found.reference == {"click": 0.5, "like": 0.5}


def test_what_many_looks_could_find_by_luck_is_not_clear(log):
    """The same difference is clear if it is the only one, and not among many points, tasks and rivals."""
    sweep, rival = trained(log, [(0.6, 0.6)], [(0.7, 0.7)], 1), trained(log, [(0.4, 0.4)], [(0.7, 0.7)], 2)
    problem, rows = sweep.predictor.problem, log.parts["test"]
    standing = lambda front, rivals: _compare_with_front(rows, problem, front, rival.test_logit_RNT, rivals)[0]  # noqa: E731
    assert standing({0: sweep.test_logit_RNT}, 1) == "dominated"
    assert standing({0: sweep.test_logit_RNT}, 10**9) == "cannot tell"
    assert standing(dict.fromkeys(range(2), sweep.test_logit_RNT), 1) == "dominated"


def test_the_front_is_chosen_on_validation_alone(log):
    skills = [(0.5, 1.5), (1.0, 1.0), (2.0, 2.0)]
    found = judge(log, trained(log, skills, [(0.6, 0.8), (0.7, 0.7), (0.5, 0.5)], 1), COUNT, {})
    assert [point.on_front for point in found.points] == [True, True, False], "the third is best on test, worst on validation"


def test_names_and_settings_of_what_is_compared():
    runs = crossed(RunConfig(architectures="single_task,mmoe,ple", weightings="fixed,pcgrad"))
    assert list(runs) == ["single_task", "mmoe+fixed", "mmoe+pcgrad", "ple+fixed", "ple+pcgrad"]
    assert [(one.architecture, one.weighting) for one in runs.values()][1:3] == [("mmoe", "fixed"), ("mmoe", "pcgrad")]
    assert list(crossed(RunConfig(architectures="single_task,mmoe", weighting="dwa"))) == ["single_task", "mmoe"]
    assert crossed(RunConfig(architectures="mmoe", weightings="dwa"))["mmoe"].weighting == "dwa"
    own = sweep_settings(RunConfig(replicas=4, weight_sweep=3, weighting="dwa"), "ple", 2)
    assert (own.replicas, own.weighting, own.architecture, len(own.replica_weights)) == (12, "fixed", "ple", 12)
    assert [own.seed_of(r) for r in range(12)] == [0, 1, 2, 3] * 3
    assert [own.of_replicas(5, 3).seed_of(r) for r in range(3)] == [1, 2, 3], "in a pack, too"


def test_a_comparison_of_weightings_with_a_sweep_end_to_end(encoded, settings, tmp_path, monkeypatch):
    from manygate.cli.comparison_table import show_comparison
    from manygate.report import headline, render
    from manygate.training.trainer import Trainer

    log = encoded()
    config = settings(
        replicas=2, epochs=1, pack=2, architectures="single_task,mmoe", weightings="fixed,uncertainty,pcgrad", weight_sweep=3
    )
    found, _ = compare_run(log, config, tmp_path, Progress(), "manygate compare")
    assert found.architectures == ["single_task", "mmoe+fixed", "mmoe+uncertainty", "mmoe+pcgrad"]
    assert list(found.verdicts) == found.architectures[1:]
    assert (found.results["mmoe+pcgrad"].architecture, found.results["mmoe+pcgrad"].weighting) == ("mmoe", "pcgrad")
    sweep = found.sweep["mmoe"]
    assert len(sweep.points) == 3
    assert sweep.replicas == 2
    assert list(sweep.methods) == ["mmoe+fixed", "mmoe+uncertainty", "mmoe+pcgrad"]
    assert {"mmoe+sweep", "mmoe+fixed", "single_task"} <= {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "comparison.json").read_text()) == found.to_tree()
    page = render(found)
    assert "mmoe+pcgrad" in page
    show_comparison(found, headline(found))
    monkeypatch.setattr(Trainer, "fit", lambda self: pytest.fail("trained again"))
    again, _ = compare_run(log, config, tmp_path, Progress(), "manygate compare")
    assert again.sweep == found.sweep


@pytest.mark.parametrize("mode", ["shared", "bootstrap"])
def test_equal_weights_in_a_sweep_are_the_ordinary_run(encoded, settings, mode):
    """The same seeds, and with bootstrap the same rows: what a run is paired with differs from it in its weights alone."""
    from manygate.runs.run import train_one

    log = encoded()
    config = settings(replicas=2, epochs=1, weight_sweep=3, seed=4, replica_data=mode)
    whole = train_one(log, sweep_settings(config, "mmoe", 3).replace(pack=4), None, Progress())
    alone = train_one(log, config.replace(weight_sweep=0), None, Progress())
    np.testing.assert_allclose(whole.test_logit_RNT[:2], alone.test_logit_RNT, rtol=1e-3, atol=1e-4)
    assert abs(whole.test_logit_RNT[2:4] - alone.test_logit_RNT).max() > 1e-3


def test_what_cannot_be_swept_or_crossed_is_named(log_table, log_schema, settings):
    with pytest.raises(InputError, match="weight_sweep, replica_weights: a sweep gives the replicas weights and seeds of its own"):
        RunConfig.build({"weight_sweep": 3, "replicas": 2, "replica_weights": ((1, 1), (1, 2))})
    with pytest.raises(InputError, match=r"weighting 'pcgrd' is unknown\. Did you mean 'pcgrad'"):
        RunConfig.build({"weightings": "fixed,pcgrd"})
    with pytest.raises(InputError, match="'dwa' is named twice"):
        RunConfig.build({"weightings": "dwa,dwa"})
    with pytest.raises(InputError, match="one task alone has no trade-off"):
        prepare(log_table(), settings(weight_sweep=3), log_schema(tasks=("click",)), architectures=["mmoe"])
