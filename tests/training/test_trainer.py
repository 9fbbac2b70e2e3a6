"""The training loop: early stopping per member, best weights, divergence, and runs that can be stopped at any step."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor
from manygate.model.logits import predict
from manygate.model.replicas import member_axis
from manygate.runs.preflight import prepare
from manygate.runs.run import finish, train_one
from manygate.scoring.bundle import save_bundle
from manygate.scoring.predictor import Predictor
from manygate.training.divergence import DivergedError
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer
from stopper import Stopper


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    return encoded()


def scores_of(training: Trainer) -> np.ndarray:
    """Each member's validation score with the weights that the model holds now."""
    return training.monitor(predict(training.model, training.monitor.split), training.model.members).score_M


def watched(training: Trainer, entry: Any, member: Any) -> float:
    """The score of a member in a line of the history: its task's metric, or the mean distance from guessing in standard errors."""
    values = [entry["valid"][training.tasks[t].name][member.replica] for t in member.tasks]
    if len(values) == 1:
        return float(values[0])
    pairs = zip(values, training.monitor.guess_T, training.monitor.error_T, strict=True)
    return float(np.mean([(value - guess) / error for value, guess, error in pairs]))


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
@pytest.mark.parametrize("monitor", ["mean", "like", "click/log_loss", "watch/mae", "click/calibration", "click/gauc"])
def test_the_best_weights_of_each_member_are_restored(log, trainer, settings, architecture, monitor):
    config = settings(architecture=architecture, monitor=monitor, epochs=6, patience=2, replicas=2, learning_rate=0.05)
    training = trainer(log, config)
    state = training.fit()
    np.testing.assert_allclose(scores_of(training), state.best, rtol=1e-6)
    assert len(state.best_epoch) == len(training.model.members)
    for member, best in zip(training.model.members, state.best_epoch, strict=True):
        assert 1 <= best <= state.epoch
        if monitor == "mean":
            curve = [watched(training, entry, member) for entry in state.history[: best + config.patience]]
            assert max(curve) == curve[best - 1] == pytest.approx(state.best[training.model.members.index(member)])


def test_each_member_stops_on_its_own_as_in_its_own_run(log, trainer, settings):
    """Replicas that stop at different epochs keep the weights that their serial runs keep."""
    config = settings(epochs=8, patience=1, replicas=4, learning_rate=0.1, seed=7)
    together = trainer(log, config)
    state = together.fit()
    assert len(set(state.best_epoch)) > 1, "the case is about replicas that differ"
    for r in range(4):
        alone = trainer(log, config.replace(replicas=1, seed=7 + r))
        own = alone.fit()
        assert own.best_epoch == [state.best_epoch[r]]
        assert own.best[0] == pytest.approx(state.best[r], rel=1e-3)
        for name, value in together.model.parameters.items():
            torch.testing.assert_close(value.narrow(member_axis(name), r, 1), alone.model.parameters[name], rtol=2e-2, atol=2e-3)


def test_early_stopping_says_so_and_spares_epochs(log, trainer, settings):
    config = settings(epochs=50, patience=2, learning_rate=0.2)
    training = trainer(log, config)
    state = training.fit()
    assert state.epoch < 50
    assert state.epoch == state.best_epoch[0] + 2
    assert state.reason == "stopped early, no better validation mean for 2 epochs"


def test_monitoring_a_task_of_another_model_falls_back_to_the_own_task(log, settings, trainer):
    """With single-task models, --monitor click decides for click's model; each other model watches its own task."""
    training = trainer(log, settings(architecture="single_task", monitor="click/log_loss"))
    logit = predict(training.model, training.monitor.split)
    judged = training.monitor(logit, training.model.members)
    assert judged.score_M[0] < 0
    np.testing.assert_array_equal(judged.score_M[1:], judged.metric_RT[0, 1:])


@pytest.mark.parametrize("changes", [{}, {"sparse_gradients": True, "weighting": "dwa"}, {"architecture": "single_task"}])
def test_a_training_that_goes_on_from_an_earlier_one_equals_one_of_both_lengths(log, trainer, settings, changes):
    config = settings(keep="last", replicas=2, dropout=0.3, **changes)
    whole = trainer(log, config.replace(epochs=3))
    whole.fit()
    again = trainer(log, config.replace(epochs=1))
    state = again.fit()
    for _ in range(2):
        carried = again.carried()
        again = Trainer(again.model, again.train, again.monitor, begun=replace(state, reason=""))
        again.carry(carried)
        state = again.fit()
    assert (state.epoch, state.step) == (3, whole.state.step)
    assert [entry["epoch"] for entry in state.history] == [1, 2, 3]
    for name, value in whole.model.parameters.items():
        torch.testing.assert_close(again.model.parameters[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [1, 5, 9, 10, 13])
def test_max_steps_is_exact(log, trainer, settings, steps):
    training = trainer(log, settings(max_steps=steps, epochs=5))
    assert training.batches == 9
    state = training.fit()
    assert state.step == steps
    assert state.epoch == math.ceil(steps / 9)
    epochs = "1 epoch" if state.epoch == 1 else "2 epochs"
    assert state.reason == f"trained for {epochs} and {steps} step{'s' * (steps > 1)}"


def test_a_last_batch_of_one_row_and_a_batch_of_all(log, trainer, settings):
    rows = len(log.parts["train"])
    for size in (rows - 1, rows, 10 * rows, 1):
        config = settings(batch_size=size, epochs=1, max_steps=3, replicas=2, dropout=0.3)
        for architecture in ("mmoe", "single_task"):
            state = trainer(log, config.replace(architecture=architecture)).fit()
            assert state.step == min(3, math.ceil(rows / size))
            assert all(math.isfinite(value) for value in state.best)


def test_the_training_loss_reported_is_the_mean_over_batches_that_have_the_task(log, trainer, settings, monkeypatch):
    from manygate.objective.loss import Losses

    seen: list[np.ndarray] = []
    losses = Losses.__call__

    def spy(self: Any, logit: Any, label: Any, weight: Any, group: Any = None) -> Any:
        value = losses(self, logit, label, weight, group)
        seen.append(np.where(weight.sum(dim=1).numpy() > 0, value.detach().numpy(), np.nan))
        return value

    monkeypatch.setattr(Losses, "__call__", spy)
    training = trainer(log, settings(epochs=1, batch_size=4))
    training.forward.records = False  # a recording would not call the spy
    state = training.fit()
    assert any(np.isnan(value).any() for value in seen), "some batch of four has no click"
    expected = np.nanmean(np.stack(seen), axis=0)[0]
    for t, name in enumerate(log.schema.task_names):
        assert state.history[0]["train_loss"][name][0] == pytest.approx(expected[t], rel=1e-5)


def test_task_weights_scale_gradients_and_not_the_reported_loss(log, trainer, settings):
    from dataclasses import replace as with_parts

    schema = log.schema.model_copy(
        update={"tasks": tuple(task.model_copy(update={"weight": float(t == 0)}) for t, task in enumerate(log.schema.tasks))}
    )
    only_click = EncodedLog(log.source, with_parts(log.encoder, schema=schema), log.parts)
    training = trainer(only_click, settings(optimizer="sgd", weight_decay=0.0))
    before = training.model.parameters["trunk.towers.weight"].detach().clone()
    state = training.fit()
    after = training.model.parameters["trunk.towers.weight"]
    assert not torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 1:], after[:, 1:]), "a task of weight 0 trains nothing"
    assert state.history[0]["train_loss"]["like"][0] > 0


def poisoned(training: Trainer, name: str, task: int, member: int = 0) -> Trainer:
    with torch.no_grad():
        training.model.parameters[name][member, ..., task] = float("inf")
    return training


def test_a_loss_that_is_not_finite_names_task_replica_batch_and_step(log, trainer, settings, tmp_path):
    training = poisoned(trainer(log, settings(replicas=2, dropout=0.0)), "trunk.towers.bias", task=2, member=1)
    with pytest.raises(DivergedError) as error:
        training.fit()
    message = str(error.value)
    for part in ("'watch'", "became nan", "epoch 1, batch 1 of 9 (step 1)", "replica 1", "No epoch was finished", "learning_rate"):
        assert part in message
    single = poisoned(trainer(log, settings(replicas=2, architecture="single_task")), "trunk.towers.bias", task=0, member=4)
    with pytest.raises(DivergedError, match=r"task 'like'.*replica 1"):
        single.fit()


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_a_huge_learning_rate_ends_in_an_error_that_names_it_and_a_folder_that_can_be_read(
    log, trainer, settings, tmp_path, architecture
):
    config = settings(architecture=architecture, optimizer="sgd", learning_rate=1e6, epochs=30, patience=30)
    training = trainer(log, config, tmp_path)
    with pytest.raises(InputError, match=r"the loss of task '\w+' became (nan|inf).*Try a smaller learning_rate \(now 1e\+06\)"):
        training.fit()
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if (tmp_path / "metrics.jsonl").exists() else []:
        json.loads(line)


def test_weights_that_break_in_the_last_step_of_an_epoch_are_named_too(log, trainer, settings, tmp_path):
    """The loss was finite, then the update was not; validation is the first to see it."""
    config = settings(epochs=3, batch_size=10_000, optimizer="sgd")
    training = trainer(log, config, tmp_path)
    step = training._step

    def break_it(batch: Any) -> None:
        step(batch)
        with torch.no_grad():
            training.model.parameters["trunk.towers.bias"][0, 1] = float("nan")

    training._step = break_it
    with pytest.raises(DivergedError, match=r"'like'.*epoch 1.*step 1"):
        training.fit()


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "cross_stitch"])
def test_a_replica_that_diverges_is_frozen_and_leaves_the_others_as_they_are_to_the_bit(log, trainer, settings, architecture):
    """Replica 1 breaks at step 12, in the second epoch; the same run in which it does not break is what the others must equal."""
    config = settings(architecture=architecture, replicas=3, epochs=3, patience=3, dropout=0.1, clip_norm=1.0)
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
    (whole, whole_state), (broken, state) = runs[False], runs[True]
    assert state.diverged == [None, 12, None]
    assert whole_state.diverged == [None] * 3
    assert state.best_epoch[1] == 1, "it keeps the best weights that it had"
    for name, value in broken.model.parameters.items():
        axis = member_axis(name)
        assert torch.isfinite(value).all()
        for m in (0, 2):
            assert torch.equal(value.select(axis, m), whole.model.parameters[name].select(axis, m)), name


def test_losses_can_be_counted_from_the_first_step(log, trainer, settings):
    config = settings(replicas=3, epochs=2, dropout=0.0, optimizer="sgd", learning_rate=1e-2, replica_rates=(1.0, 1e6, 1.0))
    training = trainer(log, config)
    with pytest.raises(DivergedError, match="replica 1"):
        training.fit()
    counting = trainer(log, config)
    counting.count_losses = True
    state = counting.fit()
    assert [step is None for step in state.diverged] == [True, False, True]
    assert state.best[1] is None
    assert all(state.best[m] is not None for m in (0, 2))
    alone = trainer(log, config.replace(replica_rates=())).fit()
    assert [state.best[m] for m in (0, 2)] == pytest.approx([alone.best[m] for m in (0, 2)], rel=1e-5)


def test_a_watched_metric_that_is_undefined_on_validation_is_named(log_table, log_schema, settings):
    """GAUC needs a group with both classes."""
    table = log_table()
    place = table.column_names.index("session")
    alone = table.set_column(place, "session", pa.array(range(len(table))))
    with pytest.raises(InputError, match=r"monitor 'click/gauc' is undefined on the validation rows"):
        prepare(alone, settings(monitor="click/gauc"), log_schema())
    assert prepare(table, settings(monitor="click/gauc"), log_schema()).parts


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_bf16_trains_and_scores_close_to_float32(log, trainer, settings, architecture):
    config = settings(architecture=architecture, epochs=4, replicas=2, clip_norm=1.0)
    full, half = (trainer(log, config.replace(precision=precision)).fit() for precision in ("float32", "bf16"))
    for name in log.schema.task_names:
        assert half.history[-1]["valid"][name] == pytest.approx(full.history[-1]["valid"][name], abs=0.1)
    assert half.best != full.best


def digests(folder: Path) -> dict[str, str]:
    """Everything a run leaves that must not depend on how often it was stopped."""
    names = ("metrics.jsonl", "bundle/model.safetensors", "bundle/manifest.json", "bundle/encoder.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def run(log: EncodedLog, config: Any, folder: Path, progress: Progress | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    finish(folder, train_one(log, config, folder, progress or Progress()))
    return folder


def test_same_seed_same_bytes_and_another_seed_other_bytes(log, settings, tmp_path):
    config = settings(replicas=2, dropout=0.2, precision="bf16")
    one, two = (digests(run(log, config, tmp_path / name)) for name in "ab")
    assert one == two
    for change in ({"seed": 1}, {"shuffle_seed": 1}):
        other = digests(run(log, config.replace(**change), tmp_path / str(change)))
        assert other["bundle/model.safetensors"] != one["bundle/model.safetensors"]
        assert other["metrics.jsonl"] != one["metrics.jsonl"]


CASES = {
    "adamw": {},
    "single task, sparse adam": {
        "architecture": "single_task",
        "sparse_gradients": True,
        "optimizer": "adam",
        "cross_layers": 1,
    },
    "sparse adagrad": {"sparse_gradients": True, "optimizer": "adagrad", "schedule": "cosine", "warmup": 0.2},
    "averaged": {"weight_average": 0.9, "evaluate_every": 0.5},
    "averaged, sparse": {"weight_average": 0.99, "sparse_gradients": True, "replica_data": "bootstrap"},
    "row-wise adagrad, sparse": {
        "table_optimizer": "rowwise_adagrad",
        "sparse_gradients": True,
        "replica_data": "order",
        "replica_rates": (1.0, 0.5),
        "clip_norm": 0.5,
        "weight_average": 0.9,
    },
    "sgd, clipped": {"optimizer": "sgd", "clip_norm": 0.3, "architecture": "omoe"},
}


@pytest.mark.parametrize("case", list(CASES))
def test_stopping_anywhere_and_resuming_gives_the_same_bytes(log, settings, tmp_path, case):
    config = settings(replicas=2, dropout=0.2, epochs=3, patience=1, **CASES[case])
    whole = digests(run(log, config, tmp_path / "whole"))
    folder = tmp_path / "stopped"
    # The first step, the last step of an epoch, a whole epoch, the middle of the last; or fewer of them.
    for after in (1, 8, 9, 5) if case in ("adamw", "averaged") else (9, 5):
        with pytest.raises(Interrupted) as stop:
            run(log, config, folder, Stopper(after))
        assert stop.value.exit_code == 130
        assert "Saved after step" in stop.value.resume
    run(log, config, folder)
    assert digests(folder) == whole
    assert (folder / "DONE").is_file()
    assert not (folder / "checkpoints").exists()


def test_a_signal_while_validating_stops_the_run_too(log, settings, tmp_path, monkeypatch):
    config = settings(epochs=2)
    whole = digests(run(log, config, tmp_path / "whole"))
    called: list[int] = []
    judge = Monitor.__call__

    def slow(self: Monitor, *given: Any) -> Any:
        called.append(1)
        if len(called) == 2:  # the last epoch's validation
            os.kill(os.getpid(), signal.SIGTERM)
        return judge(self, *given)

    monkeypatch.setattr(Monitor, "__call__", slow)
    with pytest.raises(Interrupted) as stop:
        run(log, config, tmp_path / "stopped")
    assert stop.value.exit_code == 143
    run(log, config, tmp_path / "stopped")
    assert digests(tmp_path / "stopped") == whole


def test_without_a_folder_a_stopped_run_says_that_nothing_was_saved(log, trainer, settings):
    former = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="nothing was saved") as stop:
        trainer(log, settings(), progress=Stopper(2, signal.SIGTERM)).fit()
    assert stop.value.exit_code == 143
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == former


def stopped(log: EncodedLog, trainer: Callable[..., Trainer], config: Any, folder: Path) -> list[Path]:
    """A run stopped in its second epoch; its checkpoints, oldest first."""
    with pytest.raises(Interrupted):
        trainer(log, config, folder, Stopper(12), "f").fit()
    return sorted((folder / "checkpoints").glob("step-*"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["flip tensors", "truncate tensors", "flip state", "no manifest", "empty folder"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(log, trainer, settings, tmp_path, damage):
    config = settings(epochs=3)
    straight = trainer(log, config, tmp_path / "whole", None, "f")
    straight.fit()
    older, newest = stopped(log, trainer, config, tmp_path / "run")
    assert (older.name, newest.name) == ("step-0000000009", "step-0000000012")
    tensors = newest / "state.safetensors"
    if damage == "flip tensors":
        flip(tensors)
    elif damage == "flip state":
        flip(newest / "state.json")
    elif damage == "truncate tensors":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    else:
        for file in newest.iterdir():
            file.unlink()
    progress = Stopper(-1)
    again = trainer(log, config, tmp_path / "run", progress, "f")
    again.fit()
    assert "from the older checkpoint step-0000000009" in progress.said[0]
    for name, value in straight.model.parameters.items():
        assert torch.equal(value, again.model.parameters[name])
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_when_every_checkpoint_is_damaged_each_is_named(log, trainer, settings, tmp_path):
    paths = stopped(log, trainer, settings(epochs=3), tmp_path)
    for path in paths:
        flip(path / "state.safetensors")
    with pytest.raises(InputError) as error:
        trainer(log, settings(epochs=3), tmp_path, None, "f").fit()
    for path in paths:
        assert str(path / "state.safetensors") in str(error.value)
    assert "every checkpoint is damaged" in str(error.value)


def test_another_log_or_other_settings_cannot_continue_a_run(log, trainer, settings, tmp_path):
    stopped(log, trainer, settings(epochs=3), tmp_path)
    with pytest.raises(InputError, match="log or the settings have changed"):
        trainer(log, settings(epochs=3), tmp_path, None, "another").fit()


def test_only_the_two_newest_checkpoints_are_kept_and_none_is_half_written(log, trainer, settings, tmp_path):
    trainer(log, settings(epochs=2, checkpoint_seconds=1e-9), tmp_path).fit()
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step-0000000017", "step-0000000018"]


def test_saving_does_not_change_the_model(log, trainer, settings, tmp_path):
    training = trainer(log, settings(epochs=1))
    training.fit()
    before = predict(training.model, Split(log.parts["test"]))
    save_bundle(tmp_path / "bundle", Predictor(training.model, log.encoder))
    np.testing.assert_array_equal(before, predict(training.model, Split(log.parts["test"])))


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_member_that_has_stopped_cannot_end_the_run_of_the_others(log, trainer, settings, clip_norm):
    config = settings(epochs=4, patience=9, replicas=2, seed=3, clip_norm=clip_norm)
    training = trainer(log, config)
    close = training._evaluate

    def stop_and_break_the_second() -> None:
        close()
        training.state.stopped[1] = True
        with torch.no_grad():
            for name, value in training.model.parameters.items():
                value.select(member_axis(name), 1).fill_(float("nan"))

    training._evaluate = stop_and_break_the_second
    state = training.fit()
    assert state.epoch == 4
    assert state.best_epoch[1] == 1
    alone = trainer(log, config.replace(replicas=1))
    alone.fit()
    for name, value in training.model.parameters.items():
        assert torch.isfinite(value).all()
        own = value.narrow(member_axis(name), 0, 1)
        torch.testing.assert_close(own, alone.model.parameters[name], rtol=1e-3, atol=1e-4)


class Scripted:
    """A watch whose scores are written down, by member and epoch; keeps the model's weights as it saw them."""

    def __init__(self, training: Trainer, scores: list[list[float]]):
        self.own, self.scores, self.training = training.monitor, scores, training
        self.seen: list[dict[str, torch.Tensor]] = []
        training.monitor = self

    @property
    def split(self) -> Any:
        return self.own.split

    def name(self, task: Any) -> str:
        return self.own.name(task)

    def __call__(self, logit_RNT: np.ndarray, members: Any) -> Any:
        self.seen.append({name: value.detach().clone() for name, value in self.training.model.parameters.items()})
        return replace(self.own(logit_RNT, members), score_M=np.array([own[len(self.seen) - 1] for own in self.scores]))


NAN = float("nan")
COURSES = {
    1: [[0.1, 0.3, 0.2, 0.9, 0.9], [0.5, 0.4, 0.9, 0.9, 0.9], [0.1, 0.1, 0.9, 0.9, 0.9]],
    2: [[0.1, 0.3, 0.2, 0.3, 0.9], [0.5, 0.4, 0.6, 0.1, 0.2], [0.1, NAN, 0.2, 0.0, 0.0]],
    3: [[0.1, 0.3, 0.2, 0.3, 0.0], [0.9, 0.4, 0.6, 0.1, 0.95], [0.1, 0.2, 0.3, 0.4, 0.5]],
}
"""Validation scores of three replicas in five epochs, by patience."""
BEST = {1: ([2, 1, 1], [3, 2, 2]), 2: ([2, 3, 3], [4, 5, 5]), 3: ([2, 1, 5], [5, 4, 5])}
"""Their best epochs, where a tie is not better, and the last epoch in which each still trains."""


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_is_exact_and_a_tie_is_not_better(log, trainer, settings, patience):
    training = trainer(log, settings(replicas=3, epochs=5, patience=patience))
    script = Scripted(training, COURSES[patience])
    state = training.fit()
    best, last = BEST[patience]
    assert state.best_epoch == best
    assert state.best == [course[epoch - 1] for course, epoch in zip(COURSES[patience], best, strict=True)]
    assert state.epoch == max(last)
    for name, value in training.model.parameters.items():
        axis = member_axis(name)
        for m, (kept, end) in enumerate(zip(best, last, strict=True)):
            assert torch.equal(value.select(axis, m), script.seen[kept - 1][name].select(axis, m)), name
            if name == "trunk.towers.weight":
                after = [seen[name].select(axis, m) for seen in script.seen]
                assert all(not torch.equal(after[e], after[e - 1]) for e in range(1, end))


@pytest.mark.parametrize("architecture", ["single_task", "mmoe"])
def test_the_history_has_no_values_of_a_member_that_had_stopped(log, trainer, settings, architecture):
    """A member that is skipped has logits of zero. Their loss, ln 2, is no loss of a model."""
    alone = architecture == "single_task"
    training = trainer(log, settings(architecture=architecture, replicas=1 if alone else 3, epochs=5, patience=1))
    names = [task.name for task in training.tasks]
    assert len(names) == 3
    Scripted(training, COURSES[1])
    history = training.fit().history
    for m, last in enumerate(BEST[1][1]):
        for name in [names[m]] if alone else names:
            for part in ("train_loss", "valid", "weights"):
                known = [entry[part][name][0 if alone else m] is not None for entry in history]
                assert known == [epoch <= last for epoch in range(1, len(history) + 1)], (part, name, m)


def test_the_last_weights_are_kept_where_asked_whatever_the_scores_and_patience(log, trainer, settings):
    training = trainer(log, settings(replicas=3, epochs=5, patience=1, keep="last"))
    script = Scripted(training, [[0.9, 0.1, 0.1, 0.1, 0.2], [0.1, 0.2, 0.3, 0.9, 0.5], [NAN] * 5])
    state = training.fit()
    assert (state.epoch, state.best_epoch, state.best) == (5, [5, 5, 5], [0.2, 0.5, None])
    for name, value in training.model.parameters.items():
        assert torch.equal(value, script.seen[4][name])
        assert name.startswith("embedding") or not torch.equal(value, script.seen[3][name])


def test_a_resumed_run_has_the_best_weights_of_before_and_goes_on_from_the_newest_checkpoint(log, trainer, settings, tmp_path):
    """The first epoch is the best; the run stops in the second and, again, in the third."""
    config, seen = settings(epochs=4, patience=9), []
    for after, said in ((12, None), (10, 12), (None, 22)):
        progress = Stopper(after or -1)
        training = trainer(log, config, tmp_path, progress, "f")
        script = Scripted(training, [[0.9, 0.1, 0.2, 0.3][len(seen) :]])
        if after is None:
            training.fit()
        else:
            with pytest.raises(Interrupted):
                training.fit()
        seen += script.seen
        assert said is None or f"continuing after step {said}" in progress.said[0]
    assert len(seen) == 4
    assert training.state.best_epoch == [1]
    for name, value in training.model.parameters.items():
        assert torch.equal(value, seen[0][name]), name
        assert name.startswith("embedding") or not torch.equal(value, seen[1][name])


def test_a_run_of_a_fixed_length_goes_on_when_it_is_given_more_epochs(log, trainer, settings, tmp_path):
    short, long = (settings(epochs=epochs, keep="last", patience=9) for epochs in (2, 4))
    assert trainer(log, short, tmp_path / "on", Progress(), "f").fit().reason.startswith("trained for 2 epochs")
    again = trainer(log, short, tmp_path / "on", Progress(), "f")
    assert again.fit().epoch == 2, "without more epochs it has ended"
    on, whole = trainer(log, long, tmp_path / "on", Progress(), "f"), trainer(log, long, tmp_path / "whole", Progress(), "f")
    assert (on.fit().epoch, on.state.history) == (4, whole.fit().history)
    for name, value in whole.model.parameters.items():
        assert torch.equal(value, on.model.parameters[name]), name


def test_a_run_that_a_callback_stopped_does_not_go_on(log, trainer, settings, tmp_path):
    config = settings(epochs=4, patience=9)
    stopped = trainer(log, config, tmp_path, Progress(), "f")
    stopped.on_epoch = lambda end: True
    assert stopped.fit().reason.startswith("stopped by on_epoch")
    assert trainer(log, config, tmp_path, Progress(), "f").fit().epoch == 1


RATES = {
    "constant": ({}, lambda s: 1.0),
    "linear": ({"schedule": "linear"}, lambda s: 1 - s / 18),
    "cosine": ({"schedule": "cosine"}, lambda s: (1 + math.cos(math.pi * s / 18)) / 2),
    "warm": ({"warmup": 1 / 3}, lambda s: min((s + 1) / 6, 1.0)),
    "warm, linear": ({"warmup": 1 / 3, "schedule": "linear"}, lambda s: (s + 1) / 6 if s < 6 else 1 - (s - 6) / 12),
    "fewer steps": ({"schedule": "linear", "max_steps": 12}, lambda s: 1 - s / 12),
}


@pytest.mark.parametrize("case", list(RATES))
@pytest.mark.parametrize("stops", [False, True], ids=["whole", "resumed"])
def test_each_step_is_taken_at_the_rate_of_its_own_number(log, trainer, settings, tmp_path, case, stops):
    """Two epochs of nine steps, numbered from 0 through both; a run that was stopped goes on in the middle of the schedule."""
    changes, expected = RATES[case]
    taken: list[float] = []

    def counted(progress: Progress | None) -> Trainer:
        made = trainer(log, settings(learning_rate=0.01, epochs=2, **changes), tmp_path, progress, "f")
        step = made.optimizer.step
        made.optimizer.step = lambda rate: (taken.append(rate), step(rate))[1]
        return made

    if stops:
        with pytest.raises(Interrupted):
            counted(Stopper(5)).fit()
    counted(None).fit()
    assert taken == pytest.approx([0.01 * expected(s) for s in range(changes.get("max_steps", 18))])


@pytest.mark.parametrize("mode", ["shared", "order", "bootstrap"])
def test_every_epoch_and_every_shuffle_seed_has_an_order_of_its_own(log, trainer, settings, mode):
    orders = {}
    for seed in (0, 1):
        training = trainer(log, settings(epochs=3, patience=9, shuffle_seed=seed, replica_data=mode))
        taken: list[torch.Tensor] = []
        split = getattr(training.train, "split", training.train)
        take = split.take
        split.take = lambda row_B, taken=taken, take=take: (taken.append(row_B.flatten()), take(row_B))[1]
        training.fit()
        assert len(taken) == 27
        for epoch in range(3):
            orders[seed, epoch] = tuple(torch.cat(taken[9 * epoch : 9 * epoch + 9]).tolist())
    assert len(set(orders.values())) == 6
    for (seed, _), order in orders.items():
        assert sorted(order) == sorted(orders[seed, 0])
        assert mode == "bootstrap" or sorted(order) == list(range(len(log.parts["train"])))


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_each_epoch_s_training_losses_are_its_own(log, trainer, settings, architecture):
    training = trainer(log, settings(architecture=architecture, epochs=3, patience=9, replicas=2, batch_size=4, keep="last"))
    forward, seen = training.forward, []

    def spy(*given: Any) -> Any:
        found = forward(*given)
        seen.append(torch.where(found.present_MT, found.loss_MT.detach(), NAN).reshape(2, 3).numpy())
        return found

    training.forward = spy
    state = training.fit()
    for epoch, entry in enumerate(state.history):
        expected_RT = np.nanmean(np.stack(seen[epoch * training.batches : (epoch + 1) * training.batches]), axis=0)
        for t, name in enumerate(log.schema.task_names):
            assert entry["train_loss"][name] == pytest.approx(expected_RT[:, t].tolist(), rel=1e-5)
            assert entry["weights"][name] == pytest.approx([0.5 if name == "like" and architecture == "mmoe" else 1.0] * 2)


def test_a_model_per_task_is_trained_alike_whatever_the_weight_of_its_task(log, trainer, settings):
    """The baseline of every comparison: with one loss a weight is no more than another learning rate, so it is left out."""
    from dataclasses import replace as with_parts

    found = []
    for weights in ((1.0, 1.0, 1.0), (0.1, 3.0, 10.0)):
        tasks = tuple(task.model_copy(update={"weight": weight}) for task, weight in zip(log.schema.tasks, weights, strict=True))
        schema = log.schema.model_copy(update={"tasks": tasks})
        weighed = EncodedLog(log.source, with_parts(log.encoder, schema=schema), log.parts)
        config = settings(architecture="single_task", optimizer="sgd", clip_norm=0.5, replicas=2, l2_alpha=0.1)
        training = trainer(weighed, config)
        found.append((training.fit(), training.model.parameters))
    (one, one_values), (two, two_values) = found
    assert (one.best, one.best_epoch) == (two.best, two.best_epoch)
    assert one.history == two.history
    assert all(torch.equal(value, two_values[name]) for name, value in one_values.items())


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "adagrad", "rowwise_adagrad"])
def test_a_replica_that_diverged_leaves_nothing_of_itself_behind(log, trainer, settings, optimizer):
    """What its weighting learned and its optimizer remembers is 0 from then on, and no NaN is in what a checkpoint would hold."""
    kind = {"table_optimizer": optimizer} if optimizer == "rowwise_adagrad" else {"optimizer": optimizer}
    training = trainer(log, settings(weighting="uncertainty", replicas=3, epochs=2, patience=9, **kind))
    step = training._step

    def break_it(batch: Any) -> None:
        if training.state.step == 11:
            with torch.no_grad():
                training.model.parameters["trunk.towers.bias"][1] = float("nan")
        step(batch)
        if training.state.step == 11:
            expect_nothing()

    def expect_nothing() -> None:
        learnt = training.weighting.parameters["weighting.s"].detach()
        assert learnt[1].tolist() == [0.0] * 3
        assert (learnt[[0, 2]] != 0).all()
        for key, value in training.optimizer.tensors().items():
            name = key.rpartition("|")[0]
            parameter = {**training.model.parameters, **training.weighting.parameters}[name]
            assert torch.isfinite(value).all(), key
            axis = member_axis(name)
            if value.shape[: axis + 1] == parameter.shape[: axis + 1]:
                assert (value.select(axis, 1) == 0).all(), key
        for name, value in training.model.parameters.items():
            axis = member_axis(name)
            assert torch.equal(value.select(axis, 1), training.selection.best[name].select(axis, 1)), name

    training._step = break_it
    state = training.fit()
    assert state.diverged == [None, 12, None]
    assert all(torch.isfinite(value).all() for value in training.weighting.tensors().values())
    assert all(torch.isfinite(value).all() for value in training.optimizer.tensors().values())


def test_each_task_s_embedding_of_stem_has_a_sum_of_its_own(log, trainer, settings):
    """A row of stem holds a vector for each task and a shared one, which learn one by one."""
    training = trainer(log, settings(architecture="stem", table_optimizer="rowwise_adagrad", replicas=2, epochs=1))
    training.fit()
    sums = {name: value for name, value in training.optimizer.tensors().items() if name.endswith("|sum")}
    shapes = {name.partition("|")[0]: tuple(value.shape) for name, value in sums.items()}
    assert shapes == {
        name: (*value.shape[:2], 4 if name.startswith("embedding") else 1)
        for name, value in training.model.parameters.items()
        if member_axis(name) == 1
    }


def test_a_checkpoint_and_a_finished_run_of_other_settings_are_refused(log, settings, tmp_path):
    config = settings(epochs=1)
    with pytest.raises(Interrupted):
        run(log, config, tmp_path, Stopper(3))
    for done in (False, True):
        if done:
            run(log, config, tmp_path)
        with pytest.raises(InputError, match="log or the settings have changed"):
            run(log, config.replace(learning_rate=0.02), tmp_path)


@pytest.mark.parametrize("weighting", ["fixed", "dwa", "gradnorm"])
def test_more_evaluations_change_nothing_in_the_training(log, trainer, settings, weighting):
    """Nine batches in an epoch, evaluated after 3, 5, 7 and 9 of them. At whole epochs all is as with one evaluation."""
    config = settings(epochs=3, patience=9, replicas=2, dropout=0.2, weighting=weighting, keep="last")
    once, often = trainer(log, config), trainer(log, config.replace(evaluate_every=0.25))
    one, four = once.fit(), often.fit()
    assert [entry["epoch"] for entry in four.history] == [number / 4 for number in range(1, 13)]
    assert [entry["step"] for entry in four.history] == [9 * epoch + batch for epoch in range(3) for batch in (3, 5, 7, 9)]
    assert four.history[3::4] == one.history
    assert all(type(entry["epoch"]) is int for entry in four.history[3::4]), "whole numbers have no point in the file"
    assert all(torch.equal(value, often.model.parameters[name]) for name, value in once.model.parameters.items())
    assert four.reason == one.reason == "trained for 3 epochs and 27 steps"


def test_patience_is_counted_in_epochs_however_often_they_are_evaluated(log, trainer, settings):
    """With two evaluations in an epoch, patience 2 waits for four of them. The best is the third, after an epoch and a half."""
    training = trainer(log, settings(epochs=9, patience=2, evaluate_every=0.5))
    script = Scripted(training, [[0.1, 0.3, 0.5, 0.4, 0.4, 0.4, 0.5, 0.9]])
    state = training.fit()
    assert (state.best_epoch, state.best, len(state.history)) == ([1.5], [0.5], 7)
    assert (state.epoch, state.part) == (3, 1)
    assert state.reason == "stopped early, no better validation mean for 2 epochs"
    for name, value in training.model.parameters.items():
        assert torch.equal(value, script.seen[2][name]), name
    steps = trainer(log, settings(epochs=9, max_steps=12, evaluate_every=0.5)).fit()
    assert [entry["epoch"] for entry in steps.history] == [0.5, 1, 1.5]
    assert steps.reason == "trained for 1.5 epochs and 12 steps"


def test_a_run_that_is_stopped_between_evaluations_ends_with_the_same_bytes(log, settings, tmp_path):
    """It stops in the last step before an evaluation, in the step after it, and in the last step of an epoch."""
    config = settings(replicas=2, dropout=0.2, epochs=3, patience=1, evaluate_every=0.25, weighting="dwa")
    whole = digests(run(log, config, tmp_path / "whole"))
    for after in (3, 3, 3, 2, 1):
        with pytest.raises(Interrupted):
            run(log, config, tmp_path / "cut", Stopper(after))
    run(log, config, tmp_path / "cut")
    assert digests(tmp_path / "cut") == whole
