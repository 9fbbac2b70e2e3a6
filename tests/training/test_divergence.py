"""Tests of the errors of members that diverged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.model.replicas import Member
from manygate.training.divergence import DivergedError, DivergenceErrors
from manygate.training.state import Clock, State

BOTH = torch.tensor([True, True])
NAN, INF = float("nan"), float("inf")


def errors(folder: Path | None = None, **settings: object) -> DivergenceErrors:
    """Two replicas of a model of two tasks, the third and fourth replica of their run."""
    members = tuple(Member(replica=r, seed=r, tasks=(0, 1)) for r in range(2))
    config = RunConfig(learning_rate=0.5).replace(**settings)
    return DivergenceErrors("ple", config, members, ("click", "buy"), batches=9, folder=folder, first_replica=2)


def state(**values: object) -> State:
    return State(2, **values)  # type: ignore[arg-type]


def test_the_first_loss_that_is_not_finite_is_named() -> None:
    error = errors().of_loss(torch.tensor([[0.5, 0.5], [0.5, INF]]), BOTH, state(batch=4, step=4))
    assert isinstance(error, DivergedError)
    assert isinstance(error, InputError)
    assert str(error) == (
        "ple: the loss of task 'buy' became inf in epoch 1, batch 5 of 9 (step 5), replica 3. No epoch was finished yet. "
        "Try a smaller learning_rate (now 0.5), or clip_norm=1."
    )


def test_a_member_that_has_stopped_is_not_named() -> None:
    loss_MT = torch.tensor([[NAN, 0.5], [0.5, NAN]])
    assert "'click' became nan" in str(errors().of_loss(loss_MT, BOTH, state()))
    message = str(errors().of_loss(loss_MT, torch.tensor([False, True]), state()))
    assert "'buy' became nan" in message
    assert "replica 3" in message


def test_with_one_model_per_task_the_task_is_that_of_the_member() -> None:
    members = (Member(replica=0, seed=0, tasks=(0,)), Member(replica=0, seed=0, tasks=(1,)))
    run = DivergenceErrors("single_task", RunConfig(), members, ("click", "buy"), batches=9)
    assert "task 'buy' became nan" in str(run.of_loss(torch.tensor([[0.5], [NAN]]), BOTH, state()))


def test_if_all_losses_are_finite_the_penalty_is_named() -> None:
    message = str(errors().of_loss(torch.ones(2, 2), BOTH, state()))
    assert message.startswith("ple: the penalty became NaN or infinite in epoch 1, batch 1 of 9 (step 1), replica 2.")


def test_logits_are_named_with_the_step_that_is_counted_already() -> None:
    message = str(errors().of_logits("buy", 1, state(epoch=1, batch=9, step=18, kept=[Clock(epoch=1), Clock(epoch=1)])))
    assert "validation logits of task 'buy' became NaN or infinite in epoch 2, batch 9 of 9 (step 18), replica 3." in message


@pytest.mark.parametrize(("best_epoch", "epochs"), [([2, 2], "epoch 2"), ([1, 3], "epochs 1 to 3")])
def test_the_best_weights_are_in_the_checkpoints(best_epoch: list[int], epochs: str) -> None:
    finished = state(epoch=3, kept=[Clock(epoch=epoch) for epoch in best_epoch])
    in_memory = str(errors().of_logits("buy", 0, finished))
    assert f"The best weights, of {epochs}, are safe. Try" in in_memory
    on_disk = str(errors(Path("run")).of_logits("buy", 0, finished))
    assert f"The best weights, of {epochs}, are safe in {Path('run') / 'checkpoints'}. Try" in on_disk
    assert "checkpoints" not in str(errors(Path("run")).of_logits("buy", 0, state())), "there is no finished epoch"


def test_the_factor_of_the_replica_s_rate_is_named() -> None:
    message = str(errors(replica_rates=(1.0, 0.25)).of_logits("buy", 1, state()))
    assert "(now 0.5, times 0.25 by replica_rates for this replica)" in message
