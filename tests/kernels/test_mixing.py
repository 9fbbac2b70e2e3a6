"""Mixing of experts: fast paths against the expression that they equal."""

from __future__ import annotations

import pytest
import torch

from manygate.kernels import mixing
from manygate.kernels.mixing import mix, weighted_sums
from numpy_reading import agree, rows


def test_mix_is_a_weighted_sum():
    gate_BGE, expert_BEH = rows(12, 3).view(4, 3, 3), rows(12, 5).view(4, 3, 5)
    for b in range(4):
        for g in range(3):
            agree(mix(gate_BGE, expert_BEH)[b, g], sum(gate_BGE[b, g, e] * expert_BEH[b, e] for e in range(3)).numpy())


@pytest.mark.parametrize("gates", [1, 3, 6])
@pytest.mark.parametrize("many", [0, 10**9])
def test_gradients_of_a_mixture_whatever_it_is_computed_by(monkeypatch, gates, many):
    """Few or many gates, few or many numbers, alone and for several replicas: all are gate^T d and d expert^T."""
    monkeypatch.setattr("manygate.kernels.mixing.MANY_NUMBERS", many)
    random = torch.Generator().manual_seed(0)
    gate_RBGE, expert_RBEH, d_RBGH = (torch.randn(2, 5, *shape, generator=random) for shape in ((gates, 4), (4, 3), (gates, 3)))
    for function, take in ((mix, lambda value: value[0]), (torch.vmap(mix), lambda value: value)):
        gate, expert, d = (take(value).clone().requires_grad_() for value in (gate_RBGE, expert_RBEH, d_RBGH))
        (function(gate, expert) * d.detach()).sum().backward()
        torch.testing.assert_close(gate.grad, d.detach() @ expert.detach().mT)
        torch.testing.assert_close(expert.grad, gate.detach().mT @ d.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 5)], ids=["a model", "replicas"])
def test_weighted_sums_are_products(dtype: torch.dtype, shape: tuple[int, ...]):
    random = torch.Generator().manual_seed(0)
    gate, expert = (torch.randn(*shape, *sizes, generator=random, dtype=dtype) for sizes in ((3, 4), (4, 6)))
    torch.testing.assert_close(weighted_sums(gate, expert), gate @ expert)
    torch.testing.assert_close(weighted_sums(gate[..., :0, :], expert), gate[..., :0, :] @ expert)
    torch.testing.assert_close(weighted_sums(gate, expert[:1]), gate @ expert[:1], msg="one table for all replicas")


def test_bags_of_fewer_rows_are_the_beginning_of_more(monkeypatch):
    monkeypatch.setattr(mixing, "_known_bags", {})
    with torch.inference_mode():
        index, start = mixing._bags(3, 2, 4)
    rows = [[row * 4 + e for e in range(4)] for row in range(3) for _ in range(2)]
    assert index.tolist() == [e for bag in rows for e in bag]
    assert start.tolist() == [0, 4, 8, 12, 16, 20]
    fewer, fewer_starts = mixing._bags(1, 2, 4)
    assert (fewer.tolist(), fewer_starts.tolist()) == ([0, 1, 2, 3] * 2, [0, 4])
    assert not index.is_inference(), "they are kept for training, too"
    more, more_starts = mixing._bags(5, 2, 4)
    assert (len(more), len(more_starts)) == (40, 10)
    assert more.tolist()[:24] == index.tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_under_autocast_it_is_a_plain_product(dtype: torch.dtype):
    gate_BGE, expert_BEH = rows(12, 3).float().view(4, 3, 3), rows(12, 5).float().view(4, 3, 5)
    with torch.autocast("cpu", dtype):
        assert torch.equal(mix(gate_BGE, expert_BEH), gate_BGE @ expert_BEH)
    assert mix(gate_BGE.to("meta"), expert_BEH.to("meta")).shape == (4, 3, 5)
