"""Tests that every weighting must pass in a run."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manygate.config import RunConfig
from manygate.config.names import WEIGHTINGS
from manygate.data.encoded import EncodedLog
from manygate.model.replicas import member_axis
from manygate.objective.weighting import StepContext, Weighting, WeightingSetup, build_weighting, find_weighting
from manygate.runs.run import finish, train_one
from manygate.schema import Feature, Schema, Task
from manygate.training.forward import Forward
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer
from stopper import Stopper

ALL = tuple(WEIGHTINGS)
BALANCING = tuple(name for name in WEIGHTINGS if find_weighting(name).needs_gradients)


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    return encoded()


def setup(name: str, members: int = 2, tasks: int = 3, weight: Any = None, **settings: Any) -> WeightingSetup:
    weight_MT = torch.ones(members, tasks) if weight is None else torch.tensor(weight, dtype=torch.float32).expand(members, tasks)
    binary_MT = torch.arange(tasks).expand(members, tasks) != 1
    keys = [(seed, *range(tasks)) for seed in range(members)]
    config = RunConfig(weighting=name, **settings)
    return WeightingSetup(weight_MT, torch.full((members, tasks), 0.5), binary_MT, keys, config)


def step_context(
    gramian_TT: Any = None, step: int = 0, present: Any = True, members: int = 2, tasks: int = 3, epoch: int = 0
) -> StepContext:
    gramian = None if gramian_TT is None else torch.tensor(gramian_TT, dtype=torch.float32).expand(members, tasks, tasks)
    present_MT = torch.as_tensor(present).expand(members, tasks)
    return StepContext(step, epoch, present_MT, torch.ones(members, dtype=torch.bool), gramian)


def test_the_names_of_the_settings_are_those_of_the_classes():
    for weighting in map(find_weighting, WEIGHTINGS):
        assert getattr(weighting, "__final__", False)
        assert issubclass(weighting, Weighting)
        assert weighting.__doc__


@pytest.mark.parametrize("name", BALANCING)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_orthogonal_gradients_of_equal_length_get_the_fixed_weights(name, scale):
    """The length of the gradients does not matter. A learning rate means the same as with fixed weights."""
    weighting = build_weighting(setup(name, weight=[1.0, 2.0, 0.5]))
    equal = weighting if getattr(weighting, "equalises", True) else build_weighting(setup(name))
    loss_MT = torch.ones(2, 3)
    weight_MT = equal.weigh(loss_MT, step_context(np.eye(3) * scale))
    torch.testing.assert_close(weight_MT, equal.setup.weight_MT, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", BALANCING)
def test_a_task_without_rows_or_without_a_gradient_is_left_out(name):
    """The other tasks get the weights that they get without this task. No solver gets a zero row."""
    pair = np.array([[1.0, -0.6], [-0.6, 2.0]])
    whole = np.zeros((3, 3))
    whole[np.ix_([0, 2], [0, 2])] = pair
    alone = build_weighting(setup(name, tasks=2)).weigh(torch.ones(2, 2), step_context(pair, tasks=2))
    for present in ([True, False, True], [True, True, True]):
        weighting = build_weighting(setup(name))
        loss_MT = torch.tensor([1.0, 0.0, 1.0]).expand(2, 3)
        weight_MT = weighting.weigh(loss_MT, step_context(whole, present=present))
        assert torch.isfinite(weight_MT).all()
        torch.testing.assert_close(weight_MT[:, [0, 2]], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BALANCING)
def test_a_weight_of_zero_takes_a_task_out(name):
    random = np.random.default_rng(0)
    rows = random.normal(size=(3, 5))
    weighting = build_weighting(setup(name, weight=[1.0, 0.0, 2.0]))
    weight_MT = weighting.weigh(torch.ones(2, 3), step_context(rows @ rows.T))
    assert (weight_MT[:, 1] == 0).all()
    assert (weight_MT[:, [0, 2]] != 0).all()


@pytest.mark.parametrize("name", BALANCING)
def test_a_solver_gets_no_member_that_has_stopped_or_whose_gramian_is_not_finite(name):
    gramian_MTT = torch.eye(3).repeat(3, 1, 1)
    gramian_MTT[0] = float("nan")
    gramian_MTT[1, 0, 0] = float("inf")
    weighting = build_weighting(setup(name, members=3))
    active_M = torch.tensor([True, True, False])
    weight_MT = weighting.weigh(torch.ones(3, 3), StepContext(0, 0, torch.ones(3, 3, dtype=torch.bool), active_M, gramian_MTT))
    torch.testing.assert_close(weight_MT, torch.ones(3, 3))


@pytest.mark.parametrize("name", BALANCING)
@pytest.mark.parametrize("case", ["opposed", "equal", "tiny and huge", "one direction"])
def test_degenerate_gradients_give_finite_weights(name, case):
    rows = {
        "opposed": [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],
        "equal": [[1.0, 1.0]] * 3,
        "tiny and huge": [[1e-6, 0.0], [0.0, 1e4], [-1.0, 1.0]],
        "one direction": [[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0]],
    }[case]
    gramian_TT = np.array(rows) @ np.array(rows).T
    weighting = build_weighting(setup(name))
    for step in range(3):
        weight_MT = weighting.weigh(torch.ones(2, 3), step_context(gramian_TT, step=step))
        assert torch.isfinite(weight_MT).all()
        assert weight_MT.abs().max() <= 100


@pytest.mark.parametrize("name", ALL)
def test_one_task_is_fixed(name):
    weighting = build_weighting(setup(name, tasks=1))
    assert type(weighting).__name__ == "Fixed"


def digests(folder: Path) -> dict[str, str]:
    names = ("metrics.jsonl", "bundle/model.safetensors", "bundle/encoder.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def run(log: EncodedLog, config: Any, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    finish(folder, train_one(log, config, folder, Progress()))
    return folder


@pytest.mark.parametrize("name", ALL)
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bytes_and_the_global_state_is_untouched(
    log, settings, tmp_path, monkeypatch, name
):
    config = settings(weighting=name, replicas=2, epochs=2, patience=9, dropout=0.1, batch_size=64, clip_norm=1.0)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    whole = digests(run(log, config, tmp_path / "whole"))
    assert torch.equal(torch.random.get_rng_state(), before)
    step = Trainer._step
    for cut in (2, 6):  # in the first and in the second epoch

        def stop(self: Trainer, batch: Any, cut: int = cut) -> None:
            if self.state.step == cut:
                self._checkpoint()
                raise Interrupted(2, "stopped")
            step(self, batch)

        monkeypatch.setattr(Trainer, "_step", stop)
        with pytest.raises(Interrupted):
            run(log, config, tmp_path / "cut")
    monkeypatch.setattr(Trainer, "_step", step)
    assert digests(run(log, config, tmp_path / "cut")) == whole


@pytest.mark.parametrize(("name", "mode"), [(name, ("shared", "bootstrap")[at % 2]) for at, name in enumerate(ALL)])
def test_replicas_equal_their_own_runs(log, trainer, settings, name, mode):
    config = settings(weighting=name, replicas=3, epochs=2, dropout=0.1, replica_data=mode, optimizer="sgd", seed=5)
    config = config.replace(replica_weights=((1.0, 1.0, 1.0), (1.0, 0.5, 2.0)), learning_rate=0.05)
    together = trainer(log, config)
    state = together.fit()
    for r in (1, 2):  # the second and the first of the weights above
        alone = trainer(log, config.of_replicas(r, 1))
        alone_state = alone.fit()
        for task in log.schema.task_names:
            weight = [entry["weights"][task][r] for entry in state.history]
            assert weight == pytest.approx([entry["weights"][task][0] for entry in alone_state.history], rel=1e-3, abs=1e-4)
        for parameter, value in together.model.parameters.items():
            part = value.narrow(member_axis(parameter), r, 1)
            torch.testing.assert_close(part, alone.model.parameters[parameter], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_replica_that_diverges_leaves_the_others_as_they_are_to_the_bit(log, trainer, settings, name):
    config = settings(weighting=name, replicas=3, epochs=2, patience=3, clip_norm=1.0)
    runs = {}
    for breaks in (False, True):
        training = trainer(log, config)
        step = training._step

        def maybe_break(batch: Any, training: Trainer = training, step: Any = step, breaks: bool = breaks) -> None:
            if breaks and training.state.step == 11:
                with torch.no_grad():
                    training.model.parameters["trunk.towers.bias"][1] = float("nan")
            step(batch)

        training._step = maybe_break
        runs[breaks] = training, training.fit()
    (whole, _), (broken, state) = runs[False], runs[True]
    assert state.diverged == [None, 12, None]
    for parameter, value in broken.model.parameters.items():
        axis = member_axis(parameter)
        assert torch.isfinite(value).all()
        for m in (0, 2):
            assert torch.equal(value.select(axis, m), whole.model.parameters[parameter].select(axis, m)), parameter


@pytest.mark.parametrize("name", ALL)
def test_members_that_stopped_are_left_out(log, trainer, settings, name):
    config = settings(weighting=name, epochs=2, patience=9, replicas=2, seed=3, optimizer="sgd")
    training = trainer(log, config)
    close = training._evaluate

    def stop_and_break_the_second() -> None:
        close()
        training.state.stopped[1] = True
        with torch.no_grad():
            for parameter, value in training.model.parameters.items():
                value.select(member_axis(parameter), 1).fill_(float("nan"))

    training._evaluate = stop_and_break_the_second
    state = training.fit()
    assert state.epoch == 2
    alone = trainer(log, config.replace(replicas=1))
    alone.fit()
    for parameter, value in training.model.parameters.items():
        alone_state = value.narrow(member_axis(parameter), 0, 1)
        torch.testing.assert_close(alone_state, alone.model.parameters[parameter], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_bf16_sparse_tables_tiny_batches_and_packs(log, settings, tmp_path, name):
    """Batches of three rows often have no click, so two of three tasks are absent."""
    config = settings(
        weighting=name, replicas=2, pack=1, epochs=1, max_steps=15, batch_size=3, precision="bf16", sparse_gradients=True
    )
    trained = train_one(log, config, tmp_path, Progress())
    assert all(math.isfinite(score) for score in trained.valid_score_R)
    weights = trained.result.history[0].weights
    assert all(len(values) == 2 and all(map(math.isfinite, values)) for values in weights.values())
    assert "weighting.s" not in trained.model.parameters


@pytest.mark.parametrize("name", ["schedule", "uncertainty", "famo", "gradnorm", "gradvac"])
@pytest.mark.parametrize("architecture", ["single_task", "stem", "l2_constrained", "ple"])
def test_every_kind_of_scheme_trains(log, trainer, settings, name, architecture):
    config = settings(
        weighting=name, architecture=architecture, epochs=1, gate="topk" if architecture == "ple" else "softmax", top_k=1
    )
    state = trainer(log, config).fit()
    assert math.isfinite(state.best[0])
    if architecture == "single_task":
        assert [values[0] for values in state.history[0]["weights"].values()] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", BALANCING)
def test_weights_are_kept_between_readings_and_by_a_resumed_run(log, trainer, settings, tmp_path, monkeypatch, name):
    """With ``balance_every=3``, steps 1 and 2 keep the weights of step 0 and compute no gradients for the weighting."""
    config = settings(weighting=name, balance_every=3, epochs=2, replicas=2)
    calls: list[str] = []
    forward = Forward.__call__

    def spy(self: Forward, batch: Any, drawn: Any, left_out: Any, wanted: Any, weight_MT: Any) -> Any:
        calls.append(wanted)
        return forward(self, batch, drawn, left_out, wanted, weight_MT)

    monkeypatch.setattr(Forward, "__call__", spy)
    straight = trainer(log, config)
    straight.fit()
    reads, between = ("gradients", "combined") if straight.weighting.scales_shared_alone else ("gramian", "losses")
    assert calls == [reads, between, between] * 6
    with pytest.raises(Interrupted):
        trainer(log, config, tmp_path, Stopper(11)).fit()
    again = trainer(log, config, tmp_path)
    assert again.fit().history == straight.state.history
    for parameter, value in straight.model.parameters.items():
        assert torch.equal(value, again.model.parameters[parameter])


@pytest.mark.parametrize("architecture", ["mmoe", "stem", "l2_constrained", "ple"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_reading_gradients_leaves_those_of_training_as_they_are(
    log, trainer, settings, monkeypatch, architecture, sparse, bias, encoded, log_schema
):
    """A method that uses gradients and returns the fixed weights trains the same model as ``fixed``."""
    from manygate.objective.weighting import mgda

    rows = log if bias else encoded(schema=log_schema(bias=False))
    config = settings(
        architecture=architecture, replicas=2, epochs=1, optimizer="sgd", gate="topk", top_k=1, sparse_gradients=sparse, dropout=0.2
    )
    fixed = trainer(rows, config)
    fixed.fit()
    monkeypatch.setattr(mgda.MGDA, "solve", lambda self, gramian, *_: np.ones(gramian.shape[:2]))
    cut = trainer(rows, config.replace(weighting="mgda"))
    cut.fit()
    for parameter, value in fixed.model.parameters.items():
        torch.testing.assert_close(cut.model.parameters[parameter], value, rtol=1e-4, atol=1e-5)


def test_a_log_of_numbers_alone_has_no_tables(trainer, settings, encoded, log_table):
    schema = Schema(
        features=(Feature(name="age", kind="dense"), Feature(name="price", kind="dense")),
        tasks=(Task(name="click"), Task(name="like", where="click == 1")),
    )
    table = log_table().select(["age", "price", "click", "like"])
    for name in ("mgda", "gradnorm"):
        state = trainer(encoded(table, schema), settings(weighting=name)).fit()
        assert math.isfinite(state.best[0])


def test_the_parameters_of_a_weighting_are_not_decayed(log, trainer, settings):
    """Weight decay would pull uncertainty's s towards 0, and so every weight towards 1."""
    training = trainer(log, settings(weighting="uncertainty", optimizer="adamw", weight_decay=0.5))
    s_MT = training.weighting.parameters["weighting.s"]
    groups = [group for part in training.optimizer.parts for group in part.param_groups if any(p is s_MT for p in group["params"])]
    assert [group["weight_decay"] for group in groups] == [0.0]
    training.fit()
    assert (s_MT != 0).all(), "it is trained by the run's optimizer"
