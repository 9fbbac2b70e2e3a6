"""Packs: each run equals the same run alone, and packs that are done are not trained again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.studies.packs import SquaredError, Total, drop_checkpoints, initial_model, run_sweep
from manygate.studies.stream import HeldOut, Stream
from manygate.studies.sweep import Outcome, Protocol, Sweep
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

PROTOCOL = Protocol(
    Tasks(inputs=6, alpha=(1.0, 2.0), beta=(0.1, 0.2)), 8, steps=12, steps_an_epoch=5, validation_rows=30, test_rows=40
)
SMALL = {"expert_hidden": 4, "tower_hidden": 3}
ONE = Sweep("s", {"architecture": "mmoe", **SMALL}, (0.5,), ((1e-3,),), runs=3)


class Recorded(Progress):
    def __init__(self) -> None:
        self.rows, self.lines, self.stages = 0, [], []

    def start(self, title: str, total: int, done: int = 0) -> None:
        self.stages.append((title, total, done))

    def advance(self, rows: int) -> None:
        self.rows += rows

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(sweep: Sweep, protocol: Protocol, folder: Path, last: bool = True) -> Outcome:
    return run_sweep(sweep, protocol, folder, Total(Progress(), "s", sweep.rows(protocol)), last)


@pytest.mark.parametrize(("architecture", "sines"), [("mmoe", 0), ("ple", 3), ("single_task", 0), ("cross_stitch", 0)])
def test_a_run_of_a_sweep_equals_the_same_run_alone(tmp_path, architecture, sines):
    """Its own data, correlation and learning rate, among eleven others and by itself."""
    protocol = replace(PROTOCOL, sines=sines)
    rates = ((1e-3, 1e-2), (3e-3, 3e-2))
    sweep = Sweep("s", {"architecture": architecture, **SMALL}, (0.0, 1.0), rates, runs=3, offset=20)
    found = run(sweep, protocol, tmp_path)
    for p, rate, number in ((0.0, 1e-3, 0), (1.0, 3e-2, 2), (0.0, 1e-2, 1)):
        stream = Stream(PROTOCOL.tasks, [20 + number], [p], 1, 8, 5, sines=sines)
        config = sweep.config(protocol).replace(replicas=1, seed=20 + number, replica_rates=(), learning_rate=rate)
        model = MultiTaskModel(stream.problem, config)
        Trainer(model, stream, SquaredError(HeldOut(stream, 30, 0))).fit()
        test = HeldOut(stream, 40, 1)
        alone_T = test.squared_error(predict(model, test))[0]
        assert found.at(p, rate).test_RT[number] == pytest.approx(alone_T, rel=1e-4)


def test_runs_that_go_on_end_as_if_they_had_never_stopped(tmp_path):
    steps = [replace(PROTOCOL, steps=number) for number in (10, 20, 40)]
    for protocol in steps:
        went_on = run(ONE, protocol, tmp_path / "on", last=False)
    whole = run(ONE, steps[-1], tmp_path / "whole")
    assert went_on.steps == whole.steps == list(range(5, 45, 5))
    for name in ("test_RT", "validation_R", "curve_ER"):
        np.testing.assert_array_equal(getattr(went_on.at(0.5), name), getattr(whole.at(0.5), name))
    shorter = run(ONE, steps[0], tmp_path / "on", last=False)
    assert shorter.steps == [5, 10], "the results of a shorter length are still there"
    drop_checkpoints(tmp_path / "on")
    assert not [*tmp_path.glob("on/*/checkpoints"), *tmp_path.glob("whole/*/checkpoints")]


def test_runs_of_one_seed_start_alike_whatever_their_rate_and_correlation():
    sweep = replace(ONE, correlations=(0.0, 0.5, 1.0), rates=((1e-3, 1e-2),) * 3, runs=2)
    model = initial_model(sweep.stream(PROTOCOL, range(2)), sweep.config(PROTOCOL).replace(replicas=12), range(2))
    weight = model.parameters["trunk.towers.weight"].detach()
    for r in range(12):
        assert torch.equal(weight[r], weight[6 * (r // 6)])
    assert not torch.equal(weight[0], weight[6])


def test_curves_and_final_losses_are_those_of_the_last_step(tmp_path):
    sweep = Sweep("s", {"architecture": "shared_bottom", "bottom_hidden": 4, **SMALL}, (0.5,), ((1e-2,),), runs=4)
    found = run(sweep, PROTOCOL, tmp_path)
    assert found.steps == [5, 10, 12]
    assert found.at(0.5).curve_ER.shape == (3, 4)
    longer = run(sweep, replace(PROTOCOL, steps=200), tmp_path / "longer")
    assert (longer.at(0.5).test_RT < found.at(0.5).test_RT).all(), "it learns"
    assert longer.at(0.5).curve_ER[-1].mean() == pytest.approx(longer.at(0.5).test_RT.mean(), rel=0.35)


def test_dead_towers_are_counted(tmp_path, monkeypatch):
    draw = MultiTaskModel._initial

    def dead(self: MultiTaskModel, m: int, member: Any) -> Any:
        values = draw(self, m, member)
        if member.seed == 1:
            values["trunk.towers.hidden.biases.0"][0] = -1e6  # one of two towers
        return values

    monkeypatch.setattr(MultiTaskModel, "_initial", dead)
    assert run(ONE, PROTOCOL, tmp_path).at(0.5).dead_R.tolist() == [0, 1, 0]


def test_a_pack_whose_runs_all_diverge_early_has_a_curve_of_the_whole_length(tmp_path, monkeypatch):
    draw = MultiTaskModel._initial

    def broken(self: MultiTaskModel, m: int, member: Any) -> Any:
        return {name: value * np.inf for name, value in draw(self, m, member).items()}

    monkeypatch.setattr(MultiTaskModel, "_initial", broken)
    runs = run(ONE, PROTOCOL, tmp_path).at(0.5)
    assert runs.diverged_R.all()
    assert runs.curve_ER.shape == (3, 3)
    assert not runs.at_rest


def test_packs_of_another_protocol_are_not_taken_for_this_ones(tmp_path):
    run(ONE, PROTOCOL, tmp_path)
    with pytest.raises(InputError, match="cannot continue"):
        run(ONE, replace(PROTOCOL, test_rows=41), tmp_path)


def test_a_pack_that_went_on_is_not_taken_for_a_shorter_one(tmp_path):
    run(ONE, replace(PROTOCOL, steps=20), tmp_path, last=False)
    with pytest.raises(InputError, match=r"results after 10 steps are missing. Remove this folder"):
        run(ONE, replace(PROTOCOL, steps=10), tmp_path)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"{", b"\xff\xfe", b'{"test": [], "seconds": 1}'])
def test_a_damaged_pack_is_named_with_its_remedy(tmp_path, content):
    whole = run(ONE, PROTOCOL, tmp_path)
    pack = tmp_path / "s-0000-0003"
    (pack / "steps-12" / "pack.json").write_bytes(content)
    with pytest.raises(InputError, match=r"steps-12: damaged. Remove the folder .*s-0000-0003 and run again"):
        run(ONE, PROTOCOL, tmp_path)
    for file in sorted(pack.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    np.testing.assert_array_equal(run(ONE, PROTOCOL, tmp_path).at(0.5).test_RT, whole.at(0.5).test_RT)


def test_progress_adds_up_the_rows_and_repeats_only_losses_and_damage():
    inner = Recorded()
    total = Total(inner, "study", 100)
    total.start("epoch 1", 10)
    total.advance(3)
    total.finish()
    total.skip(20)
    total.grow(50)
    total.advance(4)
    for line in ("epoch 1: ...", "replica 2 diverged", "Training goes on from the older checkpoint", "s: continuing after step 9"):
        total.say(line)
    assert inner.stages == [("study", 100, 0), ("study", 100, 23), ("study", 150, 23)]
    assert (inner.rows, total.done) == (7, 27)
    assert inner.lines == ["replica 2 diverged", "Training goes on from the older checkpoint"]


def test_rows_of_packs_that_are_done_are_counted_at_once(tmp_path):
    first, second = (Total(Recorded(), "s", ONE.rows(PROTOCOL)) for _ in range(2))
    run_sweep(ONE, PROTOCOL, tmp_path, first)
    run_sweep(ONE, PROTOCOL, tmp_path, second)
    assert first.done == second.done == ONE.rows(PROTOCOL)
    assert second.inner.rows == 0
