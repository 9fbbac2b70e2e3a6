"""Packs: the same replicas, some at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.budget import measure
from manygate.model.problem import Problem
from manygate.runs.run import train_one, train_run
from manygate.scoring.bundle import load_bundle
from manygate.training.divergence import DivergedError
from manygate.training.interrupt import Interrupted
from manygate.training.packs import merge_states, pack_size, replica_bytes, train_packs
from manygate.training.progress import Progress
from manygate.training.state import Clock, State
from manygate.training.trainer import Trainer


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


@pytest.mark.parametrize("changes", [{"architecture": "ple", "weight_average": 0.9}, {"architecture": "single_task"}])
def test_packs_train_the_replicas_that_one_program_trains(log, settings, tmp_path, changes):
    config = settings(replicas=5, epochs=3, patience=1, replica_rates=(1.0, 0.3), replica_data="bootstrap", **changes)
    whole, _ = train_run(log, config, tmp_path / "whole", Progress())
    parts, _ = train_run(log, config.replace(pack=2), tmp_path / "parts", Progress())
    assert parts.state.best_epoch == whole.state.best_epoch
    assert parts.valid_score_R == pytest.approx(whole.valid_score_R, abs=1e-5)
    for name, value in whole.model.parameters.items():
        torch.testing.assert_close(parts.model.parameters[name], value, rtol=1e-4, atol=1e-5)
    saved = load_bundle(tmp_path / "parts" / "bundle", "cpu").model
    assert saved.replicas == 5
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [len(json.loads(line)["valid"]["click"]) for line in lines] == [5] * len(lines)
    assert not (tmp_path / "parts" / "packs").exists(), "what was needed to resume is gone when all is done"


def test_a_run_that_was_stopped_loads_the_packs_that_are_done_and_goes_on_in_the_next(log, settings, tmp_path, monkeypatch):
    config = settings(replicas=6, epochs=2, pack=2)
    alone = train_one(log, config, tmp_path / "alone", Progress())
    step, trained = Trainer._step, []

    def stop_in_the_second_pack(self: Trainer, batch: Any) -> None:
        trained.append(self.model.members[0].seed)
        if self.model.members[0].seed == 2 and self.state.step == 12:
            self._checkpoint()
            raise Interrupted(2, "stopped")
        step(self, batch)

    monkeypatch.setattr(Trainer, "_step", stop_in_the_second_pack)
    with pytest.raises(Interrupted):
        train_one(log, config, tmp_path / "cut", Progress())
    trained.clear()
    monkeypatch.setattr(Trainer, "_step", lambda self, batch: (trained.append(self.model.members[0].seed), step(self, batch))[1])
    monkeypatch.setattr("manygate.runs.run.pack_size", lambda *_: 6)  # more memory than before
    again = train_one(log, config, tmp_path / "cut", Progress())
    per_pack = alone.state.step
    assert trained.count(0) == 0
    assert trained.count(2) == per_pack - 12
    assert trained.count(4) == per_pack
    for name, value in alone.model.parameters.items():
        assert torch.equal(again.model.parameters[name], value)


def test_packs_of_about_the_same_size_that_fit_in_memory(settings, monkeypatch):
    inputs = [Input("x", "dense", bias=False, units=100)]
    config = settings(expert_hidden=(16,), tower_hidden=(8,), batch_size=64, dropout=0.0)
    one = replica_bytes(Problem.binary(inputs, 2), config)
    assert one > 4 * 3 * 1000
    monkeypatch.setattr("manygate.training.packs.free_memory", lambda: one * 10.01 / 0.6)
    device = torch.device("cpu")
    assert pack_size(Problem.binary(inputs, 2), config.replace(replicas=9), device) == 9
    assert pack_size(Problem.binary(inputs, 2), config.replace(replicas=21), device) == 7
    assert pack_size(Problem.binary(inputs, 2), config.replace(replicas=21, pack=4), device) == 4
    monkeypatch.setattr("manygate.training.packs.free_memory", lambda: 1.0)
    assert pack_size(Problem.binary(inputs, 2), config.replace(replicas=3), device) == 1


def test_a_pack_that_ended_earlier_has_nothing_for_later_epochs():
    def state(members: int, epochs: int) -> State:
        history = [
            {"epoch": e + 1, "step": 5 * e, "train_loss": {"a": [0.5] * members}, "valid": {"a": [float(e)] * members}}
            for e in range(epochs)
        ]
        return State(
            members,
            epoch=epochs,
            step=5 * epochs,
            kept=[Clock(best=1.0, epoch=1) for _ in range(members)],
            history=history,
            reason=f"{epochs}",
        )

    whole = merge_states([state(2, 1), state(1, 3)])
    assert (whole.epoch, whole.reason) == (3, "3")
    assert [entry["valid"]["a"] for entry in whole.history] == [[0.0, 0.0, 0.0], [None, None, 1.0], [None, None, 2.0]]
    assert len(whole.best) == 3


@pytest.mark.parametrize("size", [1, 2])
def test_a_pack_of_which_all_diverge_is_counted_like_the_others(log, settings, tmp_path, monkeypatch, size):
    """Whether a run survives must not hang on how many fit in memory."""
    step = Trainer._step

    def break_odd(self: Trainer, batch: Any) -> None:
        for m, member in enumerate(self.model.members):
            if member.seed % 2 and self.state.epoch == 1:
                with torch.no_grad():
                    self.model.parameters["trunk.towers.bias"][m] = float("nan")
        step(self, batch)

    monkeypatch.setattr(Trainer, "_step", break_odd)
    said: list[str] = []
    progress = Progress()
    progress.say = said.append  # type: ignore[method-assign]
    found, document = train_run(log, settings(replicas=4, epochs=3, seed=0, pack=size), tmp_path / "run", progress)
    assert [step is not None for step in found.state.diverged] == [False, True, False, True]
    assert [entry.replica for entry in document.results["mmoe"].diverged] == [1, 3]
    assert any("2 models diverged (replica 1, 3)" in warning.text for warning in document.data.warnings)
    assert [text.split(": ")[1][:9] for text in said if "is frozen" in text] == ["replica 1", "replica 3"]
    assert not any("nan" in text for text in said)


def test_a_run_of_which_every_replica_diverged_ends_with_an_error(log, settings, tmp_path, monkeypatch):
    step = Trainer._step

    def break_all(self: Trainer, batch: Any) -> None:
        if self.state.epoch == 1:
            with torch.no_grad():
                self.model.parameters["trunk.towers.bias"][:] = float("nan")
        step(self, batch)

    monkeypatch.setattr(Trainer, "_step", break_all)
    with pytest.raises(DivergedError):
        train_one(log, settings(replicas=2, epochs=3, pack=1), tmp_path / "run", Progress())


@pytest.mark.parametrize("content", ["{}", "[]", '{"size": 0}', '{"size": "x"}', '{"size": -2}', '{"size": 99}', '{"size": true}'])
def test_a_damaged_size_of_packs_is_named(log, settings, tmp_path, content):
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "size.json").write_text(content)
    with pytest.raises(InputError, match=r"size\.json: it does not hold a pack size from 1 to"):
        train_one(log, settings(replicas=2, epochs=1, pack=1), tmp_path, Progress())


def test_gradients_of_every_task_take_memory(settings):
    inputs = [Input("x", "dense", bias=False, units=100)]
    config = settings(batch_size=64, experts=5, expert_hidden=(8,))
    fixed, reading = (replica_bytes(Problem.binary(inputs, 3), config.replace(weighting=name)) for name in ("fixed", "gradnorm"))
    assert reading - fixed == 4 * 2 * 3 * 64 * 5 * 8  # twice three gradients at the experts' outputs, in float32
    fixed, reading = (
        replica_bytes(Problem.binary(inputs, 3), config.replace(weighting=name, architecture="l2_constrained"))
        for name in ("fixed", "gradnorm")
    )
    assert reading - fixed == 4 * 2 * 3 * 64 * 100, "at x"


def test_an_average_of_the_weights_takes_memory(settings):
    problem, config = Problem.binary([Input("x", "dense", bias=False, units=100)], 3), settings()
    with_average = replica_bytes(problem, config.replace(weight_average=0.9))
    assert with_average - replica_bytes(problem, config) == 4 * MultiTaskModel(problem, config).parameter_count()


@pytest.mark.parametrize("size", [1, 2, 5], ids="packs of {}".format)
@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_each_replica_has_its_own_seed_rate_and_weights_in_whatever_pack_it_is(
    log, trainer, settings, monkeypatch, architecture, size
):
    """Five replicas take three rates, two rows of weights and two seeds in turn; the schema's weights are 1, 0.5, 1."""
    config = settings(
        architecture=architecture,
        replicas=5,
        seed=100,
        replica_rates=(0.1, 1.0, 10.0),
        replica_weights=((1.0, 2.0, 3.0), (4.0, 6.0, 0.0)),
        replica_seeds=(0, 7),
        optimizer="sgd",
        weight_decay=0.0,
    )
    rates = [0.1, 1.0, 10.0, 0.1, 1.0]
    shared, own = ([1.0, 1.0, 3.0], [4.0, 3.0, 0.0]), ([1.0, 2.0, 3.0], [4.0, 6.0, 0.0])
    rows = [(shared if architecture == "mmoe" else own)[r % 2] for r in range(5)]
    made: list[Trainer] = []

    def train(part: Any, place: Any, title: str, first: int) -> Trainer:
        assert first == sum(one.config.replicas for one in made)
        made.append(trainer(log, part))
        return made[-1]

    monkeypatch.setattr(Trainer, "fit", lambda self: self.state)
    state = train_packs(train, config, size, None).state
    assert len(made) == -(-5 // size)
    assert state.members == (5 if architecture == "mmoe" else 15)
    seeds, weights, moved = [], [], []
    for one in made:
        members = one.model.members
        seeds += [member.seed for member in members]
        weights += one.weighting.setup.weight_MT.tolist()
        before = one.model.parameters["trunk.towers.bias"].detach().clone()
        for value in one.model.parameters.values():
            value.grad = torch.ones_like(value)
        one.optimizer.step(1.0)
        step_M = (before - one.model.parameters["trunk.towers.bias"].detach()).reshape(len(members), -1)
        moved += step_M.mean(dim=1).tolist()
    each = range(1 if architecture == "mmoe" else 3)
    assert seeds == [100 + 7 * (r % 2) for r in range(5) for _ in each]
    assert weights == (rows if architecture == "mmoe" else [[weight] for row in rows for weight in row])
    assert moved == pytest.approx([rate for rate in rates for _ in each], rel=1e-5)


def test_own_clocks_take_the_memory_of_predictions_or_of_weights_whichever_is_less(settings):
    """Twice: a checkpoint or a prediction makes another copy. A kept checkpoint for each task is always one of weights."""
    inputs, bytes_a_number, twice, tasks = [Input("x", "dense", bias=False, units=100)], 4, 2, 3
    problem, config = Problem.binary(inputs, tasks), settings()
    plain, parameters = replica_bytes(problem, config), measure(problem, config).parameters
    for rows in (10, parameters, 10 * parameters):
        added = replica_bytes(problem, config, rows) - plain
        assert added == twice * bytes_a_number * tasks * min(rows, parameters)
    kept = config.replace(keep="best-per-task")
    assert replica_bytes(problem, kept) - plain == twice * bytes_a_number * tasks * parameters
    for alone in (config.replace(architecture="single_task"), config.replace(keep="last")):
        assert replica_bytes(problem, alone, 10) == replica_bytes(problem, alone)
