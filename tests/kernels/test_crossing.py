"""The kernel of the cross layers equals its expression, with its gradients, alone and stacked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.kernels.crossing import _Cross, cross, expression

SHAPES = [(64, 40, 2, 8), (5, 3, 1, 3), (1, 7, 3, 2)]


def kernel(*inputs: Tensor) -> Tensor:
    """The kernel for any number format. Double precision is for these tests alone."""
    return _Cross.apply(*inputs)[0]


def values(rows: int, inputs: int, layers: int, rank: int, members: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + inputs)
    shapes: list[tuple[int, ...]] = [(rows, inputs), (layers, inputs, rank), (layers, rank, inputs), (layers, inputs)]
    outer = (members,) if members else ()
    scale = (rank * inputs) ** -0.25
    return [
        torch.randn(outer + shape, generator=generator, dtype=dtype).mul_(scale if shape[0] == layers else 1).requires_grad_()
        for shape in shapes
    ]


def same_as(found: Tensor, wanted: Tensor, inputs: list[Tensor], tolerance: float = 1e-11) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
    seed = torch.randn(found.shape, generator=torch.Generator().manual_seed(7), dtype=found.dtype)
    pairs = zip(torch.autograd.grad(found, inputs, seed), torch.autograd.grad(wanted, inputs, seed), strict=True)
    for one, two in pairs:
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


def test_the_expression_is_the_recursion_of_the_paper() -> None:
    x_BD, down_LDK, up_LKD, bias_LD = (value.detach().numpy() for value in values(4, 5, 2, 3))
    wanted = x_BD
    for layer in range(2):
        wanted = x_BD * ((wanted @ down_LDK[layer]) @ up_LKD[layer] + bias_LD[layer]) + wanted
    torch.testing.assert_close(
        expression(*map(torch.from_numpy, (x_BD, down_LDK, up_LKD, bias_LD))), torch.from_numpy(wanted), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_alone(shape: tuple[int, int, int, int]) -> None:
    inputs = values(*shape)
    same_as(kernel(*inputs), expression(*inputs), inputs)


@pytest.mark.parametrize("shape", SHAPES)
def test_stacked(shape: tuple[int, int, int, int]) -> None:
    inputs = values(*shape, members=3)
    same_as(torch.vmap(kernel)(*inputs), torch.vmap(expression)(*inputs), inputs)


@pytest.mark.parametrize("members", [0, 2])
def test_as_it_trains(members: int) -> None:
    """Float32, large enough for all products of oneDNN."""
    inputs = values(1024, 150, 2, 32, members, torch.float32)
    found, wanted = (torch.vmap(f) if members else f for f in (cross, expression))
    same_as(found(*inputs), wanted(*inputs), inputs, 2e-3)


@pytest.mark.parametrize("members", [0, 3])
def test_a_gradient_that_is_a_view(members: int) -> None:
    """The gradient of a sum is one number, repeated. It is not written over."""
    inputs = values(6, 5, 2, 2, members)
    outputs = [(torch.vmap(f) if members else f)(*inputs) for f in (kernel, expression)]
    for one, two in zip(*(torch.autograd.grad(output.sum(), inputs) for output in outputs), strict=True):
        torch.testing.assert_close(one, two)


def test_a_second_backward_pass_gets_the_same() -> None:
    inputs = values(6, 5, 2, 2)
    output = kernel(*inputs).square().sum()
    first, second = (torch.autograd.grad(output, inputs, retain_graph=True) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)


def test_stacks_of_stacks() -> None:
    inputs = [value.detach().unflatten(0, (3, 2)).requires_grad_() for value in values(5, 9, 2, 4, members=6)]
    same_as(torch.vmap(torch.vmap(kernel))(*inputs), torch.vmap(torch.vmap(expression))(*inputs), inputs)


def test_an_input_that_all_members_share() -> None:
    inputs = values(6, 5, 2, 2, members=3)
    inputs[0] = inputs[0].detach()[0].requires_grad_()
    dims = (None, 0, 0, 0)
    same_as(torch.vmap(kernel, dims)(*inputs), torch.vmap(expression, dims)(*inputs), inputs)


def test_numerical_gradients() -> None:
    assert torch.autograd.gradcheck(kernel, values(3, 4, 2, 2), check_undefined_grad=False)


def test_double_precision_uses_the_expression() -> None:
    inputs = values(1024, 150, 1, 32)  # oneDNN would refuse it
    assert torch.equal(cross(*inputs), expression(*inputs))


def test_bf16_uses_the_expression() -> None:
    inputs = [value.detach().float().requires_grad_() for value in values(6, 5, 2, 2)]
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = cross(*inputs), expression(*inputs)
    assert torch.equal(found, wanted)
    found.sum().backward()
