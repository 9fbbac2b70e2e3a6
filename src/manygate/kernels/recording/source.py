"""Recorded calls as the source of a Python function, compiled.

Its names: ``v`` roots, ``o`` where a parameter begins in its memory, ``k`` kernels, ``c`` constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from manygate.kernels.recording.tape import Call, Tape, View

Kernels = Callable[..., tuple[Tensor | None, ...]]


def written(
    tape: Tape, calls: Sequence[Call], parameters: Sequence[int], results: Sequence[View | None], apart: bool = False
) -> Kernels:
    """The calls as a function of some roots; other roots that no call made are constants.

    ``apart``: no result lies in the memory of another, or of a parameter.
    """
    return _Writer(tape, parameters).function(calls, results, apart)


class _Writer:
    def __init__(self, tape: Tape, parameters: Sequence[int]):
        self.tape, self.parameters = tape, list(parameters)
        self.values: dict[str, Any] = {"view": torch.as_strided}
        self.names: dict[int, str] = {}
        self.begun: dict[int, str] = {}

    def function(self, calls: Sequence[Call], results: Sequence[View | None], apart: bool) -> Kernels:
        returned = {view.root for view in results if view is not None}
        last = {root: index for index, call in enumerate(calls) for root in (*call.reads, *call.makes)}
        lines = []
        for index, call in enumerate(calls):
            lines.append(self._call(call))
            done = [f"v{root}" for root, at in last.items() if at == index and root not in returned | self.tape.given]
            lines += [f"del {', '.join(done)}"] if done else []
        answer = self._results(results, apart)
        begun = [f"{name} = v{root}.storage_offset()" for root, name in self.begun.items()]
        body = "".join(f"    {line}\n" for line in [*begun, *lines, f"return ({answer})"])
        source = f"def recorded({', '.join(f'v{root}' for root in self.parameters)}):\n{body}"
        exec(compile(source, "<recording>", "exec"), self.values)
        recorded: Kernels = self.values["recorded"]
        return recorded

    def _results(self, results: Sequence[View | None], apart: bool) -> str:
        text, taken = "", self.tape.given | set(self.parameters)
        for view in results:
            copy = apart and view is not None and view.root in taken
            text += self._text(view) + (".clone(), " if copy else ", ")
            taken |= set() if view is None else {view.root}
        return text

    def _call(self, call: Call) -> str:
        arguments = [self._text(value) for value in call.arguments]
        arguments += [f"{name}={self._text(value)}" for name, value in call.named.items()]
        made = ", ".join(f"v{root}" if root >= 0 else "_" for root in call.results) + ("," if call.listed else "")
        return f"{made} = " * bool(call.makes) + f"{self._name('k', quick(call.kernel))}({', '.join(arguments)})"

    def _text(self, value: Any) -> str:
        if isinstance(value, View):
            return self._view(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(self._text, value)) + "]"
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
            return repr(value)
        return self._name("c", value)

    def _view(self, view: View) -> str:
        root, parameter = self.tape.roots[view.root], view.root in self.parameters
        constant = view.root in self.tape.given and not parameter
        name = self._name("c", root) if constant else f"v{view.root}"
        if view == self.tape.whole(view.root):
            return name
        if parameter:  # which may begin elsewhere in the next call
            start = self.begun.setdefault(view.root, f"o{view.root}")
            return f"view({name}, {view.size}, {view.stride}, {start} + {view.offset})"
        return f"view({name}, {view.size}, {view.stride}, {view.offset + int(root.storage_offset())})"

    def _name(self, letter: str, value: Any) -> str:
        name = self.names.setdefault(id(value), f"{letter}{len(self.names)}")
        self.values[name] = value  # which keeps it, and so its id
        return name


def quick(kernel: Any) -> Any:
    """The same kernel by PyTorch's own binding, where it has one: that takes its arguments in half the time."""
    return getattr(torch, kernel.overloadpacket.__name__) if kernel.overloadpacket.__name__ in QUICK else kernel


QUICK = {
    *("add", "sub", "mul", "div", "neg", "exp", "log", "sum", "where", "relu", "relu_", "clamp_min", "bmm", "mm", "addmm", "cat"),
    *("_softmax", "_softmax_backward_data", "sigmoid", "sqrt", "square", "stack", "maximum", "minimum"),
}
"""Names of functions whose arguments are the kernel's own."""
