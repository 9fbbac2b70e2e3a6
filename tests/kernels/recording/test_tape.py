"""A tape lists the kernels of a function; views of memory are places in it, and what depends on values is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from manygate.kernels.recording.tape import Tape, UnrecordableError, View, needed


def taped(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tape, View]:
    """The tape of a function called on some inputs, and where its result lies."""
    tape = Tape()
    for value in inputs:
        tape.give(value)
    with tape:
        result = function(*inputs)
    return tape, tape.view(result)


def kernels(tape: Tape) -> list[str]:
    return [str(call.kernel) for call in tape.calls]


def test_each_kernel_is_one_call_and_what_it_makes_is_a_root() -> None:
    x, w = torch.ones(2, 3), torch.ones(3, 4)
    tape, result = taped(lambda x, w: (x @ w).exp(), x, w)
    assert kernels(tape) == ["aten.mm.default", "aten.exp.default"]
    product, power = tape.calls
    assert (product.reads, product.makes) == ((0, 1), (2,))
    assert (power.reads, power.makes) == ((2,), (3,))
    assert result == View(3, (2, 4), (4, 1), 0) == tape.whole(3)
    assert tape.given == {0, 1}
    assert tape.used == 2 * (2 * 4 * 4), "two results of 2 by 4 numbers of 4 bytes"


def test_a_view_is_a_place_in_memory_and_no_call() -> None:
    """The transpose of a 3 by 4 tensor without its first row: 3 columns of 3 rows that begin at the second number."""
    tape, result = taped(lambda x: x.t()[1:], torch.arange(12.0).view(3, 4))
    assert tape.calls == []
    assert result == View(0, (3, 3), (1, 4), 1)


def test_an_offset_counts_from_where_the_root_begins() -> None:
    whole = torch.arange(40.0).view(10, 4)
    _, result = taped(lambda x: x[1], whole[5:])
    assert result == View(0, (4,), (1,), 4)


def test_a_kernel_that_writes_changes_the_root_of_its_argument_and_makes_none() -> None:
    tape, result = taped(lambda x: x.exp()[:, 1:].mul_(2.0), torch.ones(2, 3))
    assert kernels(tape) == ["aten.exp.default", "aten.mul_.Tensor"]
    assert (tape.calls[1].makes, tape.calls[1].changes) == ((), (1,))
    assert result == View(1, (2, 2), (3, 1), 1)


def test_a_list_of_one_tensor_is_told_from_a_tensor() -> None:
    tape, _ = taped(lambda x: torch._foreach_exp([x])[0], torch.ones(2))
    assert [call.listed for call in tape.calls] == [True]
    tape, _ = taped(lambda x: x.exp(), torch.ones(2))
    assert [call.listed for call in tape.calls] == [False]


def test_a_tensor_that_was_never_seen_is_a_constant() -> None:
    constant = torch.full((2,), 7.0)
    tape, _ = taped(lambda x: x * constant, torch.ones(2))
    assert tape.given == {0, 1}
    assert tape.roots[1] is constant
    learning = torch.ones(2, requires_grad=True)
    with pytest.raises(UnrecordableError, match="a tensor that learns is not among the values"):
        taped(lambda x: x * learning, torch.ones(2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x[0, 0].item(), "depends on values or on chance"),
        (lambda x: x[x > 0], "depends on values or on chance"),
        (lambda x: torch.nn.functional.dropout(x, 0.5), "depends on values or on chance"),
        (lambda x: x.exp().t_(), "depends on values or on chance"),
        (lambda x: x.mul_(2.0), "changes what it is given"),
        (lambda x: x[:1].mul_(2.0), "changes what it is given"),
    ],
)
def test_what_depends_on_values_or_chance_or_writes_into_its_inputs_is_refused(function, message) -> None:
    with pytest.raises(UnrecordableError, match=message):
        taped(function, torch.ones(2, 2))


def test_memory_is_bounded_by_the_sum_of_what_kernels_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three results of 8 bytes: views and writes take none."""

    def function(x: Tensor) -> Tensor:
        return x.exp().view(1, 2).mul_(2.0).sin().cos()

    monkeypatch.setattr("manygate.kernels.recording.tape.LARGEST", 24)
    assert taped(function, torch.ones(2))[0].used == 24
    monkeypatch.setattr("manygate.kernels.recording.tape.LARGEST", 23)
    with pytest.raises(UnrecordableError, match="too much memory"):
        taped(function, torch.ones(2))


def test_needed_leaves_out_calls_without_which_results_are_the_same() -> None:
    def function(x: Tensor) -> Tensor:
        unused = x.sin()
        unused.mul_(3.0)
        y = x.exp()
        y.mul_(2.0)
        return y.t()

    tape, result = taped(function, torch.ones(2, 3))
    assert kernels(tape) == ["aten.sin.default", "aten.mul_.Tensor", "aten.exp.default", "aten.mul_.Tensor"]
    assert needed(tape.calls, [result]) == tape.calls[2:], "the write into the result is needed, too"
    assert needed(tape.calls, [None, result]) == tape.calls[2:]
    assert needed(tape.calls, [None]) == []
