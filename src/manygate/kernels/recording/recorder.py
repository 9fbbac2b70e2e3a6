"""Functions of tensors, run as they are at first and then as they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from manygate.kernels.recording.source import Kernels, written
from manygate.kernels.recording.tape import Tape, needed
from manygate.kernels.recording.watch import Watch
from manygate.kernels.without_sympy import gradients as gradients_of

Values = dict[str, Tensor]
TRIALS = 2
"""Calls, after the one that is recorded, on which the recording is compared with the function again: other numbers show what one
batch may hide, such as a gradient by another formula that rounds to the same bits once."""
EAGER_CALLS = 2
"""Calls with the same shapes before one is recorded: what the first ones make and keep (caches) is no part of a step."""


class Recorder:
    """Calls ``function(values, *fixed)`` or, from the third call with such tensors on, what was recorded of it.

    ``values`` are all tensors that the function reads and that may differ from call to call, those named in ``steady`` (parameters)
    always of one shape, layout and ``requires_grad``; ``fixed`` is whatever else it depends on. Results are a tuple of tensors; an
    input that only unused results depend on gets a gradient of zeros.

    >>> recorder = Recorder(lambda values: ((values["x"] @ values["w"]).relu().sum(dim=0),), steady=["w"])
    >>> w = torch.ones(2, 3, requires_grad=True)
    >>> for row in range(5):
    ...     (y,) = recorder({"w": w, "x": torch.full((4, 2), float(row))})
    >>> y.sum().backward()
    >>> y.tolist(), w.grad[0].tolist(), len(recorder.recordings)
    ([32.0, 32.0, 32.0], [16.0, 16.0, 16.0], 1)
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], steady: Sequence[str] = ()):
        self.function, self.steady = function, frozenset(steady)
        self.calls: dict[Hashable, int] = {}
        self.recordings: dict[Hashable, Recording | None] = {}
        self.trials: dict[Hashable, int] = {}

    def __call__(self, values: Values, *fixed: Hashable) -> tuple[Tensor, ...]:
        if torch.is_autocast_enabled("cpu"):  # which would act on recorded kernels, too
            return self.function(values, *fixed)
        changing = (value for name, value in values.items() if name not in self.steady)
        key = (*fixed, *values, *((v.shape, v.stride(), v.dtype, v.requires_grad, v.is_leaf) for v in changing))
        if key not in self.recordings:
            self.calls[key] = self.calls.get(key, 0) + 1
            if self.calls[key] < EAGER_CALLS:
                return self.function(values, *fixed)
            if self.calls[key] == EAGER_CALLS:  # before anything runs it a second time on one batch, which could count, say
                return self._watched(key, values, *fixed)
            self.recordings[key], self.trials[key] = record(self.function, values, *fixed), TRIALS
        elif self.trials.get(key, 0):
            self._try(key, values, *fixed)
        recording = self.recordings[key]
        return self.function(values, *fixed) if recording is None else recording(values)

    def _watched(self, key: Hashable, values: Values, *fixed: Hashable) -> tuple[Tensor, ...]:
        """The function's results; there will be no recording where the call did what a recording could not."""
        with Watch() as watch:
            results = self.function(values, *fixed)
        if watch.problem:
            self.recordings[key] = None
        return results

    def _try(self, key: Hashable, values: Values, *fixed: Hashable) -> None:
        """Compare a young recording with the function once more, and drop it where they differ."""
        self.trials[key] -= 1
        recording = self.recordings[key]
        if recording is not None and not recording.agrees(self.function, values, *fixed):
            self.recordings[key] = None


def record(function: Callable[..., tuple[Tensor, ...]], values: Values, *fixed: Hashable) -> Recording | None:
    """A recording of ``function(values, *fixed)``; None where there can be none, or where it would not give the same bits."""
    try:
        recording = _traced(function, _inputs(values), *fixed)
    except (RuntimeError, TypeError):  # not all that runs without a tape runs under one
        return None
    return recording if recording.agrees(function, values, *fixed) else None


def _inputs(values: Values) -> Values:
    """The same tensors over: copies, but for those that overlap themselves, so that a function may write into them."""
    with torch.enable_grad():
        return {name: _input(value) for name, value in values.items()}


def _input(value: Tensor) -> Tensor:
    """A leaf where it is one, since autocast keeps the casts of leaves."""
    copy = value.detach().clone()
    copied = copy.stride() == value.stride()
    leaf = (copy if copied else value.detach()).requires_grad_(value.requires_grad)
    if value.is_leaf:
        return leaf
    return leaf.clone() if copied else leaf.view_as(leaf)


def _upstream(outputs: Sequence[Tensor]) -> list[Tensor]:
    return [torch.ones_like(output, memory_format=torch.contiguous_format) for output in outputs if output.requires_grad]


def _varied(output: Tensor) -> Tensor:
    """A gradient of an output, of other numbers at each place."""
    return torch.linspace(0.5, 1.5, output.numel(), dtype=output.dtype, device=output.device).view(output.shape)


def _gradients(outputs: Sequence[Tensor], inputs: Values, upstream: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Of the inputs that have any, given those of the outputs."""
    moving, asked = ([value for value in given if value.requires_grad] for given in (outputs, inputs.values()))
    return gradients_of(moving, asked, upstream) if moving else [None for _ in asked]


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors hold the same numbers, NaN being one."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _traced(function: Callable[..., tuple[Tensor, ...]], values: Values, *fixed: Hashable) -> Recording:
    tape = Tape()
    inputs, asked = [tape.give(value) for value in values.values()], [value.requires_grad for value in values.values()]
    with torch.enable_grad(), tape:
        outputs = function(values, *fixed)
    made, middle, upstream = [tape.view(output) for output in outputs], len(tape.calls), _upstream(outputs)
    ahead = [tape.give(gradient) for gradient in upstream]
    with tape:
        of_values = _gradients(outputs, values, upstream)
    gradients = [None if gradient is None else tape.view(gradient) for gradient in of_values]
    second = needed(tape.calls[middle:], gradients)
    read = {root for call in second for root in call.reads} | {view.root for view in gradients if view is not None}
    saved = sorted(read & {root for call in tape.calls[:middle] for root in call.makes})
    kept = [index for index, view in enumerate(inputs) if view.root in read]
    results = [*made, *(tape.whole(root) for root in saved)]
    return Recording(
        written(tape, needed(tape.calls[:middle], results), [view.root for view in inputs], results),
        written(tape, second, [*(inputs[i].root for i in kept), *saved, *(view.root for view in ahead)], gradients, apart=True),
        tuple(kept),
        tuple(asked),
        tuple(output.requires_grad for output in outputs),
    )


@dataclass(frozen=True)
class Recording:
    """The two passes of a function, and which of its inputs and outputs have gradients."""

    forward: Kernels
    """Inputs -> outputs, then what the backward pass keeps of its own."""
    backward: Kernels
    """Inputs that it reads, what was kept, gradients of outputs -> gradients of inputs."""
    kept: tuple[int, ...]
    asked: tuple[bool, ...]
    moving: tuple[bool, ...]

    def __call__(self, values: Values) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = _Replay.apply(self, *values.values())
        return outputs

    def run(self, inputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> list[Tensor | None]:
        """Outputs and gradients."""
        results = self.forward(*inputs)
        outputs, saved = results[: len(self.moving)], results[len(self.moving) :]
        return [*outputs, *self.backward(*(inputs[index] for index in self.kept), *saved, *upstream)]

    def agrees(self, function: Callable[..., tuple[Tensor, ...]], values: Values, *fixed: Hashable) -> bool:
        """Whether outputs and gradients are the function's own to the bit, and a :class:`Watch` has nothing against it."""
        inputs = _inputs(values)
        with torch.enable_grad(), Watch() as watch:
            outputs = function(inputs, *fixed)
            upstream = [_varied(output) for output in outputs if output.requires_grad]
            expected = [*outputs, *_gradients(outputs, inputs, upstream)]
        if watch.problem:
            return False
        try:
            with torch.no_grad():
                replayed = self.run(list(values.values()), upstream)
        except (RuntimeError, TypeError):  # a kernel with a result that its caller may not leave out, say
            return False
        return all(_same(a, b) for a, b in zip(replayed, expected, strict=True))


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: Recording, *inputs: Tensor) -> tuple[Tensor, ...]:
        results: Any = recording.forward(*inputs)
        outputs = results[: len(recording.moving)]
        ctx.recording = recording
        ctx.set_materialize_grads(False)  # or results without a gradient would get zeros, which may be large
        ctx.shapes = [output.shape for output, moves in zip(outputs, recording.moving, strict=True) if moves]
        ctx.types = [output.dtype for output, moves in zip(outputs, recording.moving, strict=True) if moves]
        ctx.save_for_backward(*(inputs[index] for index in recording.kept), *results[len(outputs) :])
        ctx.mark_non_differentiable(*(output for output, moves in zip(outputs, recording.moving, strict=True) if not moves))
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        recording = ctx.recording
        given = [gradient for gradient, moves in zip(gradients, recording.moving, strict=True) if moves]
        outputs = zip(given, ctx.shapes, ctx.types, strict=True)
        upstream = (torch.zeros(shape, dtype=kind) if value is None else value.contiguous() for value, shape, kind in outputs)
        of_inputs = iter(recording.backward(*ctx.saved_tensors, *upstream))
        return None, *(next(of_inputs) if asked else None for asked in recording.asked)
