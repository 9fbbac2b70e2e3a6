"""Schedules, clipping of each member on its own, and a state that can be put back bit for bit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from manygate.config import TrainConfig
from manygate.embedding import look_up
from manygate.optimizer import Optimizer, clip_gradients, learning_rate

OPTIMIZERS = ("adam", "adamw", "sgd", "adagrad")
ROWS, MEMBERS = 9, 2


def values(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "embedding.3": (ROWS, MEMBERS, 3),
        "trunk.architecture.experts.weight": (MEMBERS, 3, 4),
        "trunk.architecture.experts.bias": (MEMBERS, 4),
        "trunk.towers.hidden.biases.0": (MEMBERS, 1, 1, 4),
    }
    return {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in shapes.items()}


def backward(parameters: dict[str, Tensor], step: int, sparse: bool) -> None:
    """Gradients of some made-up loss; only a few rows of the table are used."""
    generator = torch.Generator().manual_seed(step)
    row_n = torch.randint(0, ROWS, (5,), generator=generator)
    x_nMd = look_up(parameters["embedding.3"], row_n, sparse)
    h = torch.einsum("nmd,mdk->mnk", x_nMd, parameters["trunk.architecture.experts.weight"])
    h = h + parameters["trunk.architecture.experts.bias"].unsqueeze(1) + parameters["trunk.towers.hidden.biases.0"].squeeze(1)
    target = torch.randn(h.shape, generator=generator)
    ((h - target) ** 2).sum().backward()


def settings(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({"learning_rate": 0.05, **changes})


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_restored_state_continues_with_the_same_bits(name, sparse):
    config = settings(optimizer=name)
    parameters = values()
    optimizer = Optimizer(parameters, config, sparse)
    for step in range(4):
        backward(parameters, step, sparse)
        optimizer.step(0.05)
    saved = {key: value.detach().clone() for key, value in optimizer.tensors().items()}
    copied = {key: value.detach().clone().requires_grad_() for key, value in parameters.items()}
    again = Optimizer(copied, config, sparse)
    again.restore(saved)
    for key, value in again.tensors().items():
        assert torch.equal(value, saved[key]), key
    for step in range(4, 8):
        for target, one in ((parameters, optimizer), (copied, again)):
            backward(target, step, sparse)
            one.step(0.05)
    for key in parameters:
        assert torch.equal(parameters[key], copied[key]), key
    if name != "sgd":
        assert {key.rpartition("|")[0] for key in saved} == set(parameters)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dense_updates_are_torch_s_own(name):
    """Against torch's optimizer (not fused) with the same decay groups."""
    config = settings(optimizer=name, weight_decay=0.1)
    parameters = values()
    mine = Optimizer(parameters, config, sparse=False)
    copied = {key: value.detach().clone().requires_grad_() for key, value in parameters.items()}
    decayed = ["trunk.architecture.experts.weight"]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}[name]
    groups = [
        {"params": [copied[key] for key in copied if key not in decayed], "weight_decay": 0.0},
        {"params": [copied[key] for key in decayed], "weight_decay": 0.1},
    ]
    theirs = kind(groups, lr=0.05)
    for step in range(5):
        backward(parameters, step, sparse=False)
        mine.step(0.05)
        theirs.zero_grad()
        backward(copied, step, sparse=False)
        theirs.step()
    for key in parameters:
        torch.testing.assert_close(parameters[key], copied[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_sparse_update_touches_only_the_rows_of_the_batch(name):
    parameters = values()
    optimizer = Optimizer(parameters, settings(optimizer=name, weight_decay=0.5), sparse=True)
    for step in range(3):
        before = parameters["embedding.3"].detach().clone()
        backward(parameters, step, sparse=True)
        gradient = parameters["embedding.3"].grad
        assert gradient is not None
        used = set(gradient.coalesce().indices()[0].tolist())
        optimizer.step(0.05)
        changed = (parameters["embedding.3"] != before).flatten(1).any(dim=1).nonzero().flatten().tolist()
        assert set(changed) == used


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_sparse_and_dense_gradients_train_alike(name):
    both = []
    for sparse in (False, True):
        parameters = values()
        optimizer = Optimizer(parameters, settings(optimizer=name, weight_decay=0.0), sparse)
        for step in range(5):
            backward(parameters, step, sparse)
            optimizer.step(0.05)
        both.append(parameters)
    for key in both[0]:
        torch.testing.assert_close(both[0][key], both[1][key], rtol=1e-6, atol=1e-7)


def test_the_rate_given_is_the_rate_used():
    parameters = values()
    before = parameters["trunk.architecture.experts.bias"].detach().clone()
    optimizer = Optimizer(parameters, settings(optimizer="sgd", learning_rate=1.0), sparse=False)
    backward(parameters, 0, sparse=False)
    gradient = parameters["trunk.architecture.experts.bias"].grad
    assert gradient is not None
    expected = before - 0.25 * gradient
    optimizer.step(0.25)
    torch.testing.assert_close(parameters["trunk.architecture.experts.bias"].detach(), expected)
    assert all(parameter.grad is None for parameter in parameters.values())


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("norm", [1e-3, 3.0, 1e9])
def test_each_member_is_clipped_as_if_it_were_alone(sparse, norm):
    parameters = values()
    backward(parameters, 0, sparse)
    with torch.no_grad():  # one member's gradient is far longer than the other's
        for name, parameter in parameters.items():
            gradient = parameter.grad
            assert gradient is not None
            (gradient._values() if gradient.is_sparse else gradient).select(0 if name.startswith("trunk") else 1, 1).mul_(100)
    alone = []
    for m in range(MEMBERS):
        own = []
        for name, parameter in parameters.items():
            gradient = parameter.grad
            assert gradient is not None
            dense = (gradient.to_dense() if gradient.is_sparse else gradient).select(0 if name.startswith("trunk") else 1, m)
            copy = torch.zeros_like(dense, requires_grad=True)
            copy.grad = dense.clone()
            own.append(copy)
        torch.nn.utils.clip_grad_norm_(own, norm)
        alone.append(own)
    clip_gradients(parameters, norm)
    for index, (name, parameter) in enumerate(parameters.items()):
        gradient = parameter.grad
        assert gradient is not None
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        for m in range(MEMBERS):
            found = dense.select(0 if name.startswith("trunk") else 1, m)
            torch.testing.assert_close(found, alone[m][index].grad, rtol=1e-4, atol=1e-7)


def test_clipping_leaves_zero_and_missing_gradients_alone():
    parameters = values()
    for name, parameter in parameters.items():
        parameter.grad = None if name.endswith("bias") else torch.zeros_like(parameter)
    clip_gradients(parameters, 1.0)
    assert all(parameter.grad is None or (parameter.grad == 0).all() for parameter in parameters.values())


def test_schedules():
    def rates(total: int = 10, **changes: object) -> list[float]:
        config = settings(learning_rate=1.0, **changes)
        return [learning_rate(config, step, total) for step in range(total)]

    assert rates() == [1.0] * 10
    assert rates(schedule="linear") == pytest.approx([1 - step / 10 for step in range(10)])
    assert rates(schedule="cosine") == pytest.approx([(1 + math.cos(math.pi * step / 10)) / 2 for step in range(10)])
    assert rates(warmup=0.3)[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])
    warm = rates(warmup=0.5, schedule="cosine")
    assert warm[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert warm[5] == 1.0
    assert all(a > b for a, b in zip(warm[5:-1], warm[6:], strict=True))
    for kind in ("constant", "linear", "cosine"):
        for total in (1, 2, 7):
            assert all(0 < rate <= 1 for rate in rates(total, schedule=kind, warmup=0.9))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "adagrad"])
def test_some_parameters_learn_faster(name):
    start = torch.full((1, 4), 2.0)
    values = {key: start.clone().requires_grad_() for key in ("trunk.a.weight", "trunk.a.stitch")}
    config = TrainConfig(optimizer=name, weight_decay=0.0)
    optimizer = Optimizer(values, config, sparse=False, rates={"trunk.a.stitch": 10.0})
    for value in values.values():
        value.grad = torch.ones_like(value)
    optimizer.step(1e-3)
    moved = {key: (start - value.detach()).mean().item() for key, value in values.items()}
    assert moved["trunk.a.weight"] == pytest.approx(1e-3, rel=1e-3)
    assert moved["trunk.a.stitch"] == pytest.approx(1e-2, rel=1e-3)


def test_weight_decay_spares_what_weighs_networks_against_each_other():
    names = [
        "weight",
        "banks.0.bias",
        "biases.0",
        "stitch",
        "alpha",
        "beta",
        "native",
        "norm.gain",
        "weights.0",
        "core",
        "gate_weight",
    ]
    values = {f"trunk.architecture.{name}": torch.full((1, 4), 2.0).requires_grad_() for name in names}
    optimizer = Optimizer(values, TrainConfig(optimizer="adamw", weight_decay=0.5), sparse=False)
    for value in values.values():
        value.grad = torch.zeros_like(value)
    optimizer.step(0.1)
    decayed = {name for name in names if (values[f"trunk.architecture.{name}"] < 2).all()}
    assert decayed == {"weight", "weights.0", "core", "gate_weight"}
