"""Tables that TorchRec spreads over processes train as those of one process do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.model.logits import predict
from manygate.training.checkpoint import load_checkpoint
from manygate.training.forward import Forward
from manygate.training.interrupt import Interrupted
from manygate.training.processes import Processes
from manygate.training.world import ALONE, World
from spread import NEEDED
from stopper import Stopper
from worlds import in_world

pytestmark = NEEDED
NEAR = 1e-5
SPREAD: dict[str, Any] = {"table_optimizer": "rowwise_adagrad", "sparse_gradients": True}


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    return encoded()


CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "by rows": (2, 50, {"table_sharding": "row_wise", "replicas": 3, "dropout": 0.2, "id_dropout": 2.0}),
    "by rows, three": (3, 50, {"table_sharding": "row_wise", "replicas": 2, "table_learning_rate": 0.02, "schedule": "linear"}),
    "by features": (2, 50, {"table_sharding": "table_wise", "replicas": 2, "warmup": 0.5}),
    "by features, three": (3, 50, {"table_sharding": "table_wise", "replicas": 3}),
    "by rows and by features": (2, 9, {"table_sharding": "planned", "replicas": 2}),
    "each replica's own rows": (3, 9, {"table_sharding": "row_wise", "replicas": 2, "replica_data": "bootstrap"}),
    "a model a task": (2, 9, {"table_sharding": "table_wise", "architecture": "single_task"}),
    "tables a task": (3, 9, {"table_sharding": "row_wise", "architecture": "stem", "replicas": 2}),
    "gradients of the tasks": (3, 9, {"table_sharding": "row_wise", "weighting": "pcgrad"}),
    "a last batch of one row": (3, 9, {"table_sharding": "table_wise", "batch_size": 41}),
}
"""The number of processes, of steps, and the settings."""


@pytest.mark.parametrize("case", CASES)
def test_spread_tables_train_as_whole_ones(log, trainer, settings, tmp_path, case):
    size, steps, changes = CASES[case]
    config = settings(epochs=6, max_steps=steps, **SPREAD, **changes)
    alone = trainer(log, config)
    alone.fit()

    def work(world: Processes) -> None:
        training = trainer(log, config, world=world)
        assert not any(name.startswith("embedding.") for name in training.model.parameters)
        training.fit()
        save(tmp_path / f"{world.rank}", training.fitted().model.parameters)

    in_world(size, tmp_path, work)
    first, *others = [load_file(tmp_path / f"{rank}") for rank in range(size)]
    assert first.keys() == alone.model.parameters.keys()
    for name, value in alone.model.parameters.items():
        torch.testing.assert_close(first[name], value.detach(), rtol=0, atol=NEAR, msg=lambda text, name=name: f"{name}: {text}")
        assert all(torch.equal(other[name], first[name]) for other in others if name in other), "processes must not drift apart"


def test_nothing_is_pickled(log, trainer, settings, tmp_path, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError("processes exchange pickled objects")

    for name in ("_object_to_tensor", "_tensor_to_object"):
        assert hasattr(torch.distributed.distributed_c10d, name)
        monkeypatch.setattr(f"torch.distributed.distributed_c10d.{name}", refuse)
    config, folder = settings(epochs=1, max_steps=2, table_sharding="row_wise", **SPREAD), tmp_path / "run"

    def work(world: Processes) -> None:
        training = trainer(log, config, folder if world.leads else None, world=world)
        training.fit()
        training.fitted()

    in_world(2, tmp_path, work)


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, path)


def test_a_checkpoint_goes_on_in_any_number_of_processes(log, trainer, settings, tmp_path):
    """Two processes stop within an epoch, three go on by features, one goes on with whole tables, and two end the run."""
    config, folder = settings(epochs=4, replicas=2, dropout=0.1, table_sharding="row_wise", **SPREAD), tmp_path / "run"
    undisturbed = trainer(log, config)
    undisturbed.fit()
    for size, steps, sharding in ((2, 4, "row_wise"), (3, 13, "table_wise"), (1, 3, "row_wise"), (2, None, "row_wise")):

        def work(world: World, size: int = size, steps: int | None = steps, sharding: str = sharding) -> None:
            progress = Stopper(steps) if steps else None
            training = trainer(log, config.replace(table_sharding=sharding), folder if world.leads else None, progress, world=world)
            if steps:
                with pytest.raises(Interrupted):
                    training.fit()
                np.save(tmp_path / f"{size}.npy", world.predict(training.model, training.monitor.split))
            else:
                training.fit()
                save(tmp_path / f"last-{world.rank}", training.fitted().model.parameters)

        in_world(size, tmp_path / str(steps), work) if size > 1 else work(ALONE)
        if steps:
            whole = trainer(log, config).model
            tensors, _ = load_checkpoint(folder / "checkpoints") or ({}, {})
            for name, value in whole.parameters.items():
                value.detach().copy_(tensors[f"model|{name}"])
            logit_RNT = predict(whole, undisturbed.monitor.split)
            np.testing.assert_allclose(logit_RNT, np.load(tmp_path / f"{size}.npy"), rtol=0, atol=1e-6)
    last = load_file(tmp_path / "last-0")
    for name, value in undisturbed.model.parameters.items():
        torch.testing.assert_close(last[name], value.detach(), rtol=0, atol=NEAR)


def test_a_replica_that_diverges_is_frozen(log, trainer, settings, tmp_path, monkeypatch):
    """Its tables keep their best values, and the other replica trains on."""
    config = settings(epochs=3, replicas=2, table_sharding="row_wise", patience=9, **SPREAD)
    call = Forward.__call__

    def diverge(self: Forward, *args: Any, **kwargs: Any) -> Any:
        losses = call(self, *args, **kwargs)
        self.calls = getattr(self, "calls", 0) + 1
        factor = torch.ones_like(losses.loss_MT)
        factor[1] = float("inf") if self.calls == 13 else 1.0
        return replace(losses, loss_MT=losses.loss_MT * factor)

    monkeypatch.setattr(Forward, "__call__", diverge)
    alone = trainer(log, config)
    assert alone.fit().diverged == [None, 13]

    def work(world: Processes) -> None:
        training = trainer(log, config, world=world)
        training.fit()
        save(tmp_path / f"{world.rank}", training.fitted().model.parameters)

    in_world(2, tmp_path, work)
    first = load_file(tmp_path / "0")
    for name, value in alone.model.parameters.items():
        torch.testing.assert_close(first[name], value.detach(), rtol=0, atol=NEAR)


def test_predictions_of_few_rows_wait_for_nobody(log, trainer, settings, tmp_path, monkeypatch):
    """Four slices in three processes: two of them have no slice at the end, and read tables all the same."""
    monkeypatch.setattr("manygate.training.processes.rows_at_once", lambda model: 16)
    config = settings(replicas=2, table_sharding="table_wise", **SPREAD)
    alone = trainer(log, config)
    assert len(list(alone.monitor.split.slices(16))) % 3 == 1
    expected_RNT = predict(alone.model, alone.monitor.split)

    def work(world: Processes) -> None:
        training = trainer(log, config, world=world)
        np.save(tmp_path / f"{world.rank}.npy", world.predict(training.model, training.monitor.split))

    in_world(3, tmp_path, work)
    for rank in range(3):
        np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), expected_RNT, rtol=0, atol=1e-6)


def test_a_folder_that_another_process_cannot_see_is_an_error(log, trainer, settings, tmp_path):
    config = settings(table_sharding="row_wise", **SPREAD)

    def work(world: Processes) -> None:
        tables = trainer(log, config, world=world).tables
        if world.leads:
            world.largest(0)
        else:
            with pytest.raises(InputError, match="process 1 cannot see this folder of the first process"):
                tables.save(tmp_path / "missing")

    in_world(2, tmp_path, work)
