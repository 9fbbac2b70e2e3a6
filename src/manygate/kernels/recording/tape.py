"""The kernels that a function calls, below autograd and ``torch.vmap``, as a list.

A *root* is memory that one tensor owns: an input, a constant, or what a kernel made. Every other tensor is a view of a root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LARGEST = 2**29
"""Bytes that a function may use for itself. Recording holds all of them at once, and gains nothing where kernels take long."""


class UnrecordableError(RuntimeError):
    """What a function does depends on more than the shapes of what it is given."""


@dataclass(frozen=True)
class View:
    """A place in the memory of a root, from the root's own beginning on; roots are numbered as they appear."""

    root: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Call:
    """A kernel with its arguments, in which tensors are views."""

    kernel: Any
    arguments: tuple[Any, ...]
    named: Mapping[str, object]
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

    def _write(self, kernel: Any, args: tuple[Any, ...], kwargs: Mapping[str, object], result: Any) -> None:
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


_UNRECORDABLE = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
    torch.Tag.inplace_view,
}


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
