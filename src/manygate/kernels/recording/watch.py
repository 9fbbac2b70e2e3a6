"""A look at one call of a function: does anything decide or change that a recording could not follow?

A recording replays kernels. It cannot follow Python that counts calls, reads a clock, draws random numbers, reads numbers out of
tensors past PyTorch's dispatcher, or has an effect beyond its results. :class:`Watch` sees every Python function that one call
runs, and refuses the call unless each of them is PyTorch's, this package's, or plainly free of such things. It refuses too much
rather than too little: what is refused runs as it is, which is slower and never wrong.
"""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Collection, Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from manygate.kernels.recording.tape import UnrecordableError

PACKAGE = Path(__file__).parents[2]
TRUSTED = (f"{Path(torch.__file__).parent}/", f"{PACKAGE}/", "<recording>")
PURE = {"torch", PACKAGE.name, "builtins", "math", "itertools", "functools", "operator", "collections", "typing", "enum", "abc"}
PURE |= {"contextlib", "_operator", "_functools", "_collections", "__future__", "types", "dataclasses"}
"""Packages whose functions, called with the same arguments, do the same and nothing else (but for those below)."""
IMPURE = {"next", "setattr", "delattr", "exec", "eval", "compile", "open", "input", "print", "globals", "vars", "id", "hash"}
IMPURE |= {"__import__", "breakpoint", "anext", "memoryview"}
WRITES = {"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL"}
READERS = {"tolist", "numpy", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "storage"}
READERS |= {"__reduce_ex__", "__deepcopy__", "register_hook", "register_post_accumulate_grad_hook"}
"""Methods that read a tensor's memory without a kernel, or run Python later."""
DEPTH, MANY = 30, 10_000


class Watch(TorchFunctionMode):
    """Says in ``problem`` why what ran inside the block could not be recorded; the problem is empty where it could.

    >>> def counts(x, calls=[]):
    ...     calls.append(x)
    ...     return x * len(calls)
    >>> with Watch() as watch:
    ...     y = counts(torch.ones(2))
    >>> watch.problem
    "counts changes 'calls'"
    """

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""
        self.before: dict[tuple[CodeType, str], tuple[Any, object]] = {}
        self.codes: set[CodeType] = set()

    def __enter__(self) -> Watch:
        super().__enter__()
        self.drawn, self.profile, self.outside = torch.get_rng_state(), sys.getprofile(), sys._getframe(1)
        self.collects = gc.isenabled()
        gc.disable()  # callbacks of the collector run in the middle of the function and are no part of it
        sys.setprofile(self._event)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        sys.setprofile(self.profile)
        if self.collects:
            gc.enable()
        del self.outside
        super().__exit__(kind, error, trace)
        if kind is not None:
            return
        try:
            for (code, name), (value, state) in self.before.items():
                self._refuse("" if _state(value) == state else f"{code.co_name} changes {name!r}")
        except UnrecordableError as problem:
            self._refuse(str(problem))
        self._refuse("" if torch.equal(self.drawn, torch.get_rng_state()) else "random numbers are drawn")

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if getattr(func, "__name__", "") in READERS:
            self._refuse(f"{func.__name__} is called")
        return func(*args, **(kwargs or {}))

    def _refuse(self, problem: str) -> None:
        self.problem = self.problem or problem

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if self.problem or event not in ("call", "c_call") or _trusted(frame):
            return
        try:
            if event == "c_call":
                self._refuse(_foreign(argument))
            elif frame.f_code not in self.codes:
                self.codes.add(frame.f_code)
                self._enter(frame)
        except UnrecordableError as error:
            self._refuse(str(error))

    def _enter(self, frame: FrameType) -> None:
        """Check a function that is about to run, and note the state of all that it can reach and change and that outlives the call.

        What a function that was noted gives to another is in reach of the first, or was made in this call.
        """
        code = frame.f_code
        self._refuse(_writes(code))
        reached = dict(frame.f_locals) if _trusted(frame.f_back) or frame.f_back is self.outside else {}
        if not _nested(frame):
            reached |= {name: value for name, value in frame.f_locals.items() if name in code.co_freevars}
        reached.pop(".0", None)  # of a comprehension; what it goes through is in reach of the function around it
        for name in _globals(code):
            if name not in frame.f_globals:
                self._refuse(f"{code.co_name} calls {name}" if name in IMPURE else "")
                continue
            reached[name] = frame.f_globals[name]
            self._refuse(_foreign(reached[name]) if isinstance(reached[name], ModuleType | BuiltinFunctionType) else "")
        for name, value in reached.items():
            self.before[code, name] = value, _state(value)


def _trusted(frame: FrameType | None) -> bool:
    """Whether a running function is PyTorch's, this package's, or of the standard library and run for one of them."""
    while frame is not None and not frame.f_code.co_filename.startswith(TRUSTED):
        package = _package(frame.f_globals.get("__name__", ""))
        if package not in sys.stdlib_module_names:
            return False
        if package in PURE:
            return True
        frame = frame.f_back
    return frame is not None


def _nested(frame: FrameType) -> bool:
    """Whether a function is defined within one that is running, whose variables it then reads."""
    around = frame.f_back
    while around is not None and not any(constant is frame.f_code for constant in around.f_code.co_consts):
        around = around.f_back
    return around is not None


@cache
def _writes(code: CodeType) -> str:
    """What a function writes that outlives its call."""
    for step in dis.get_instructions(code):
        if step.opname in WRITES or (step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars):
            return f"{code.co_name} sets {step.argval!r}"
        if step.opname == "IMPORT_NAME" and str(step.argval).partition(".")[0] not in PURE:
            return f"{code.co_name} imports {step.argval!r}"
    return ""


@cache
def _globals(code: CodeType) -> frozenset[str]:
    return frozenset(str(step.argval) for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))


def _foreign(value: Any) -> str:
    """Why a module or a compiled function cannot be relied on."""
    if isinstance(value, ModuleType):
        python_source = (getattr(value, "__file__", None) or "").endswith(
            ".py"
        )  # the functions of Python modules are looked at when they run
        standard = _package(value.__name__) in sys.stdlib_module_names
        pure = _package(value.__name__) in PURE or (python_source and not standard and not hasattr(value, "__path__"))
        return "" if pure else f"module {value.__name__}"
    owner = getattr(value, "__objclass__", None) or type(getattr(value, "__self__", None))
    home = getattr(value, "__module__", None) or (owner.__module__ if isinstance(owner, type) else "")
    if getattr(value, "__name__", "") in IMPURE or _package(str(home)) not in PURE:
        return f"{getattr(value, '__qualname__', value)} is called"
    return ""


def _package(name: str) -> str:
    return name.partition(".")[0]


def _state(value: Any, above: tuple[int, ...] = ()) -> object:
    """All that Python could change about a value, comparable; raises where that cannot be told. ``above``: what it lies in."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | range | slice):
        return type(value), value if value == value else "nan"
    if isinstance(value, Tensor | type | ModuleType | BuiltinFunctionType) or id(value) in above:
        return id(value)  # the tape sees what is written into tensors
    if len(above) > DEPTH:
        raise UnrecordableError("values lie too deep in each other")
    above = (*above, id(value))
    if isinstance(value, MethodType):
        return _state(value.__self__, above), _state(value.__func__, above)
    if isinstance(value, FunctionType):
        return id(value), *_of_function(value, above)
    if hasattr(value, "__next__"):
        raise UnrecordableError("an iterator goes on from call to call")
    if isinstance(value, Collection) and not isinstance(value, nn.Module):
        return 0 if isinstance(value, tuple) else id(value), *_items(value, above)
    return _of_object(value, above)


def _of_function(value: FunctionType, above: tuple[int, ...]) -> Iterator[object]:
    """Its defaults, and the variables around it."""
    if not value.__code__.co_filename.startswith(TRUSTED):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        for item in (value.__defaults__, value.__kwdefaults__, *cells):
            yield _state(item, above)


def _items(value: Any, above: tuple[int, ...]) -> Iterator[object]:
    if len(value) > MANY:
        raise UnrecordableError("a container is too long to be watched")
    for item in value.items() if isinstance(value, Mapping) else sorted(value, key=id) if isinstance(value, Set) else value:
        yield _state(item, above)


def _of_object(value: Any, above: tuple[int, ...]) -> object:
    kind = type(value)
    if _package(kind.__module__) == PACKAGE.name or (_package(kind.__module__) == "torch" and not isinstance(value, nn.Module)):
        return id(value)
    if not hasattr(value, "__dict__"):
        if _package(kind.__module__) in PURE:
            return id(value)
        raise UnrecordableError(f"a {kind.__qualname__} has a state that cannot be seen")
    seen = ((name, vars(value)[name]) for name in sorted(vars(value)) if name != "_parameters")  # replaced while it runs
    return id(value), *((name, _state(item, above)) for name, item in seen)
