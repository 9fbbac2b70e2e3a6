"""What each task had at the best epoch of its own clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from manygate.data.batches import Split
from manygate.model.logits import predict
from manygate.training.kept import OwnPredictions, OwnWeights, copy_members, has_own_clocks, own_store
from manygate.training.trainer import Trainer
from own_clocks import check_clocks


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


def with_own(training: Trainer, test: Split, store: type = OwnPredictions) -> Trainer:
    """A trainer with the same model, whose tasks have own clocks."""
    own = store(training.model, test)
    return Trainer(
        training.model, training.train, training.monitor, training.folder, training.progress, training.fingerprint, own=own
    )


def followed(training: Trainer, test: Split) -> list[np.ndarray]:
    """Let a trainer predict all test rows after each epoch, before its clocks move. Return the list that it fills."""
    seen, update = [], training.selection.update

    def spy(*given: Any) -> bool:
        seen.append(predict(training.model, test))
        return update(*given)

    training.selection.update = spy  # type: ignore[method-assign]
    return seen


class Falling:
    """A watch with the metrics of another, by which member m is best in epoch m + 1."""

    def __init__(self, own: Any):
        self.own, self.split, self.calls = own, own.split, 0

    def name(self, task: Any) -> str:
        return str(self.own.name(task))

    def __call__(self, logit_RNT: np.ndarray, members: Any) -> Any:
        self.calls += 1
        return replace(self.own(logit_RNT, members), score_M=-np.abs(np.arange(1.0, len(members) + 1) - self.calls))


def falling(training: Trainer) -> Trainer:
    training.monitor = Falling(training.monitor)
    return training


CASES: dict[str, dict[str, Any]] = {
    "one replica": {"patience": 2},
    "replicas that close at different epochs": {"replicas": 4, "patience": 2, "seed": 7},
    "patience of 1": {"replicas": 3, "patience": 1},
    "the budget ends": {"replicas": 2, "patience": 9, "epochs": 3},
    "steps end within an epoch": {"replicas": 2, "patience": 2, "max_steps": 40},
    "averaged weights": {"replicas": 2, "patience": 1, "weight_average": 0.9, "sparse_gradients": True},
    "bf16": {"replicas": 2, "patience": 1, "precision": "bf16"},
    "dwa": {"replicas": 2, "patience": 1, "weighting": "dwa"},
    "gradnorm": {"replicas": 2, "patience": 1, "weighting": "gradnorm"},
    "gates that select": {"replicas": 2, "patience": 1, "gate": "topk", "top_k": 2},
    "three evaluations in an epoch": {"replicas": 3, "patience": 1, "evaluate_every": 1 / 3},
    "each replica has its own rows": {"replicas": 3, "patience": 1, "replica_data": "bootstrap"},
}


@pytest.mark.parametrize(
    ("case", "store"), [(case, OwnPredictions) for case in CASES] + [(case, OwnWeights) for case in [*CASES][::2]]
)
def test_the_clocks_follow_from_the_history_and_the_logits_are_those_of_each_task_s_best_epoch(log, trainer, settings, case, store):
    test = Split(log.parts["test"])
    config = settings(**{"learning_rate": 0.1, "epochs": 9, **CASES[case]})
    training = with_own(trainer(log, config), test, store)
    seen = followed(training, test)
    state = training.fit()
    patience = config.patience * (3 if "evaluate_every" in CASES[case] else 1)
    check_clocks(state, log.schema.task_names, patience, training.monitor.guess_T, training.monitor.error_T)
    seen = dict(zip([entry["epoch"] for entry in state.history], seen, strict=True))
    own_RNT = training.fitted().own_logit_RNT
    assert own_RNT is not None
    assert own_RNT.dtype == np.float32
    for r, clocks in enumerate(state.own):
        for t, clock in enumerate(clocks):
            np.testing.assert_allclose(own_RNT[r, :, t], seen[clock.epoch][r, :, t], rtol=1e-4, atol=1e-5)
    kept_RNT = predict(training.model, test)
    for r, epoch in enumerate(state.best_epoch):
        np.testing.assert_allclose(kept_RNT[r], seen[epoch][r], rtol=1e-4, atol=1e-5)
    if case == "replicas that close at different epochs":
        assert len({clock.epoch for clocks in state.own for clock in clocks}) > 1
        assert any(clock.epoch != kept.epoch for kept, clocks in zip(state.kept, state.own, strict=True) for clock in clocks)


@pytest.mark.parametrize("changes", [{}, {"weighting": "dwa"}, {"precision": "bf16"}, {"architecture": "ple", "dropout": 0.2}])
def test_training_on_changes_nothing_in_the_kept_weights(log, trainer, settings, changes):
    """To the bit, whatever the task clocks are waiting for."""
    config = settings(patience=1, epochs=12, **changes)
    alone = falling(trainer(log, config))
    before = alone.fit()
    training = with_own(falling(trainer(log, config)), Split(log.parts["test"]))
    state = training.fit()
    assert (before.epoch, before.best_epoch) == (2, [1])
    assert state.epoch > 2, "the case is about a run that trains on"
    assert state.kept == before.kept
    assert state.history[: before.epoch] == before.history
    for name, value in alone.model.parameters.items():
        assert torch.equal(training.model.parameters[name], value), name


def test_several_replicas_keep_the_weights_that_they_keep_without_own_clocks(log, trainer, settings):
    """Not to the bit: a program of another number of members rounds otherwise."""
    config = settings(patience=1, epochs=12, replicas=4)
    alone, training = falling(trainer(log, config)), with_own(falling(trainer(log, config)), Split(log.parts["test"]))
    before, state = alone.fit(), training.fit()
    assert (before.epoch, before.best_epoch) == (5, [1, 2, 3, 4])
    assert state.epoch > 5
    assert state.kept == before.kept
    for name, value in alone.model.parameters.items():
        torch.testing.assert_close(training.model.parameters[name], value, rtol=1e-3, atol=1e-4)


def test_only_the_replicas_of_which_a_task_improved_are_predicted(log, trainer, settings, monkeypatch):
    training = trainer(log, settings(replicas=3))
    test = Split(log.parts["test"])
    own, asked = OwnPredictions(training.model, test), []

    def spy(model: Any, split: Any, skipped: Any) -> np.ndarray:
        asked.append(skipped)
        return predict(model, split, skipped)

    monkeypatch.setattr("manygate.training.kept.predict", spy)
    own.keep(np.zeros((3, 3), dtype=bool))
    assert asked == []
    own.keep(np.array([[False, False, False], [False, True, False], [False, False, False]]))
    assert asked == [[True, False, True]]
    whole_RNT, kept_RNT = predict(training.model, test), own.logits()
    np.testing.assert_allclose(kept_RNT[1, :, 1], whole_RNT[1, :, 1], rtol=1e-5, atol=1e-6)
    assert np.count_nonzero(kept_RNT) == len(test), "the other replicas and tasks keep what they had"


def test_both_stores_go_through_a_checkpoint(log, trainer, settings):
    training, test = trainer(log, settings(replicas=2)), Split(log.parts["test"])
    for store in (OwnPredictions, OwnWeights):
        first, second = store(training.model, test), store(training.model, test)
        first.keep(np.array([[True, False, True], [False, True, True]]))
        with torch.no_grad():
            for value in training.model.parameters.values():
                value.mul_(0.5)
        second.restore({name: value.clone() for name, value in first.tensors().items()})
        before = {name: value.detach().clone() for name, value in training.model.parameters.items()}
        np.testing.assert_array_equal(second.logits(), first.logits())
        assert np.abs(first.logits() - predict(training.model, test)).max() > 1e-3
        assert all(torch.equal(value, before[name]) for name, value in training.model.parameters.items()), "the model is as before"


def test_the_store_that_needs_less_memory_is_taken_and_one_clock_needs_none(log, trainer, settings):
    few, model = Split(log.parts["test"]), trainer(log, settings()).model
    assert len(few) < model.parameter_count()
    assert isinstance(own_store(settings(), model, few), OwnPredictions)

    class Many:
        slices = few.slices

        def __len__(self) -> int:
            return model.parameter_count() + 1

    assert isinstance(own_store(settings(), model, Many()), OwnWeights)
    single = trainer(log, settings(architecture="single_task")).model
    for config, of in ((settings(keep="last"), model), (settings(architecture="single_task"), single)):
        assert not has_own_clocks(config, of)
        assert own_store(config, of, few) is None


def test_members_are_copied_in_tables_and_in_layers(log, trainer, settings):
    parameters = trainer(log, settings(replicas=3)).model.parameters
    target = {name: torch.full_like(value, 9.0) for name, value in parameters.items()}
    with torch.no_grad():
        copy_members(parameters, target, [0, 2])
    table = next(name for name in parameters if name.startswith("embedding"))
    assert torch.equal(target[table][:, [0, 2]], parameters[table][:, [0, 2]])
    assert (target[table][:, 1] == 9).all()
    assert torch.equal(target["trunk.towers.bias"][[0, 2]], parameters["trunk.towers.bias"][[0, 2]])
    assert (target["trunk.towers.bias"][1] == 9).all()


def test_a_replica_that_diverges_keeps_its_clocks_and_the_others_go_on(log, trainer, settings):
    config = settings(replicas=3, epochs=6, patience=2, learning_rate=0.05)
    training = with_own(trainer(log, config), Split(log.parts["test"]))
    step, at = training._step, []

    def break_one(batch: Any) -> None:
        if training.state.step == 11:
            at.append([replace(clock) for clock in (training.state.kept[1], *training.state.own[1])])
            with torch.no_grad():
                training.model.parameters["trunk.towers.bias"][1] = float("nan")
        step(batch)

    training._step = break_one  # type: ignore[method-assign]
    state = training.fit()
    assert state.diverged == [None, 12, None]
    assert [state.kept[1], *state.own[1]] == at[0]
    assert all(clock.epoch == 1 for clock in at[0])
    check_clocks(state, log.schema.task_names, 2, training.monitor.guess_T, training.monitor.error_T, replicas=[0, 2])
    own_RNT = training.fitted().own_logit_RNT
    assert own_RNT is not None
    assert np.isfinite(own_RNT).all()


def test_a_member_whose_kept_weights_were_settled_may_diverge_without_an_error(log, trainer, settings):
    """Without own clocks it would have stopped before."""
    config = settings(patience=1, epochs=12)
    alone = falling(trainer(log, config))
    last = alone.fit().step
    training = with_own(falling(trainer(log, config)), Split(log.parts["test"]))
    step = training._step

    def break_it(batch: Any) -> None:
        if training.state.step == last + 2:
            with torch.no_grad():
                training.model.parameters["trunk.towers.bias"][:] = float("nan")
        step(batch)

    training._step = break_it  # type: ignore[method-assign]
    state = training.fit()
    assert state.diverged == [last + 3]
    assert state.kept[0].closed
    assert all(torch.equal(value, alone.model.parameters[name]) for name, value in training.model.parameters.items())


def test_a_task_without_a_metric_on_validation_keeps_the_newest_weights_until_its_clock_closes(encoded, trainer, settings):
    log = encoded()
    log.parts["valid"].label_BT[:, 1] = 1
    test = Split(log.parts["test"])
    for architecture in ("mmoe", "single_task"):
        training = trainer(log, settings(architecture=architecture, epochs=6, patience=2, learning_rate=0.05))
        if architecture == "mmoe":
            training = with_own(training, test)
        state = training.fit()
        clock = state.own[0][1] if state.tasks else state.kept[1]
        assert (clock.best, clock.epoch, clock.closed) == (None, 2, True)
        assert np.isnan(training.monitor.error_T[1])
        if state.tasks:
            check_clocks(state, log.schema.task_names, 2, training.monitor.guess_T, training.monitor.error_T)
