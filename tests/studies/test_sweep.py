"""Sweeps: each run equals the same run alone, and packs that are done are not trained again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.studies.stream import HeldOut, Stream
from manygate.studies.sweep import Outcome, Protocol, SquaredError, Sweep, Total, initial_model, run_sweep
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

PROTOCOL = Protocol(
    Tasks(inputs=6, alpha=(1.0, 2.0), beta=(0.1, 0.2)), 8, steps=12, steps_an_epoch=5, validation_rows=30, test_rows=40
)


SMALL = {"expert_hidden": 4, "tower_hidden": 3}


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "single_task", "cross_stitch"])
def test_a_run_of_a_sweep_equals_the_same_run_alone(tmp_path, architecture):
    """Its own data, correlation and learning rate, among eleven others and by itself."""
    sweep = Sweep("s", "s", {"architecture": architecture, **SMALL}, (0.0, 1.0), (1e-3, 1e-2), runs=3)
    found = run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    assert found.test_PLRT.shape == (2, 2, 3, 2)
    for p, place, run in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        stream = Stream(PROTOCOL.tasks, [run], [sweep.correlations[p]], 1, 8, 5)
        config = sweep.config(PROTOCOL).replace(
            replicas=1, seed=run, replica_rates=(), learning_rate=sweep.rates[place], max_steps=12
        )
        model = MultiTaskModel(stream.problem, config)
        Trainer(model, stream, SquaredError(HeldOut(stream, 30, 0))).fit()
        test = HeldOut(stream, 40, 1)
        alone_T = test.squared_error(predict(model, test))[0]
        assert found.test_PLRT[p, place, run] == pytest.approx(alone_T, rel=1e-4)


def test_runs_of_one_seed_start_alike_whatever_their_rate_and_correlation():
    sweep = Sweep("s", "s", {"architecture": "mmoe", **SMALL}, (0.0, 0.5, 1.0), (1e-3, 1e-2), runs=2)
    stream = Stream(PROTOCOL.tasks, range(2), sweep.correlations, 2, 8, 5)
    model = initial_model(stream, sweep.config(PROTOCOL).replace(replicas=12), range(2))
    weight = model.parameters["trunk.towers.weight"].detach()
    for r in range(12):
        assert torch.equal(weight[r], weight[6 * (r // 6)])
    assert not torch.equal(weight[0], weight[6])


def test_curves_and_final_losses_are_those_of_the_last_step(tmp_path):
    sweep = Sweep("s", "s", {"architecture": "shared_bottom", "bottom_hidden": 4, **SMALL}, (0.5,), (1e-2,), runs=4)
    found = run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    assert found.steps == [5, 10, 12]
    assert found.curve_EPLR.shape == (3, 1, 1, 4)
    assert found.validation_PLR.shape == (1, 1, 4)
    longer = run_sweep(sweep, replace(PROTOCOL, steps=200), tmp_path / "longer", Progress())
    assert (longer.test_PLRT < found.test_PLRT).all(), "it learns"
    assert longer.curve_EPLR[-1].mean() == pytest.approx(longer.test_PLRT.mean(), rel=0.35)


def test_dead_towers_are_counted(tmp_path, monkeypatch):
    draw = MultiTaskModel._initial

    def dead(self: MultiTaskModel, member: Any) -> Any:
        values = draw(self, member)
        if member.seed == 1:
            values["trunk.towers.hidden.biases.0"][0] = -1e6  # one of two towers
        return values

    monkeypatch.setattr(MultiTaskModel, "_initial", dead)
    sweep = Sweep("s", "s", {"architecture": "mmoe", **SMALL}, (0.5,), (1e-3,), runs=3)
    assert run_sweep(sweep, PROTOCOL, tmp_path, Progress()).dead_PLR.ravel().tolist() == [0, 1, 0]


def test_packs_of_another_protocol_are_not_taken_for_this_ones(tmp_path):
    sweep = Sweep("s", "s", {"architecture": "mmoe", **SMALL}, (0.5,), (1e-3,), runs=3)
    run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    with pytest.raises(InputError, match="cannot continue"):
        run_sweep(sweep, replace(PROTOCOL, steps=13), tmp_path, Progress())


@pytest.mark.parametrize("content", [b"{}", b"[]", b"{", b"\xff\xfe", b'{"test": [], "seconds": 1}'])
def test_a_damaged_pack_is_named_with_its_remedy(tmp_path, content):
    sweep = Sweep("s", "s", {"architecture": "mmoe", **SMALL}, (0.5,), (1e-3,), runs=3)
    whole = run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    pack = tmp_path / "s-0000-0003" / "pack.json"
    pack.write_bytes(content)
    with pytest.raises(InputError, match=r"pack\.json: damaged. Remove this file"):
        run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    pack.unlink()
    again = run_sweep(sweep, PROTOCOL, tmp_path, Progress())
    assert (again.test_PLRT == whole.test_PLRT).all(), "judged again from the checkpoint"


def outcome(validation_PLR: np.ndarray, diverged_PLR: np.ndarray, test_PLRT: np.ndarray) -> Outcome:
    correlations, rates, runs, tasks = test_PLRT.shape
    sweep = Sweep("s", "s", {}, tuple(range(correlations)), tuple(range(rates)), runs, tasks)
    nothing = np.zeros((1, 1, 1, 1))
    return Outcome(sweep, 1, 1, [1], test_PLRT, validation_PLR, diverged_PLR, nothing, nothing, 0.0, {})


def test_losses_are_means_of_tasks_and_nan_where_a_run_diverged():
    test_PLRT = np.array([[[[1.0, 3.0], [5.0, 7.0]]], [[[2.0, 2.0], [0.0, 1.0]]]])
    diverged_PLR = np.array([[[False, True]], [[False, False]]])
    results = outcome(np.zeros((2, 1, 2)), diverged_PLR, test_PLRT)
    np.testing.assert_array_equal(results.losses(0, 0), [2.0, np.nan])
    np.testing.assert_array_equal(results.losses(1, 0, task=1), [2.0, 1.0])
    np.testing.assert_array_equal(results.final_losses(), [[2.0, np.nan], [2.0, 0.5]])


def test_the_rate_with_the_fewest_lost_runs_and_then_the_least_validation_loss_is_chosen():
    validation_PLR = np.array([[[1.0, 3.0], [0.5, np.nan], [1.0, 2.0], [1.5, 1.5]]])
    diverged_PLR = np.array([[[False, False], [False, True], [False, False], [False, False]]])
    assert outcome(validation_PLR, diverged_PLR, np.zeros((1, 4, 2, 1))).chosen_rate(0) == 2, "1.5 in the mean, the first of two"
    assert outcome(validation_PLR, np.ones((1, 4, 2), dtype=bool), np.zeros((1, 4, 2, 1))).chosen_rate(0) == 0


@pytest.mark.parametrize(("runs", "sizes"), [(1, [1]), (33, [33]), (34, [17, 17]), (100, [25, 25, 25, 25]), (67, [23, 23, 21])])
def test_packs_hold_about_two_hundred_programs(runs: int, sizes: list[int]):
    """Two correlations at three rates are six runs a seed: at most 33 seeds a pack, in packs of about one size."""
    sweep = Sweep("s", "s", {}, (0.5, 1.0), (1e-3, 1e-2, 1e-1), runs)
    packs = sweep.packs(replace(PROTOCOL, first_seed=7))
    assert [len(pack) for pack in packs] == sizes
    assert [seed for pack in packs for seed in pack] == list(range(7, 7 + runs))


def test_rows_are_those_of_every_run():
    sweep = Sweep("s", "s", {}, (0.5, 1.0), (1e-3, 1e-2, 1e-1), runs=5)
    assert sweep.rows(PROTOCOL) == 2 * 3 * 5 * 12 * 8


def test_progress_adds_up_the_rows_and_repeats_only_losses_and_resumes():
    class Recorded(Progress):
        def __init__(self) -> None:
            self.rows, self.lines, self.stages = 0, [], 0

        def start(self, title: str, total: int, done: int = 0) -> None:
            self.stages += 1

        def advance(self, rows: int) -> None:
            self.rows += rows

        def say(self, text: str) -> None:
            self.lines.append(text)

    inner = Recorded()
    total = Total(inner)
    total.start("epoch 1", 10)
    total.advance(3)
    total.advance(4)
    for line in ("epoch 1: ...", "replica 2 diverged", "continuing after step 9"):
        total.say(line)
    assert (inner.rows, inner.stages, inner.lines) == (7, 0, ["replica 2 diverged", "continuing after step 9"])
