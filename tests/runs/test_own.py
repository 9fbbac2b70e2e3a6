"""Own clocks in a run: what is stored and reported, and that a stopped run ends with the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor
from manygate.files import OWN_LOGITS
from manygate.model.replicas import Member
from manygate.runs.folder import record
from manygate.runs.own import open_clocks, own_best_epochs, own_logits, read_own_logits, write_own_logits
from manygate.runs.run import Trained, finish, train_one
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.state import Clock, State
from own_clocks import check_clocks
from stopper import Stopper


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


def run(log: Any, config: Any, folder: Path | None = None, progress: Progress | None = None) -> Trained:
    if folder is not None:
        folder.mkdir(exist_ok=True)
    trained = train_one(log, config, folder, progress or Progress(), own_clocks=True)
    finish(folder, trained)
    return trained


FAST = {"learning_rate": 0.05, "patience": 1, "epochs": 8, "replicas": 3}


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_a_task_is_judged_at_its_own_best_epoch(log, settings, architecture):
    """The best validation metric of the history is that of the own clock; a model of one task has no other clock."""
    trained = run(log, settings(architecture=architecture, **FAST))
    stopped, history = trained.result.stopped, trained.result.history
    own = stopped.own_best_epoch if architecture == "mmoe" else stopped.best_epoch
    for t, task in enumerate(log.schema.tasks):
        for r in range(3):
            kept = stopped.best_epoch[task.name][r]
            same = np.array_equal(trained.own_test_logit_RNT[r, :, t], trained.test_logit_RNT[r, :, t])
            assert same == (own[task.name][r] == kept)
            values = [entry.valid[task.name][r] for entry in history[: own[task.name][r]]]
            assert max(values) == values[-1]
    if architecture == "single_task":
        assert stopped.own_best_epoch is None
        assert trained.own_test_logit_RNT is trained.test_logit_RNT
    else:
        assert any(own[name] != stopped.best_epoch[name] for name in own), "the case is about epochs that differ"


@pytest.mark.parametrize("monitor", ["mean", "like", "click/log_loss"])
def test_the_validation_score_is_that_of_the_own_clocks(log, settings, monitor):
    schemes = ("mmoe", "single_task", "shared_bottom") if monitor == "mean" else ("mmoe", "single_task")
    trained = {name: run(log, settings(architecture=name, monitor=monitor, **FAST)) for name in schemes}
    watch = Monitor(monitor, trained["mmoe"].model.problem, log.parts["valid"], SimpleNamespace())
    names = log.schema.task_names
    for name, found in trained.items():
        stopped = found.result.stopped
        own = stopped.best_epoch if name == "single_task" else stopped.own_best_epoch
        for r in range(3):
            best_T = [found.result.history[own[task][r] - 1].valid[task][r] for task in names]
            if monitor == "mean":
                expected = np.mean((np.array(best_T) - watch.guess_T) / watch.error_T)
                assert found.valid_score_R[r] == pytest.approx(expected, rel=1e-9)
            elif monitor == "like":
                assert found.valid_score_R[r] == best_T[1]
            else:
                assert -0.8 < found.valid_score_R[r] < 0, "a loss, with the sign turned"


def test_without_own_clocks_the_score_is_that_of_the_kept_weights(log, settings):
    trained = train_one(log, settings(**FAST), None, Progress())
    assert trained.state.tasks == 0
    assert trained.result.stopped.own_best_epoch is None
    assert trained.own_test_logit_RNT is trained.test_logit_RNT
    assert trained.valid_score_R == trained.state.best


def test_the_last_epoch_has_no_clock_of_its_own(log, settings):
    trained = run(log, settings(keep="last", **{**FAST, "epochs": 3}))
    assert trained.own_test_logit_RNT is trained.test_logit_RNT
    assert trained.state.epoch == 3
    assert trained.valid_score_R == trained.state.best


def digests(folder: Path) -> dict[str, bytes]:
    names = ("metrics.jsonl", "bundle/model.safetensors", OWN_LOGITS)
    state = json.loads((folder / "state.json").read_text())
    state.pop("seconds")
    return {name: (folder / name).read_bytes() for name in names} | {"state": json.dumps(state).encode()}


RESUMED: dict[str, dict[str, Any]] = {
    "predictions": {"patience": 1},
    "weights": {"patience": 1, "expert_hidden": (2,), "dim": 1, "tower_hidden": (2,)},
    "packs": {"patience": 1, "pack": 2, "replicas": 3},
    "gradnorm": {"patience": 2, "weighting": "gradnorm"},
    "bf16": {"patience": 1, "precision": "bf16"},
    "evaluated twice in an epoch": {"patience": 1, "evaluate_every": 0.5, "weighting": "dwa"},
}


@pytest.mark.parametrize("case", list(RESUMED))
def test_stopping_anywhere_and_resuming_gives_the_same_bytes(log, settings, tmp_path, monkeypatch, case):
    if case == "weights":
        monkeypatch.setattr("manygate.training.kept.OwnPredictions", None)
        monkeypatch.setattr("manygate.model.MultiTaskModel.parameter_count", lambda self: 1)
    config = settings(**{"replicas": 2, "dropout": 0.2, "epochs": 6, "learning_rate": 0.05, **RESUMED[case]})
    run(log, config, tmp_path / "whole")
    whole, folder = digests(tmp_path / "whole"), tmp_path / "stopped"
    for after in (1, 8, 9, 5) if case == "predictions" else (9, 5):
        with pytest.raises(Interrupted):
            run(log, config, folder, Stopper(after))
    run(log, config, folder)
    assert digests(folder) == whole


def test_a_finished_run_is_loaded_with_its_own_logits(log, settings, tmp_path):
    config = settings(**FAST)
    first, again = run(log, config, tmp_path), run(log, config, tmp_path)
    np.testing.assert_array_equal(again.own_test_logit_RNT, first.own_test_logit_RNT)
    assert again.valid_score_R == first.valid_score_R
    assert again.result == first.result
    assert not np.array_equal(first.own_test_logit_RNT, first.test_logit_RNT)


def test_own_logits_that_are_changed_or_gone_are_refused(log, settings, tmp_path):
    config = settings(**FAST)
    run(log, config, tmp_path)
    path = tmp_path / OWN_LOGITS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"own-logits\.safetensors.*damaged or changed"):
        run(log, config, tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"own-logits\.safetensors.*missing"):
        run(log, config, tmp_path)
    path.write_bytes(b"nonsense")
    record(tmp_path)
    with pytest.raises(InputError, match=r"own-logits\.safetensors: not the logits of a run"):
        run(log, config, tmp_path)


def test_a_run_of_an_earlier_version_is_refused_done_or_not(log, settings, tmp_path):
    """It kept lists of best scores in place of clocks."""
    config = settings(**FAST)

    def as_before(path: Path) -> None:
        state = json.loads(path.read_text())
        clocks = state.pop("kept")
        del state["own"], state["tasks"]
        state |= {key: [clock[name] for clock in clocks] for key, name in (("best", "best"), ("best_epoch", "epoch"))}
        path.write_text(json.dumps(state | {"waited": [0] * len(clocks)}))

    run(log, config, tmp_path / "done")
    as_before(tmp_path / "done" / "state.json")
    record(tmp_path / "done")
    with pytest.raises(Interrupted):
        run(log, config, tmp_path / "stopped", Stopper(12))
    for checkpoint in (tmp_path / "stopped" / "checkpoints").iterdir():
        as_before(checkpoint / "state.json")
        (checkpoint / "manifest.json").unlink()
        from manygate.files import write_manifest

        write_manifest(checkpoint, {"checkpoint_version": 1})
    for name in ("done", "stopped"):
        with pytest.raises(InputError) as error:
            run(log, config, tmp_path / name)
        (problem,) = error.value.problems
        assert "earlier version of manygate, in which tasks had no clocks" in problem
        assert "Start a new run with another out" in problem


def test_a_plain_run_does_not_continue_as_one_with_own_clocks(log, settings, tmp_path):
    config = settings(**FAST)
    finish(tmp_path, train_one(log, config, tmp_path, Progress()))
    with pytest.raises(InputError, match="the settings have changed"):
        run(log, config, tmp_path)


@pytest.mark.parametrize("size", [1, 2])
def test_every_pack_has_clocks_of_its_own(log, settings, size):
    """They move as those of one program of all replicas, and the logits are those of one program but for rounding."""
    config = settings(**{**FAST, "epochs": 5}, seed=2)
    whole, parts = run(log, config), run(log, config.replace(pack=size))
    assert parts.result.stopped.own_best_epoch == whole.result.stopped.own_best_epoch
    np.testing.assert_allclose(parts.own_test_logit_RNT, whole.own_test_logit_RNT, rtol=1e-3, atol=1e-3)
    assert parts.valid_score_R == pytest.approx(whole.valid_score_R, rel=1e-3)
    watch = Monitor("mean", parts.model.problem, log.parts["valid"], SimpleNamespace())
    check_clocks(whole.state, log.schema.task_names, 1, watch.guess_T, watch.error_T)


@pytest.mark.parametrize("funnel", ["esmm", "aitm", "conditional"])
def test_own_clocks_with_a_funnel(encoded, log_table, log_schema, settings, funnel):
    """The logits of a task after another are read within the model of each epoch."""
    from manygate.schema import Schema

    schema = log_schema()
    tasks = [schema.tasks[0], schema.tasks[1].model_copy(update={"where": None, "after": "click"}), schema.tasks[2]]
    log = encoded(log_table(), Schema.model_validate({**schema.model_dump(), "tasks": [task.model_dump() for task in tasks]}))
    trained = run(log, settings(funnel=funnel, **FAST))
    watch = Monitor("mean", trained.model.problem, log.parts["valid"], SimpleNamespace())
    check_clocks(trained.state, log.schema.task_names, 1, watch.guess_T, watch.error_T)
    assert np.isfinite(trained.own_test_logit_RNT).all()


def test_the_own_logits_are_the_kept_ones_to_the_bit_where_the_epoch_is_the_same():
    state = State(2, tasks=2, kept=[Clock(epoch=3), Clock(epoch=2)], own=[[Clock(epoch=3), Clock(epoch=1)], [Clock(epoch=5)] * 2])
    kept_RNT, own_RNT = np.zeros((2, 4, 2)), np.ones((2, 4, 2))
    found_RNT = own_logits(kept_RNT, own_RNT, state)
    np.testing.assert_array_equal(found_RNT[:, 0], [[0, 1], [1, 1]])
    assert own_best_epochs(state, SimpleNamespace(task_names=("a", "b"))) == {"a": [3, 5], "b": [1, 5]}


def test_the_logits_go_through_the_file(tmp_path):
    logit_RNT = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    write_own_logits(tmp_path, logit_RNT[:, ::-1])
    np.testing.assert_array_equal(read_own_logits(tmp_path), logit_RNT[:, ::-1])
    assert [path.name for path in tmp_path.iterdir()] == [OWN_LOGITS]


def test_a_clock_is_open_at_the_end_unless_it_closed_or_its_model_diverged():
    """Two replicas: of one model for two tasks, with and without own clocks, and of a model per task."""
    schema, shut = SimpleNamespace(task_names=("a", "b")), Clock(0.5, 1, 1, True)
    shared = [Member(r, r, (0, 1)) for r in range(2)]
    own = State(2, tasks=2, kept=[shut, shut], own=[[shut, Clock()], [Clock(), Clock()]])
    assert open_clocks(own, shared, schema) == {"a": 1, "b": 2}
    own.diverged[1] = 3
    assert open_clocks(own, shared, schema) == {"a": 0, "b": 1}
    assert open_clocks(State(2, kept=[shut, Clock()]), shared, schema) == {"a": 1, "b": 1}
    apart = [Member(r, r, (t,)) for r in range(2) for t in range(2)]
    assert open_clocks(State(4, kept=[shut, Clock(), shut, shut]), apart, schema) == {"a": 0, "b": 1}
