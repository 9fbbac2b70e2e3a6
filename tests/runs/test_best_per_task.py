"""One checkpoint per task: from the training to the bundle, the report and the inspection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import manygate as mg
from manygate.data.batches import Split
from manygate.inspection.look import look
from manygate.model.logits import predict
from manygate.model.member import first_replicas
from manygate.model.replicas import member_axis, read_diagonal
from manygate.runs.run import Trained, finish, train_one
from manygate.schema import Schema
from manygate.scoring.bundle import load_bundle
from manygate.scoring.outputs import task_output
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from stopper import Stopper

FAST: dict[str, Any] = {"learning_rate": 0.05, "patience": 1, "epochs": 6, "replicas": 2, "keep": "best-per-task"}


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


def run(log: Any, config: Any, folder: Path | None = None, progress: Progress | None = None, own: bool = True) -> Trained:
    if folder is not None:
        folder.mkdir(exist_ok=True)
    trained = train_one(log, config, folder, progress or Progress(), own_clocks=own)
    finish(folder, trained)
    return trained


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "shared_bottom", "stem", "cross_stitch"])
@pytest.mark.parametrize("own", [True, False], ids=["compare", "train"])
def test_each_task_is_shipped_at_its_own_best_epoch(log, settings, architecture, own):
    """The predictions are those that a comparison of one checkpoint stores for the own clocks, to the last digits."""
    config = settings(architecture=architecture, **FAST)
    several, one = run(log, config, own=own), run(log, config.replace(keep="best"))
    assert several.own_test_logit_RNT is several.test_logit_RNT
    np.testing.assert_allclose(several.test_logit_RNT, one.own_test_logit_RNT, rtol=1e-4, atol=1e-5)
    assert not np.allclose(one.test_logit_RNT, one.own_test_logit_RNT, rtol=1e-4, atol=1e-5), "the case is about epochs that differ"
    assert several.result.stopped.best_epoch == several.result.stopped.own_best_epoch == one.result.stopped.own_best_epoch
    assert several.valid_score_R == one.valid_score_R
    model, single = several.model, one.model
    assert [(member.replica, member.only) for member in model.members] == [(r, t) for r in range(2) for t in range(3)]
    assert model.trained_members == single.members
    assert model.parameter_count() == several.result.parameters == 3 * one.result.parameters
    assert several.result.flops == 3 * one.result.flops
    assert several.result.network_parameters == 3 * one.result.network_parameters


def test_the_last_line_of_the_terminal_names_the_epochs_that_are_shipped(log, settings):
    progress = Stopper(-1)
    trained = run(log, settings(**FAST), None, progress)
    epochs = [epoch for of_task in trained.result.stopped.best_epoch.values() for epoch in of_task]
    assert progress.said[-1].endswith(f"; best-per-task weights kept (epochs {min(epochs)} to {max(epochs)})")


def test_each_member_predicts_its_task_as_a_model_of_its_weights_alone(log, settings):
    trained, test = run(log, settings(**FAST)), Split(log.parts["test"])
    single = train_one(log, settings(**{**FAST, "keep": "best", "epochs": 1}), None, Progress()).model
    for t in range(3):
        with torch.no_grad():
            for name, value in single.parameters.items():
                axis = member_axis(name)
                value.copy_(trained.model.parameters[name].index_select(axis, torch.tensor([t, 3 + t])))
        np.testing.assert_allclose(trained.test_logit_RNT[..., t], predict(single, test)[..., t], rtol=1e-4, atol=1e-5)
        batch = next(iter(test.slices(16)))
        for own_RBTE, all_RBTE in zip(single.gates(batch), trained.model.gates(batch), strict=True):
            torch.testing.assert_close(all_RBTE[:, :, t], own_RBTE[:, :, t], rtol=1e-4, atol=1e-5)


def test_a_bundle_predicts_what_the_run_predicted(log, settings, tmp_path):
    config = settings(calibration="platt", **FAST)
    first = run(log, config, tmp_path)
    bundle = load_bundle(tmp_path / "bundle", "cpu")
    np.testing.assert_array_equal(predict(bundle.model, Split(log.parts["test"])), first.test_logit_RNT)
    assert set(bundle.calibration.tasks) == {"click", "like"}
    assert bundle.calibration.to_json() == first.predictor.calibration.to_json()
    again = run(log, config, tmp_path)
    assert again.result == first.result
    assert again.own_test_logit_RNT is again.test_logit_RNT
    assert not (tmp_path / "own-logits.safetensors").exists()


@pytest.mark.parametrize("changes", [{}, {"pack": 1}, {"architecture": "stem"}])
def test_stopping_anywhere_and_resuming_gives_the_same_bytes(log, settings, tmp_path, changes):
    config = settings(**FAST, **changes)
    run(log, config, tmp_path / "whole")
    for after in (1, 9, 14):
        with pytest.raises(Interrupted):
            run(log, config, tmp_path / "cut", Stopper(after))
    run(log, config, tmp_path / "cut")
    for name in ("metrics.jsonl", "bundle/model.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_packs_are_merged_by_replica_and_task(log, settings):
    config = settings(**{**FAST, "replicas": 3})
    whole, parts = run(log, config), run(log, config.replace(pack=2))
    assert parts.result.stopped.best_epoch == whole.result.stopped.best_epoch
    assert [member.only for member in parts.model.members] == [0, 1, 2] * 3
    np.testing.assert_allclose(parts.test_logit_RNT, whole.test_logit_RNT, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("funnel", ["esmm", "aitm", "conditional"])
def test_a_joint_output_multiplies_each_task_s_own_member(encoded, log_table, log_schema, settings, funnel):
    schema = log_schema()
    tasks = [schema.tasks[0], schema.tasks[1].model_copy(update={"where": None, "after": "click"}), schema.tasks[2]]
    log = encoded(log_table(), Schema.model_validate({**schema.model_dump(), "tasks": [task.model_dump() for task in tasks]}))
    several = run(log, settings(funnel=funnel, **FAST))
    one = run(log, settings(funnel=funnel, **{**FAST, "keep": "best"}))
    np.testing.assert_allclose(several.test_logit_RNT, one.own_test_logit_RNT, rtol=1e-4, atol=1e-5)
    problem = several.model.problem
    for t in range(3):
        np.testing.assert_allclose(
            task_output(several.test_logit_RNT, problem, t), task_output(one.own_test_logit_RNT, problem, t), rtol=1e-4, atol=1e-5
        )
    assert any("joint" in report.to_tree() and report.to_tree()["joint"] for report in several.result.tasks.values())


def test_an_inspection_looks_at_the_copy_of_each_task(log, settings):
    """Gates, towers and tables are those of the copy that is kept for the task, once for each replica and task."""
    model = run(log, settings(**FAST)).model
    found = look(model, log.parts["valid"])
    assert {(gate.replica, gate.model, *(use.task for use in gate.tasks)) for gate in found.gates} == {
        (r, task, task) for r in range(2) for task in ("click", "like", "watch")
    }
    (towers, *_) = [layer for layer in found.dead.layers if layer.part == "towers" and layer.model == "like"]
    assert [network.name for network in towers.networks] == ["tower of like"]
    assert {spectrum.of for spectrum in found.embeddings} == {"click", "like", "watch"}
    assert all(len(conflict.by_replica) == 2 for conflict in found.conflict)
    part = first_replicas(model, 1)
    assert [member.only for member in part.members] == [0, 1, 2]
    test = Split(log.parts["test"])
    np.testing.assert_allclose(predict(part, test)[0], predict(model, test)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changes", [{"architecture": "single_task"}, {"task": "click"}])
def test_where_a_model_has_one_task_it_is_the_same_as_best(encoded, log_schema, settings, changes):
    log = encoded(schema=log_schema(tasks=("click",))) if "task" in changes else encoded()
    changes = {name: value for name, value in changes.items() if name != "task"}
    several, one = (run(log, settings(**{**FAST, "keep": keep}, **changes)) for keep in ("best-per-task", "best"))
    assert not several.model.by_task
    np.testing.assert_array_equal(several.test_logit_RNT, one.test_logit_RNT)
    assert several.result.stopped == one.result.stopped


def test_the_interface_trains_saves_and_evaluates_it(log_table, log_schema, settings, tmp_path):
    table = log_table()
    kept = {name: value for name, value in settings(**FAST).model_dump().items() if name in settings().model_fields_set | set(FAST)}
    ranker = mg.Ranker(schema=log_schema(), **kept).fit(table, out=tmp_path / "run", progress=False)
    assert ranker.model.by_task
    loaded = mg.Ranker.load(tmp_path / "run")
    assert loaded.predict(table).equals(ranker.predict(table))
    assert loaded.evaluate(table) == ranker.evaluate(table)
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert (state["members"], state["tasks"]) == (2, 3)
    comparison = mg.compare(
        table, schema=log_schema(), architectures=["single_task", "mmoe"], progress=False, **{**kept, "epochs": 3}
    )
    assert comparison["mmoe"].model.by_task
    assert not comparison["single_task"].model.by_task


def test_the_copy_of_each_task_is_read():
    value_MBT = torch.arange(2 * 3 * 4 * 3).view(6, 4, 3)
    found_RBT = read_diagonal(value_MBT, 3)
    assert found_RBT.shape == (2, 4, 3)
    for r in range(2):
        for t in range(3):
            assert torch.equal(found_RBT[r, :, t], value_MBT[3 * r + t, :, t])
