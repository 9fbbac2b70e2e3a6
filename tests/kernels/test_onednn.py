"""The product by oneDNN equals ``@``, with its gradients, alone and stacked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.kernels import onednn as product
from manygate.kernels.onednn import hidden_and_linear

SHAPES = [(64, 100, 144, 128), (5, 3, 4, 2), (1, 7, 9, 9), (33, 351, 130, 1)]


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    y = x.double() @ weight.double()
    width = bias.shape[-1]
    return (y[..., :width] + bias.double().unsqueeze(-2)).relu(), y[..., width:]


def values(rows: int, inputs: int, units: int, width: int, members: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + inputs)
    shapes: list[tuple[int, ...]] = [(rows, inputs), (inputs, units), (width,)]
    return [torch.randn(((members,) if members else ()) + shape, generator=generator).requires_grad_() for shape in shapes]


def same_as_reference(found: tuple[Tensor, Tensor], inputs: list[Tensor]) -> None:
    wanted = reference(*inputs)
    seeds = [torch.randn(one.shape, generator=torch.Generator().manual_seed(7)) for one in wanted]
    scale = inputs[0].shape[-1] ** 0.5
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), two, atol=1e-5 * scale, rtol=1e-5)
    gradients = torch.autograd.grad(found, inputs, seeds)
    exact = torch.autograd.grad(wanted, inputs, [seed.double() for seed in seeds])
    for one, two in zip(gradients, exact, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_alone(shape: tuple[int, int, int, int]) -> None:
    inputs = values(*shape)
    same_as_reference(hidden_and_linear(*inputs), inputs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smallest", [0, 10**9])
def test_stacked(shape: tuple[int, int, int, int], smallest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SMALL", smallest)
    inputs = values(*shape, members=3)
    found = torch.vmap(hidden_and_linear)(*inputs)
    same_as_reference((found[0], found[1]), inputs)


def test_stacks_of_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SMALL", 0)
    inputs = [value.detach().unflatten(0, (3, 2)).requires_grad_() for value in values(5, 9, 7, 4, members=6)]
    found = torch.vmap(torch.vmap(hidden_and_linear))(*inputs)
    same_as_reference((found[0], found[1]), inputs)


def test_a_shared_input_is_not_stacked_by_the_caller() -> None:
    x, weight, bias = values(64, 100, 144, 128, members=3)
    found = torch.vmap(hidden_and_linear, in_dims=(None, 0, 0))(x[0], weight, bias)
    torch.testing.assert_close(found[0].double(), reference(x[0], weight, bias)[0], atol=1e-4, rtol=1e-5)


def test_other_types_take_the_ordinary_product() -> None:
    inputs = [value.detach().double().requires_grad_() for value in values(64, 100, 144, 128)]
    found = hidden_and_linear(*inputs)
    assert found[0].dtype == torch.float64
    assert all(torch.equal(one, two) for one, two in zip(found, reference(*inputs), strict=True))


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    x, weight, bias = values(64, 100, 144, 128)
    hidden, _ = hidden_and_linear(x.detach(), weight, bias)
    hidden.sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    assert bias.grad is not None


@pytest.mark.skipif(not product._ONEDNN, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("members", [1, 3])
def test_a_pass_computes_the_gradients_that_it_is_asked_for_alone(monkeypatch, members):
    """One product for the input's gradient, one for the weights', both for both; and the same numbers either way."""
    x_MBD, weight_MDN, bias_MH = (torch.randn(members, *shape, requires_grad=True) for shape in ((9, 4), (4, 6), (5,)))

    def forward() -> torch.Tensor:
        if members == 1:
            results = hidden_and_linear(x_MBD.squeeze(0), weight_MDN.squeeze(0), bias_MH.squeeze(0))
        else:
            results = torch.vmap(hidden_and_linear)(x_MBD, weight_MDN, bias_MH)
        return sum(value.square().sum() for value in results)

    leaves = (x_MBD, weight_MDN, bias_MH)
    whole = torch.autograd.grad(forward(), leaves)
    value, calls, times = forward(), [], product.times
    monkeypatch.setattr(product, "times", lambda *given: (calls.append(1), times(*given))[1])
    one_product = 1 if members > 1 else 2  # a stack of one calls itself for the one
    (found,) = torch.autograd.grad(value, x_MBD, retain_graph=True)
    assert len(calls) == one_product
    torch.testing.assert_close(found, whole[0])
    value.backward(inputs=[weight_MDN, bias_MH], retain_graph=True)
    assert len(calls) == 2 * one_product
    torch.testing.assert_close((weight_MDN.grad, bias_MH.grad), whole[1:])
    value.backward()
    assert len(calls) == 4 * one_product


@pytest.mark.parametrize("transposed", [False, True])
def test_the_second_factor_lies_side_by_side_in_memory(monkeypatch, transposed):
    """oneDNN reads a part of a wider matrix in its slowest way. A copy costs next to nothing."""
    asked: list[torch.Tensor] = []
    plain = torch.ops.mkldnn._linear_pointwise

    def watched(a, b, *others):
        asked.append(b)
        return plain(a, b, *others)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    wide = torch.randn(300, 300)
    a, b = torch.randn(2048, 90), (wide[20:110, 10:82].mT if transposed else wide[20:92, 10:100])
    torch.testing.assert_close(product.times(a, b), a @ b.mT, rtol=1e-4, atol=1e-4)
    gradient = product.times(torch.randn(2048, 300)[:, 5:95].mT, torch.randn(2048, 300)[:, 5:77].mT)
    assert gradient.shape == (90, 72)
    assert len(asked) == 2
    assert all(value.is_contiguous() or value.mT.is_contiguous() for value in asked)
