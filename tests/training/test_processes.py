"""Several processes train as one does. The processes are forks, and torchrun itself is tested with the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.model.logits import predict
from manygate.training.interrupt import Interrupted
from manygate.training.processes import LostProcessError, Processes
from manygate.training.state import State
from stopper import Stopper
from worlds import in_world

NEAR = 1e-5


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    return encoded()


CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "replicas and dropout": (2, 50, {"replicas": 3, "dropout": 0.2, "id_dropout": 2.0}),
    "row-wise Adagrad": (3, 50, {"replicas": 2, "sparse_gradients": True, "table_optimizer": "rowwise_adagrad"}),
    "each replica's own rows": (3, 12, {"replicas": 2, "replica_data": "bootstrap", "sparse_gradients": True}),
    "a model a task": (2, 12, {"architecture": "single_task"}),
    "tables a task, clipped": (2, 12, {"architecture": "stem", "clip_norm": 1.0}),
    "gradients of the tasks": (3, 12, {"weighting": "pcgrad"}),
    "gradients at shared weights": (2, 12, {"architecture": "ple", "weighting": "gradnorm", "replicas": 2}),
    "a penalty of the weights": (3, 12, {"architecture": "l2_constrained"}),
    "a penalty of the rows": (3, 12, {"gate": "dselect_k", "entropy_weight": 1.0}),
    "a last batch of one row": (2, 12, {"batch_size": 41, "weight_average": 0.9}),
}
"""The number of processes, of steps, and the settings."""


@pytest.mark.parametrize("case", CASES)
def test_processes_train_as_one(log, trainer, settings, tmp_path, case):
    size, steps, changes = CASES[case]
    config = settings(epochs=6, max_steps=steps, **changes)
    alone = trainer(log, config)
    alone.fit()

    def work(world: Processes) -> None:
        training = trainer(log, config, world=world)
        training.fit()
        save(tmp_path / f"{world.rank}", training.model.parameters)

    in_world(size, tmp_path, work)
    first, *others = [load_file(tmp_path / f"{rank}") for rank in range(size)]
    for name, value in alone.model.parameters.items():
        torch.testing.assert_close(first[name], value.detach(), rtol=0, atol=NEAR)
        assert all(torch.equal(other[name], first[name]) for other in others), "processes must not drift apart"


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, path)


def test_another_number_of_processes_goes_on_with_the_next_rows(log, trainer, settings, tmp_path, monkeypatch):
    """Two processes stop within an epoch, three go on and stop within the next, and one ends the run."""
    config, folder = settings(epochs=3, replicas=2, dropout=0.1, sparse_gradients=True), tmp_path / "run"
    undisturbed = trainer(log, config)
    rows = noted(monkeypatch, undisturbed.fit)
    for size, steps in ((2, 4), (3, 13)):

        def work(world: Processes, size: int = size, steps: int = steps) -> None:
            training = trainer(log, config, folder if world.leads else None, Stopper(steps), world=world)
            seen = noted(monkeypatch, lambda: stopped(training))
            np.savez(tmp_path / f"{size}-{world.rank}.npz", *[row_B[world.part(len(row_B))] for row_B in seen])

        in_world(size, tmp_path / f"{size}", work)
    last = trainer(log, config, folder)
    found = [*joined(tmp_path, 2), *joined(tmp_path, 3), *noted(monkeypatch, last.fit)]
    assert len(found) == len(rows) == 27
    for number, (row_B, expected_B) in enumerate(zip(found, rows, strict=True)):
        np.testing.assert_array_equal(row_B, expected_B, err_msg=f"batch {number}")
    for name, value in undisturbed.model.parameters.items():
        torch.testing.assert_close(last.model.parameters[name], value, rtol=0, atol=NEAR)


def stopped(training: Any) -> None:
    with pytest.raises(Interrupted):
        training.fit()


def noted(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> list[np.ndarray]:
    """Return the numbers of the rows of each batch that is taken during ``work``."""
    rows: list[np.ndarray] = []
    take = Split.take

    def note(split: Split, row_B: torch.Tensor) -> Any:
        rows.append(row_B.numpy())
        return take(split, row_B)

    with monkeypatch.context() as patched:
        patched.setattr(Split, "take", note)
        work()
    return rows


def joined(folder: Path, size: int) -> list[np.ndarray]:
    """Put the rows of all processes together, batch by batch."""
    processes = [np.load(folder / f"{size}-{rank}.npz") for rank in range(size)]
    assert len({len(rows.files) for rows in processes}) == 1, "the processes took the same number of steps"
    return [np.concatenate([rows[name] for rows in processes]) for name in processes[0].files]


def test_predictions_of_all_processes_are_in_order(log, trainer, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("manygate.training.processes.rows_at_once", lambda model: 7)
    training = trainer(log, settings(replicas=2))
    expected_RNT = predict(training.model, training.monitor.split)

    def work(world: Processes) -> None:
        np.save(tmp_path / f"{world.rank}.npy", world.predict(training.model, training.monitor.split))

    in_world(3, tmp_path, work)
    for rank in range(3):
        np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), expected_RNT, atol=1e-6)


def test_a_world_agrees(tmp_path):
    def work(world: Processes) -> None:
        assert world.leads == (world.rank == 0)
        assert world.largest(7 * world.rank) == 14
        assert world.same("the same settings")
        assert not world.same(f"settings {world.rank == 1}")
        first = {"a": torch.tensor(3.5), "b": torch.tensor([True, False]), "none": torch.empty(0, 3)}
        tensors, state = world.checkpoint((first, {"step": 5, "name": "ß"}) if world.leads else None) or ({}, {})
        assert state == {"step": 5, "name": "ß"}
        assert all(torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in first.items())
        assert world.checkpoint(None) is None
        assert world.text("ß" if world.leads else "another") == "ß"
        value = torch.full((2, 3), float(world.rank))
        if world.rank != 1:
            world.to_first(value, source=2)
        assert bool((value == (2 if world.leads else world.rank)).all())

    in_world(3, tmp_path, work)


def test_processes_that_are_started_anew_know_that_the_run_had_begun(tmp_path):
    """torchrun starts all anew after any error, also where the folder of another run was refused."""

    def work(world: Processes) -> None:
        assert not world.begun, "without torchrun nothing is known"
        store = dist.HashStore()
        first = Processes(torch.device("cpu"), store)
        assert not Processes(torch.device("cpu"), store).begun
        first.begin()
        assert Processes(torch.device("cpu"), store).begun

    in_world(1, tmp_path, work)


def test_a_lost_process_is_named_as_the_reason(tmp_path):
    def work(world: Processes) -> None:
        if world.rank == 1:
            raise SystemExit
        with pytest.raises(LostProcessError, match=r"another process of this run ended.*--max-restarts"):
            world.largest(1)
        raise SystemExit  # the group cannot be left in order any more

    with pytest.raises(AssertionError):
        in_world(2, tmp_path, work)


def test_the_history_is_that_of_one_process(log, trainer, settings, tmp_path):
    config = settings(epochs=2, replicas=2)
    states: dict[str, State] = {"alone": trainer(log, config, tmp_path / "alone").fit()}

    def work(world: Processes) -> None:
        trainer(log, config, tmp_path / "together" if world.leads else None, world=world).fit()

    in_world(2, tmp_path, work)
    together = trainer(log, config, tmp_path / "together").fit()
    assert together.reason == states["alone"].reason
    for one, other in zip(together.history, states["alone"].history, strict=True):
        for part in ("train_loss", "valid"):
            for task, values in other[part].items():
                assert one[part][task] == pytest.approx(values, abs=1e-5)
