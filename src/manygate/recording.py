"""A differentiable function of tensors, recorded once as the kernels that it calls, and then run without what is around them.

A training step of a small model calls a hundred kernels of some ten microseconds; between them Python, ``torch.vmap`` and autograd
take as long again. On the third call with tensors of the same shapes a :class:`Recorder` writes down every kernel of the forward
and of the backward pass, below autograd. What only describes memory is left out: a view becomes a place in the memory that it looks
at. The two lists become two plain Python functions, which call the same kernels on the same numbers in the same order, so that
results are the same to the bit; a recording is kept only if outputs and gradients equal the function's own on the tensors at hand.

A recording cannot follow what the numbers decide: a function that reads a value into Python, makes a tensor whose shape depends on
values or draws random numbers is never recorded and runs as it is, and so does one that takes much memory. Nor can it follow what
Python alone decides from call to call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import TorchDispatchMode

Values = dict[str, Tensor]
Kernels = Callable[..., tuple[Tensor | None, ...]]
EAGER_CALLS = 2
"""Calls with the same shapes before one is recorded: what the first ones make and keep (caches) is no part of a step."""
LARGEST = 2**29
"""Bytes that a function may use for itself. Recording holds all of them at once, and gains nothing where kernels take long."""


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

    def __call__(self, values: Values, *fixed: Hashable) -> tuple[Tensor, ...]:
        if torch.is_autocast_enabled("cpu"):  # which would act on recorded kernels, too
            return self.function(values, *fixed)
        changing = (value for name, value in values.items() if name not in self.steady)
        key = (*fixed, *values, *((v.shape, v.stride(), v.dtype, v.requires_grad, v.is_leaf) for v in changing))
        if key not in self.recordings:
            self.calls[key] = self.calls.get(key, 0) + 1
            if self.calls[key] <= EAGER_CALLS:
                return self.function(values, *fixed)
            self.recordings[key] = record(self.function, values, *fixed)
        recording = self.recordings[key]
        return self.function(values, *fixed) if recording is None else recording(values)


def record(function: Callable[..., tuple[Tensor, ...]], values: Values, *fixed: Hashable) -> Recording | None:
    """A recording of ``function(values, *fixed)``; None where there can be none, or where it would not give the same bits."""
    try:
        recording = _traced(function, _inputs(values), *fixed)
    except (UnrecordableError, RuntimeError, TypeError):  # not all that runs without a tape runs under one
        return None
    inputs = _inputs(values)
    with torch.enable_grad():
        outputs = function(inputs, *fixed)
    upstream = _upstream(outputs)
    expected = [*outputs, *_gradients(outputs, inputs, upstream)]
    try:
        with torch.no_grad():
            found = recording.run(list(values.values()), upstream)
    except (RuntimeError, TypeError):  # a kernel with a result that its caller may not leave out, say
        return None
    return recording if all(map(_same, found, expected)) else None


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


def _gradients(outputs: Sequence[Tensor], inputs: Values, upstream: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Of the inputs that have any, given those of the outputs."""
    moving, asked = ([value for value in given if value.requires_grad] for given in (outputs, inputs.values()))
    with torch.enable_grad():
        return torch.autograd.grad(_End.apply(upstream, *moving), asked, allow_unused=True) if moving else [None for _ in asked]


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
        found = _gradients(outputs, values, upstream)
    gradients = [None if gradient is None else tape.view(gradient) for gradient in found]
    second = needed(tape.calls[middle:], gradients)
    read = {root for call in second for root in call.reads} | {view.root for view in gradients if view is not None}
    own = sorted(read & {root for call in tape.calls[:middle] for root in call.makes})
    kept = [index for index, view in enumerate(inputs) if view.root in read]
    results = [*made, *(tape.whole(root) for root in own)]
    return Recording(
        tape.function(needed(tape.calls[:middle], results), [view.root for view in inputs], results),
        tape.function(
            second, [*(inputs[index].root for index in kept), *own, *(view.root for view in ahead)], gradients, apart=True
        ),
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
        outputs, own = results[: len(self.moving)], results[len(self.moving) :]
        return [*outputs, *self.backward(*(inputs[index] for index in self.kept), *own, *upstream)]


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: Recording, *inputs: Tensor) -> tuple[Tensor, ...]:
        results: Any = recording.forward(*inputs)
        outputs = results[: len(recording.moving)]
        ctx.recording = recording
        ctx.save_for_backward(*(inputs[index] for index in recording.kept), *results[len(outputs) :])
        ctx.mark_non_differentiable(*(output for output, moves in zip(outputs, recording.moving, strict=True) if not moves))
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        recording = ctx.recording
        upstream = (gradient.contiguous() for gradient, moves in zip(gradients, recording.moving, strict=True) if moves)
        found = iter(recording.backward(*ctx.saved_tensors, *upstream))
        return None, *(next(found) if asked else None for asked in recording.asked)


class _End(torch.autograd.Function):
    """A number of which the outputs' gradients are those given. (For ``grad_outputs`` torch would import sympy, half a second.)"""

    @staticmethod
    def forward(ctx: Any, upstream: Sequence[Tensor], *outputs: Tensor) -> Tensor:
        ctx.upstream = upstream
        return torch.zeros(())

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.upstream


class UnrecordableError(Exception):
    """What a function does depends on more than the shapes of what it is given."""


@dataclass(frozen=True)
class View:
    """A place in the memory of a root, counted from the root's own beginning; roots are numbered as they appear."""

    root: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Call:
    """A kernel with its arguments, in which tensors are views."""

    kernel: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    results: tuple[int, ...]
    """The root that each result is, -1 for what lies in an argument's memory."""
    changes: tuple[int, ...]
    """Roots that it writes into."""
    listed: bool
    """Whether it returns several tensors, if only one."""

    @property
    def makes(self) -> tuple[int, ...]:
        return tuple(root for root in self.results if root >= 0)

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(view.root for view in _leaves((self.arguments, self.named)) if isinstance(view, View))


def needed(calls: Sequence[Call], results: Sequence[View | None]) -> list[Call]:
    """The calls without which the results would be others."""
    kept, wanted = [], {view.root for view in results if view is not None}
    for call in reversed(calls):
        if not wanted.isdisjoint((*call.makes, *call.changes)):
            kept.append(call)
            wanted.update(call.reads)
    return kept[::-1]


class Tape(TorchDispatchMode):
    """Writes down the kernels called under it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.roots: list[Tensor] = []
        self.given: set[int] = set()
        self.used = 0
        self._views: dict[int, View] = {}
        self._alive: list[Tensor] = []

    def give(self, value: Tensor) -> View:
        """Take in a tensor that no call made: an input, or a constant."""
        self.given.add(len(self.roots))
        return self._root(value)

    def view(self, value: Tensor) -> View:
        """Where a tensor lies; one that was never seen is a constant."""
        if id(value) not in self._views and value.requires_grad:
            raise UnrecordableError("a tensor that learns is not among the values")
        return self._views.get(id(value)) or self.give(value)

    def whole(self, root: int) -> View:
        return self._views[id(self.roots[root])]

    def _root(self, value: Tensor) -> View:
        self.roots.append(value)
        return self._place(value, len(self.roots) - 1)

    def _place(self, value: Tensor, root: int) -> View:
        self._alive.append(value)  # so that no other tensor gets its id
        offset = int(value.storage_offset()) - int(self.roots[root].storage_offset())
        self._views[id(value)] = View(root, tuple(value.shape), value.stride(), offset)
        return self._views[id(value)]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped, torch would import its compiler, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if not _UNRECORDABLE.isdisjoint(func.tags):
            raise UnrecordableError(f"{func} depends on values or on chance")
        result = func(*args, **kwargs)
        self._write(func, args, kwargs, result)
        return result

    def _write(self, kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        arguments, named, results = _mapped(args, self.view), _mapped(kwargs, self.view), list(_leaves(result))
        tensors = [value for value in _leaves((args, kwargs)) if isinstance(value, Tensor)]
        homes = [next((self.view(a).root for a in tensors if _same_memory(a, value)), None) for value in results]
        changes = tuple(home for home in homes if home is not None) if kernel._schema.is_mutable else ()
        if kernel._schema.is_mutable and (len(changes) < max(len(homes), 1) or not self.given.isdisjoint(changes)):
            raise UnrecordableError(f"{kernel} changes what it is given")
        made = tuple(self._take(value, home) for value, home in zip(results, homes, strict=True))
        if any(root >= 0 for root in made) or any(value.numel() for value in results if changes):
            self.calls.append(Call(kernel, arguments, named, made, changes, not isinstance(result, Tensor)))

    def _take(self, value: Tensor | None, home: int | None) -> int:
        """Note a result; the root that it is, if it is one."""
        if value is not None and home is not None:
            self._place(value, home)
        if value is None or home is not None:
            return -1
        self.used += value.nbytes
        if self.used > LARGEST:
            raise UnrecordableError("it takes too much memory")
        return self._root(value).root

    def function(self, calls: Sequence[Call], given: Sequence[int], results: Sequence[View | None], apart: bool = False) -> Kernels:
        """The calls as a Python function of the roots given; other roots that no call made are constants.

        ``apart``: no result lies in the memory of another, or of what is given.
        """
        return _Writer(self, given, apart).function(calls, results)


_UNRECORDABLE = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
    torch.Tag.inplace_view,
}


class _Writer:
    """Writes calls as a Python function. Its names: ``v`` roots, ``o`` where an input begins, ``k`` kernels, ``c`` what else."""

    def __init__(self, tape: Tape, given: Sequence[int], apart: bool):
        self.tape, self.given, self.apart, self.taken = tape, list(given), apart, set(given)
        self.names: dict[str, Any] = {"view": torch.as_strided}
        self.begun: dict[int, str] = {}
        self.lines: list[str] = []

    def function(self, calls: Sequence[Call], results: Sequence[View | None]) -> Kernels:
        returned = {view.root for view in results if view is not None}
        last = {root: index for index, call in enumerate(calls) for root in (*call.reads, *call.makes)}
        for index, call in enumerate(calls):
            self._call(call)
            done = [f"v{root}" for root, at in last.items() if at == index and root not in returned and root not in self.tape.given]
            if done:
                self.lines.append(f"del {', '.join(done)}")
        answer = "".join(f"{self._result(view)}, " for view in results)
        begun = [f"{name} = v{root}.storage_offset()" for root, name in self.begun.items()]
        body = "".join(f"    {line}\n" for line in [*begun, *self.lines, f"return ({answer})"])
        source = f"def recorded({', '.join(f'v{root}' for root in self.given)}):\n{body}"
        exec(compile(source, "<recording>", "exec"), self.names)
        recorded: Kernels = self.names["recorded"]
        return recorded

    def _result(self, view: View | None) -> str:
        if view is None or not self.apart:
            return self._text(view)
        shared = view.root in self.tape.given or view.root in self.taken
        self.taken.add(view.root)
        return self._text(view) + (".clone()" if shared else "")

    def _call(self, call: Call) -> None:
        arguments = [self._text(value) for value in call.arguments]
        arguments += [f"{name}={self._text(value)}" for name, value in call.named.items()]
        made = ", ".join(f"v{root}" if root >= 0 else "_" for root in call.results) + ("," if call.listed else "")
        target = f"{made} = " if call.makes else ""
        self.lines.append(f"{target}{self._name('k', quick(call.kernel))}({', '.join(arguments)})")

    def _text(self, value: Any) -> str:
        if isinstance(value, View):
            return self._view(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(self._text, value)) + "]"
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
            return repr(value)
        return self._name("c", value)

    def _view(self, view: View) -> str:
        root, start = self.tape.roots[view.root], ""
        name = f"v{view.root}" if view.root in self.given or view.root not in self.tape.given else self._name("c", root.detach())
        if view == self.tape.whole(view.root):
            return name
        if view.root in self.given:
            start = self.begun.setdefault(view.root, f"o{view.root}")
        offset = view.offset if start else view.offset + root.storage_offset()
        return f"view({name}, {view.size}, {view.stride}, {f'{start} + {offset}' if start else offset})"

    def _name(self, letter: str, value: Any) -> str:
        name = next((name for name, known in self.names.items() if known is value), f"{letter}{len(self.names)}")
        self.names[name] = value
        return name


def quick(kernel: Any) -> Any:
    """The same kernel by PyTorch's own binding, where it has one: that takes its arguments in half the time."""
    return getattr(torch, kernel.overloadpacket.__name__) if kernel.overloadpacket.__name__ in QUICK else kernel


QUICK = {
    *("add", "sub", "mul", "div", "neg", "exp", "log", "sum", "where", "relu", "relu_", "clamp_min", "bmm", "mm", "addmm", "cat"),
    *("_softmax", "_softmax_backward_data", "sigmoid", "sqrt", "square", "stack", "maximum", "minimum"),
}
"""Names of functions whose arguments are the kernel's own."""


def _same_memory(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and a.dtype == b.dtype and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _leaves(value: Any) -> Iterator[Any]:
    """What lies in tuples, lists and dictionaries within each other."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value


def _mapped(value: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, change) for item in value)
    return {name: _mapped(item, change) for name, item in value.items()} if isinstance(value, dict) else value
