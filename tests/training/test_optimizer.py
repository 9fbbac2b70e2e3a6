"""Schedules, clipping of each member on its own, and a state that can be put back bit for bit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from manygate.config import TrainConfig
from manygate.layers.embedding import look_up
from manygate.training.optimizer import Optimizer, clip_gradients, learning_rate
from manygate.training.table_rows import add_up_rows

OPTIMIZERS = ("adam", "adamw", "sgd", "adagrad", "rowwise_adagrad")
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
    add_up_rows(parameters)


def settings(**changes: object) -> TrainConfig:
    """``optimizer`` may be that of the tables."""
    if changes.get("optimizer") == "rowwise_adagrad":
        changes |= {"optimizer": "adam", "table_optimizer": "rowwise_adagrad"}
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


@pytest.mark.parametrize("name", OPTIMIZERS[:-1])
def test_dense_updates_are_torch_s_own(name):
    """Against torch's optimizer (not fused) with the same decay groups."""
    config = settings(optimizer=name, weight_decay=0.1)
    parameters = values()
    mine = Optimizer(parameters, config, sparse=False, undecayed=[key for key in parameters if "bias" in key])
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


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad"])
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


@pytest.mark.parametrize("spared", [(), ("trunk.a.bias",), ("trunk.a.bias", "trunk.b.weight")])
def test_weight_decay_spares_what_is_declared_and_nothing_by_its_name(spared: tuple[str, ...]):
    """2 (1 - 0.1 * 0.5) = 1.9."""
    values = {name: torch.full((1, 4), 2.0).requires_grad_() for name in ("trunk.a.bias", "trunk.a.gain", "trunk.b.weight")}
    optimizer = Optimizer(values, TrainConfig(optimizer="adamw", weight_decay=0.5), sparse=False, undecayed=spared)
    for value in values.values():
        value.grad = torch.zeros_like(value)
    optimizer.step(0.1)
    for name, value in values.items():
        torch.testing.assert_close(value.detach(), torch.full((1, 4), 2.0 if name in spared else 1.9), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("name", "left"), [("adam", 2.0), ("adamw", 1.998), ("sgd", 2.0), ("adagrad", 2.0)])
def test_without_a_setting_only_adamw_decays_and_by_a_hundredth_of_the_rate(name: str, left: float):
    """2 (1 - 0.1 * 0.01) = 1.998, with no gradient to move anything else."""
    values = {"trunk.a.weight": torch.full((1, 4), 2.0).requires_grad_()}
    optimizer = Optimizer(values, TrainConfig(optimizer=name), sparse=False)  # type: ignore[arg-type]
    values["trunk.a.weight"].grad = torch.zeros(1, 4)
    optimizer.step(0.1)
    torch.testing.assert_close(values["trunk.a.weight"].detach(), torch.full((1, 4), left), rtol=1e-6, atol=0)


FACTORS = [(0.1, 1.0, 10.0), (10.0, 1.0, 0.1), (2.0, 2.0, 2.0), (0.5, 0.25, 0.5), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize("factors", FACTORS, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_each_member_goes_at_the_rate_times_its_own_factor(name: str, factors: tuple[float, ...], sparse: bool):
    """With a gradient of ones the first step of each optimizer is one rate long, on whichever axis the members are."""
    values = {
        "embedding.3": torch.zeros(4, 3, 2).requires_grad_(),
        "trunk.a.weight": torch.zeros(3, 5).requires_grad_(),
        "trunk.a.bias": torch.zeros(3, 1, 5).requires_grad_(),
    }
    optimizer = Optimizer(values, settings(optimizer=name, weight_decay=0.0), sparse, members=factors)
    for value in values.values():
        value.grad = torch.ones_like(value)
    if sparse:
        values["embedding.3"].grad = torch.ones(4, 3, 2).to_sparse(1).coalesce()
    optimizer.step(1e-3)
    for key, value in values.items():
        for m, factor in enumerate(factors):
            moved = -value.detach().select(1 if key == "embedding.3" else 0, m)
            torch.testing.assert_close(moved, torch.full_like(moved, 1e-3 * factor), rtol=1e-4, atol=0, msg=f"{key} of {m}")


@pytest.mark.parametrize("kind", ["dense", "rows", "rows and members"])
def test_clipping_by_hand_whatever_form_a_table_s_gradient_has(kind: str):
    """Member 0: (3, 0) in the table and 4 in the trunk have norm 5 and are clipped to 1; member 1, a tenth of it, stays as it is.

    The table's row comes in two halves, which must be added before they are squared.
    """
    table, weight = torch.zeros(4, 2, 2).requires_grad_(), torch.zeros(2, 1).requires_grad_()
    weight.grad = torch.tensor([[4.0], [0.4]])
    half = torch.tensor([[1.5, 0.0], [0.15, 0.0]])  # by member
    if kind == "dense":
        table.grad = torch.zeros(4, 2, 2)
        table.grad[1] = 2 * half
    elif kind == "rows":
        table.grad = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.stack([half, half]), (4, 2, 2), check_invariants=True)
    else:
        place = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1]])
        table.grad = torch.sparse_coo_tensor(place, half[[1, 0, 0, 1]], (4, 2, 2), check_invariants=True)
    add_up_rows({"embedding.3": table})
    clip_gradients({"embedding.3": table, "trunk.a.weight": weight}, 1.0)
    expected = torch.zeros(4, 2, 2)
    expected[1] = torch.tensor([[0.6, 0.0], [0.3, 0.0]])
    torch.testing.assert_close(table.grad.to_dense(), expected)
    torch.testing.assert_close(weight.grad, torch.tensor([[0.8], [0.4]]))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_member_that_is_forgotten_goes_on_as_a_new_one_and_the_others_as_they_were(name: str, sparse: bool):
    """All of a forgotten member's state is 0, and no other's is touched."""
    parameters = values()
    optimizer = Optimizer(parameters, settings(optimizer=name), sparse)
    for step in range(3):
        backward(parameters, step, sparse)
        optimizer.step(0.05)
    before = {key: value.clone() for key, value in optimizer.tensors().items()}
    optimizer.reset_members([1])
    for key, value in optimizer.tensors().items():
        parameter = key.rpartition("|")[0]
        axis = 1 if parameter == "embedding.3" else 0
        if value.shape[: axis + 1] != parameters[parameter].shape[: axis + 1]:
            continue
        assert (value.select(axis, 1) == 0).all(), key
        assert before[key].select(axis, 1).any(), key
        assert torch.equal(value.select(axis, 0), before[key].select(axis, 0)), key


def test_tables_can_have_a_rate_and_an_optimizer_of_their_own():
    """The first step of each optimizer is one rate long."""
    for own, sparse in ((own, sparse) for own in ("same", "rowwise_adagrad") for sparse in (False, True)):
        values = {"embedding.3": torch.zeros(4, 1, 2).requires_grad_(), "trunk.a.weight": torch.zeros(1, 5).requires_grad_()}
        config = settings(table_optimizer=own, table_learning_rate=0.2, optimizer="adam")
        optimizer = Optimizer(values, config, sparse)
        for value in values.values():
            value.grad = torch.ones_like(value)
        if sparse:
            values["embedding.3"].grad = torch.ones(4, 1, 2).to_sparse(1).coalesce()
        optimizer.step(0.025)  # half of the rate: a schedule holds for both
        assert values["embedding.3"].detach().mean().item() == pytest.approx(-0.1, rel=1e-5)
        assert values["trunk.a.weight"].detach().mean().item() == pytest.approx(-0.025, rel=1e-5)


def test_row_wise_adagrad_remembers_a_number_for_each_row_member_and_vector():
    values = {f"embedding.{dim}": torch.zeros(5, 2, 2 * dim).requires_grad_() for dim in (3, 4)}
    values["trunk.a.weight"] = torch.zeros(2, 1).requires_grad_()
    optimizer = Optimizer(values, settings(table_optimizer="rowwise_adagrad"), sparse=False, vectors={"embedding.3": 2})
    for value in values.values():
        value.grad = torch.ones_like(value)
    optimizer.step(0.1)
    shapes = {name: tuple(value.shape) for name, value in optimizer.tensors().items() if name.startswith("embedding")}
    assert shapes == {"embedding.3|sum": (5, 2, 2), "embedding.4|sum": (5, 2, 1)}


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_members_rates_reach_the_rows_of_a_batch_alone(kind: str):
    table, weight = torch.zeros(4, 2, 1).requires_grad_(), torch.zeros(2, 1).requires_grad_()
    optimizer = Optimizer(
        {"embedding.1": table, "trunk.a.weight": weight}, settings(optimizer="sgd"), sparse=True, members=(1.0, 0.5)
    )
    index = torch.tensor([[1]]) if kind == "rows" else torch.tensor([[1, 1], [0, 1]])
    value = torch.ones(1, 2, 1) if kind == "rows" else torch.ones(2, 1)
    table.grad = torch.sparse_coo_tensor(index, value, (4, 2, 1), is_coalesced=True, check_invariants=True)
    optimizer.step(1.0)
    assert table.detach().squeeze(-1).tolist() == [[0.0, 0.0], [-1.0, -0.5], [0.0, 0.0], [0.0, 0.0]]
