"""The average of the weights: its equation, also for rows that are read rarely. It changes nothing in the training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.batches import Split
from manygate.model.logits import predict
from manygate.model.replicas import member_axis
from manygate.training import average as average_module
from manygate.training.average import NoAverage, WeightAverage, rows_of
from manygate.training.trainer import Trainer

DECAY = 0.6
CASES = {
    "dense": {},
    "replicas, clipped": {"replicas": 3, "clip_norm": 0.5, "dropout": 0.2},
    "sparse": {"sparse_gradients": True, "optimizer": "adam"},
    "sparse, a model for each task": {"sparse_gradients": True, "architecture": "single_task", "optimizer": "adagrad"},
    "sparse, own rows": {"sparse_gradients": True, "replica_data": "bootstrap", "replicas": 2, "optimizer": "sgd"},
    "sparse, own rates": {"sparse_gradients": True, "replicas": 2, "replica_rates": (1.0, 0.3)},
    "evaluated often": {"sparse_gradients": True, "evaluate_every": 0.25},
}
Weights = dict[str, np.ndarray]


def averaged(training: Trainer) -> list[tuple[Weights, Weights]]:
    """Train, and return for each evaluation the weights that were judged and the average by hand, in float64."""
    by_hand = {name: value.detach().double().numpy() for name, value in training.model.parameters.items()}
    trained, evaluations = dict(training.model.parameters), []
    step, evaluate = training._step, training._evaluate

    def follow(batch: Any) -> None:
        t = training.state.step
        step(batch)
        d = min(DECAY, (1 + t) / (10 + t))
        for name, value in trained.items():
            by_hand[name] = d * by_hand[name] + (1 - d) * value.detach().double().numpy()

    def judge() -> None:
        judged = {name: value.detach().double().numpy().copy() for name, value in training.model.parameters.items()}
        evaluations.append((judged, dict(by_hand)))
        newest = {name: value.detach().double().numpy() for name, value in trained.items()}
        assert any(not np.allclose(value, judged[name], atol=1e-3) for name, value in newest.items())
        evaluate()

    training._step, training._evaluate = follow, judge  # type: ignore[method-assign]
    training.fit()
    return evaluations


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_judged_is_the_average_by_hand(log, trainer, settings, monkeypatch, case):
    monkeypatch.setattr(average_module, "ROWS_AT_ONCE", 5)
    config = settings(weight_average=DECAY, batch_size=16, patience=9, **CASES[case])
    training = trainer(log, config)
    assert training.model.sparse == bool(CASES[case].get("sparse_gradients"))
    evaluations = averaged(training)
    assert len(evaluations) == 2 / config.evaluate_every
    for judged, expected in evaluations:
        for name, value in judged.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_average_of_the_best_epoch_is_kept(log, trainer, settings):
    training = trainer(log, settings(weight_average=DECAY, epochs=5, learning_rate=0.05, patience=2))
    evaluations = averaged(training)
    best = int(training.state.best_epoch[0])
    for name, value in training.model.parameters.items():
        np.testing.assert_array_equal(value.detach().double().numpy(), evaluations[best - 1][0][name])
    logit_RNT = predict(training.model, training.monitor.split)
    assert training.monitor(logit_RNT, training.model.members).score_M[0] == pytest.approx(training.state.best[0], rel=1e-6)


@pytest.mark.parametrize("changes", [{}, {"sparse_gradients": True, "optimizer": "sgd"}, {"keep": "last", "evaluate_every": 0.25}])
def test_the_average_changes_nothing_in_the_training(log, trainer, settings, changes):
    """The gradients are those of the weights themselves, to the bit; only what is judged and kept differs."""
    weights = []
    for decay in (0.0, DECAY):
        training = trainer(log, settings(weight_average=decay, patience=9, **changes))
        trained = training.model.parameters
        kept: list[dict[str, torch.Tensor]] = []

        def keep(trained: Any = trained, kept: Any = kept) -> None:
            kept.append({name: value.detach().clone() for name, value in trained.items()})

        training._checkpoint = keep
        training.fit()
        weights.append(kept)
    assert len(weights[0]) == len(weights[1])
    for plain, beside in zip(*weights, strict=True):
        assert all(torch.equal(value, beside[name]) for name, value in plain.items())


def test_without_the_setting_there_is_none(log, trainer, settings):
    training = trainer(log, settings())
    assert isinstance(training.average, NoAverage)
    assert training.average.tensors() == {}


@pytest.mark.parametrize("sparse", [False, True])
def test_a_replica_that_diverges_leaves_the_others_as_they_are_to_the_bit(log, trainer, settings, sparse):
    """It keeps its best average, and neither its weights nor its average are NaN afterwards."""
    runs = []
    for breaks in (False, True):
        training = trainer(log, settings(weight_average=DECAY, replicas=3, epochs=3, patience=3, sparse_gradients=sparse))
        step = training._step

        def maybe_break(batch: Any, training: Trainer = training, step: Any = step, breaks: bool = breaks) -> None:
            if breaks and training.state.step == 11:
                with torch.no_grad():
                    training.model.parameters["trunk.towers.bias"][1] = float("nan")
            step(batch)

        training._step = maybe_break
        runs.append((training, training.fit()))
    (whole, _), (broken, state) = runs
    assert state.diverged == [None, 12, None]
    assert state.best_epoch[1] == 1
    for weights in (broken.average.trained, broken.average.values):
        assert all(torch.isfinite(value).all() for value in weights.values())
    for name, value in broken.model.parameters.items():
        for m in (0, 2):
            axis = member_axis(name)
            assert torch.equal(value.select(axis, m), whole.model.parameters[name].select(axis, m)), name


def test_an_average_that_breaks_in_the_last_step_of_an_epoch_freezes_its_replica(log, trainer, settings):
    training = trainer(log, settings(weight_average=DECAY, replicas=2, epochs=3, patience=3))
    step = training._step

    def break_it(batch: Any) -> None:
        if training.state.step == 17:  # the last of the second epoch
            after = training.average.after

            def broken(number: int) -> None:
                training.model.parameters["trunk.towers.bias"].detach()[1] = float("nan")
                after(number)

            training.average.after = broken
            step(batch)
            training.average.after = after
        else:
            step(batch)

    training._step = break_it
    state = training.fit()
    assert state.diverged == [None, 18]
    assert all(torch.isfinite(value).all() for value in [*training.average.trained.values(), *training.average.values.values()])
    assert np.isfinite(predict(training.model, Split(log.parts["test"]))).all()


def test_an_average_goes_through_a_checkpoint(log, trainer, settings):
    training = trainer(log, settings(weight_average=DECAY, sparse_gradients=True))
    for number, batch in enumerate(training.monitor.split.slices(10)):
        training._step(batch)
        training.state.step = number + 1
    again = trainer(log, settings(weight_average=DECAY, sparse_gradients=True)).average
    tensors = {name: value.clone() for name, value in training.average.tensors().items()}
    again.restore(tensors)
    assert all(torch.equal(value, tensors[name]) for name, value in again.tensors().items())
    assert any(name.startswith("steps|embedding") for name in tensors)
    assert len({int(step) for name in tensors if name.startswith("steps|") for step in tensors[name]}) > 2


def test_rows_that_nothing_reads_are_left_alone_until_an_evaluation(log, trainer, settings):
    training = trainer(log, settings(weight_average=DECAY, sparse_gradients=True))
    average = training.average
    assert isinstance(average, WeightAverage)
    before = {name: value.clone() for name, value in average.values.items()}
    training._step(next(iter(training.monitor.split.slices(2))))
    for name in average.lazy:
        read_V = average.steps_V[name] == 1
        assert 0 < read_V.sum() < len(read_V)
        assert torch.equal(average.values[name][~read_V], before[name][~read_V])


@given(decay=st.floats(0.01, 0.9999), steps=st.integers(0, 300))
def test_the_product_of_the_decays_in_a_loop(decay: float, steps: int):
    average = WeightAverage.__new__(WeightAverage)
    average.decay = decay
    expected = sum(math.log(min(decay, (1 + t) / (10 + t))) for t in range(steps))
    assert float(average._log_product(torch.tensor(steps))) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_rows_of_pairs_are_counted_once():
    gradient = torch.sparse_coo_tensor([[4, 4, 0], [0, 1, 1]], torch.ones(3, 2), (5, 2, 2), check_invariants=True)
    assert rows_of(gradient).tolist() == [0, 4]
