"""The function written from a tape calls the same kernels on other numbers, wherever these lie in memory."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from manygate.kernels.recording.source import QUICK, quick, written
from manygate.kernels.recording.tape import Tape, View


def replayed(function: Callable[..., Any], *inputs: Tensor, apart: bool = False) -> Callable[..., tuple[Tensor | None, ...]]:
    """A function of tensors, taped on some inputs and written anew."""
    tape = Tape()
    parameters = [tape.give(value).root for value in inputs]
    with tape:
        results = function(*inputs)
    views: Sequence[View | None] = [None if value is None else tape.view(value) for value in results]
    return written(tape, tape.calls, parameters, views, apart)


def test_the_same_kernels_on_other_numbers() -> None:
    recorded = replayed(lambda x, w: ((x @ w).relu().sum(dim=0), None), torch.ones(2, 2), torch.ones(2, 2))
    total, absent = recorded(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [1.0, -1.0]]))
    assert total.tolist() == [7.0, 2.0], "rows (-1, 2) and (7, -4), cut at 0 and summed"
    assert absent is None


def test_views_of_an_input_follow_where_it_begins_in_its_memory() -> None:
    recorded = replayed(lambda x: (x[1:].exp(), x.t()), torch.zeros(2, 2))
    whole = torch.arange(10.0).view(5, 2)
    for start in (0, 2, 3):
        power, turned = recorded(whole[start : start + 2])
        assert torch.equal(power, whole[start + 1 : start + 2].exp())
        assert torch.equal(turned, whole[start : start + 2].t())


def test_views_of_what_a_kernel_made_and_of_constants_are_read_where_they_lie() -> None:
    constant = torch.arange(6.0)[2:]

    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (x.exp().view(4)[1:] * constant[1:],)

    x = torch.tensor([[0.5, 1.0], [1.5, 2.0]])
    assert torch.equal(replayed(function, torch.zeros(2, 2))(x)[0], function(x)[0])
    assert function(torch.zeros(2, 2))[0].tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_have_no_text_are_constants(number: float) -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (torch.where(x > 0, x, number), torch.cat([x, x]), x.sum(dtype=torch.float64))

    x = torch.tensor([1.0, -1.0])
    for found, expected in zip(replayed(function, torch.zeros(2))(x), function(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        assert found.dtype == expected.dtype


def test_kernels_that_return_several_tensors_or_write_into_one() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        value, place = x.max(dim=1)
        value.mul_(10.0)
        return (value, place, torch._foreach_neg([x])[0])

    value, place, negative = replayed(function, torch.zeros(2, 2))(torch.tensor([[1.0, 2.0], [4.0, 3.0]]))
    assert (value.tolist(), place.tolist()) == ([20.0, 40.0], [1, 0])
    assert negative.tolist() == [[-1.0, -2.0], [-4.0, -3.0]]


def test_results_apart_lie_in_no_memory_of_each_other_or_of_an_input() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        y = x.exp()
        return y, y.t(), x

    x = torch.ones(2, 2)
    for apart, count in ((False, 2), (True, 4)):
        results = replayed(function, torch.zeros(2, 2), apart=apart)(x)
        assert len({value.data_ptr() for value in (*results, x)}) == count
        for found, expected in zip(results, function(x), strict=True):
            assert torch.equal(found, expected)


def test_a_tensor_is_dropped_after_the_last_call_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four steps one after another: before each, only the step before is alive."""
    alive: list[weakref.ref[Tensor]] = []
    counts: list[int] = []

    def exp(value: Tensor) -> Tensor:
        counts.append(sum(reference() is not None for reference in alive))
        result = torch.ops.aten.exp.default(value)
        alive.append(weakref.ref(result))
        return result

    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (x.exp().exp().exp().exp(),)

    monkeypatch.setattr(torch, "exp", exp)
    recorded = replayed(function, torch.zeros(2))
    recorded(torch.zeros(2))
    assert counts == [0, 1, 1, 1]


def test_a_kernel_is_called_by_the_quicker_binding_where_both_take_the_same_arguments() -> None:
    aten = torch.ops.aten
    assert quick(aten.mm.default) is torch.mm
    assert quick(aten.add.Tensor) is torch.add
    assert quick(aten.max.dim) is aten.max.dim
    assert "max" not in QUICK
    assert all(callable(getattr(torch, name)) for name in QUICK)
