"""The kernel of a cross layer equals its expression, with its gradients, alone and stacked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.kernels.crossing import _Cross, cross

SHAPES = [(64, 40, 8), (5, 3, 3), (1, 7, 2)]


def expression(first: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> Tensor:
    return first * (x @ down @ up + bias) + x


def values(rows: int, inputs: int, rank: int, members: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + inputs)
    shapes: list[tuple[int, ...]] = [(rows, inputs), (rows, inputs), (inputs, rank), (rank, inputs), (inputs,)]
    outer = (members,) if members else ()
    return [torch.randn(outer + shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def same_as(found: Tensor, wanted: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    seed = torch.randn(found.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    pairs = zip(torch.autograd.grad(found, inputs, seed), torch.autograd.grad(wanted, inputs, seed), strict=True)
    for one, two in pairs:
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_alone(shape: tuple[int, int, int]) -> None:
    inputs = values(*shape)
    found = cross(*inputs)
    assert type(found.grad_fn).__name__ == "_CrossBackward"
    same_as(found, expression(*inputs), inputs)


@pytest.mark.parametrize("shape", SHAPES)
def test_stacked(shape: tuple[int, int, int]) -> None:
    inputs = values(*shape, members=3)
    same_as(torch.vmap(cross)(*inputs), torch.vmap(expression)(*inputs), inputs)


def test_stacks_of_stacks() -> None:
    inputs = [value.detach().unflatten(0, (3, 2)).requires_grad_() for value in values(5, 9, 4, members=6)]
    same_as(torch.vmap(torch.vmap(cross))(*inputs), torch.vmap(torch.vmap(expression))(*inputs), inputs)


def test_an_input_that_all_members_share() -> None:
    inputs = values(6, 5, 2, members=3)
    inputs[0] = inputs[0].detach()[0].requires_grad_()
    dims = (None, 0, 0, 0, 0)
    same_as(torch.vmap(cross, dims)(*inputs), torch.vmap(expression, dims)(*inputs), inputs)


def test_the_input_of_the_first_layer_gets_both_gradients() -> None:
    x, _, down, up, bias = values(6, 5, 2)
    same_as(cross(x, x, down, up, bias), expression(x, x, down, up, bias), [x, down, up, bias])


def test_numerical_gradients() -> None:
    inputs = values(3, 4, 2)
    assert torch.autograd.gradcheck(lambda *given: _Cross.apply(*given)[0], inputs, check_undefined_grad=False)


def test_bf16_uses_the_expression() -> None:
    inputs = [value.detach().float().requires_grad_() for value in values(6, 5, 2)]
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = cross(*inputs), expression(*inputs)
    assert torch.equal(found, wanted)
    found.sum().backward()
