"""A callback sees every epoch and may end the training."""

from __future__ import annotations

import json

import pytest

from manygate.training.callback import EpochEnd
from manygate.training.trainer import Trainer


@pytest.fixture
def log(encoded):
    return encoded()


def train(trainer, log, config, folder, on_epoch) -> Trainer:
    training = trainer(log, config, folder)
    training.on_epoch = on_epoch
    training.fit()
    return training


def test_every_epoch_is_seen_as_it_is_written_down(trainer, log, settings, tmp_path):
    seen: list[EpochEnd] = []
    train(trainer, log, settings(epochs=3, replicas=2, patience=9), tmp_path, seen.append)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [end.epoch for end in seen] == [1, 2, 3]
    for end, line in zip(seen, lines, strict=True):
        assert (end.step, end.train_loss, end.valid) == (line["step"], line["train_loss"], line["valid"])
        assert end.run == "mmoe"


def test_true_ends_the_training_and_the_best_weights_stay(trainer, log, settings, tmp_path):
    training = train(trainer, log, settings(epochs=9, patience=9), tmp_path, lambda end: end.epoch == 2)
    assert training.state.epoch == 2
    assert training.state.reason == "stopped by on_epoch after 2 epochs"
    assert training.state.best_epoch[0] in (1, 2)


def test_a_run_that_was_stopped_is_finished_when_it_is_resumed(trainer, log, settings, tmp_path):
    config = settings(epochs=9, patience=9)
    train(trainer, log, config, tmp_path, lambda end: end.epoch == 2)
    again = trainer(log, config, tmp_path)
    again.fit()
    assert again.state.epoch == 2


def test_without_a_callback_or_with_one_that_returns_nothing_training_is_the_same(trainer, log, settings, tmp_path):
    config = settings(epochs=2)
    plain = trainer(log, config)
    plain.fit()
    seen = train(trainer, log, config, tmp_path, lambda end: None)
    for name, value in plain.model.parameters.items():
        assert value.equal(seen.model.parameters[name])
