"""What a recording could not follow is seen in one call, however rarely it would show; what it can follow is let through."""

from __future__ import annotations

import functools
import gc
import itertools
import math
import random
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manygate.kernels.recording import Recorder, record
from manygate.kernels.recording.watch import Watch
from manygate.layers.experts import Experts

SEEN: list[int] = []
TABLE: dict[str, int] = {"calls": 0}
SHARES = (0.25, 0.75)
CALLS = 0


class Module(nn.Module):
    """Holds what the functions below count in."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.log, self.ring, self.numbers = 0, [0], deque([0], maxlen=3), itertools.count()
        self.shares, self.register = {"a": 0.5}, nn.Linear(3, 3)
        self.register_buffer("step", torch.zeros(()))


class CountsInAnAttribute(Module):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x if self.calls < 100 else 2 * x


class CountsInAList(Module):
    def forward(self, x: Tensor) -> Tensor:
        self.log.append(1)
        return x if len(self.log) < 100 else 2 * x


class CountsInADeque(Module):
    def forward(self, x: Tensor) -> Tensor:
        self.ring.append(self.ring[-1] + 1)
        return x if self.ring[-1] < 100 else 2 * x


class GoesOn(Module):
    def forward(self, x: Tensor) -> Tensor:
        for number in self.numbers:
            return x if number < 100 else 2 * x
        return x


class SetsByName(Module):
    def forward(self, x: Tensor) -> Tensor:
        setattr(self, "calls", self.calls + 1)  # noqa: B010 - it is what is tested
        return x


class ReplacesABuffer(Module):
    def forward(self, x: Tensor) -> Tensor:
        self.step = self.step + 1
        return x * self.step


class WritesIntoADictionary(Module):
    def forward(self, x: Tensor) -> Tensor:
        self.shares["a"] *= 0.99
        return x * self.shares["a"]


def counts_in_a_global(x: Tensor) -> Tensor:
    global CALLS
    CALLS += 1
    return x if CALLS < 100 else 2 * x


def counts_in_a_global_list(x: Tensor) -> Tensor:
    SEEN.append(1)
    return x if len(SEEN) < 100 else 2 * x


def counts_in_a_global_dictionary(x: Tensor) -> Tensor:
    TABLE["calls"] += 1
    return x if TABLE["calls"] < 100 else 2 * x


def counts_in_a_default(x: Tensor, calls: list[int] = []) -> Tensor:  # noqa: B006 - it is what is tested
    calls.append(1)
    return x if len(calls) < 100 else 2 * x


def counting() -> Callable[[Tensor], Tensor]:
    calls = 0

    def count(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x if calls < 100 else 2 * x

    return count


def called_by_another(x: Tensor) -> Tensor:
    return torch.vmap(counts_in_a_global_list)(x)


def draws_seldom(x: Tensor) -> Tensor:
    return 2 * x if random.random() < 1e-6 else x


def draws_by_numpy(x: Tensor) -> Tensor:
    return 2 * x if np.random.default_rng().random() < 1e-6 else x


def reads_a_clock(x: Tensor) -> Tensor:
    return 2 * x if time.time() < 0 else x


def imports(x: Tensor) -> Tensor:
    from random import random as draw

    return 2 * x if draw() < 1e-6 else x


def reads_a_list_of_numbers(x: Tensor) -> Tensor:
    return 2 * x if max(x.flatten().tolist()) > 1e6 else x


def reads_an_array(x: Tensor) -> Tensor:
    return 2 * x if x.detach().numpy().max() > 1e6 else x


def prints(x: Tensor) -> Tensor:
    print(x.shape)
    return x


def seeds(x: Tensor) -> Tensor:
    torch.manual_seed(int(x.shape[0]))
    return x


def leaves_a_hook(x: Tensor) -> Tensor:
    y = x * 2
    y.register_hook(lambda gradient: SEEN.append(1))
    return y


def counting_in_a_list() -> Callable[[Tensor], Tensor]:
    calls: list[int] = []

    def count(x: Tensor) -> Tensor:
        calls.append(1)
        return x if len(calls) < 100 else 2 * x

    return count


class CallsAFunctionOfItsOwn(Module):
    def __init__(self) -> None:
        super().__init__()
        self.function = counting_in_a_list()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


REFUSED = [
    *(counting_in_a_list(), CallsAFunctionOfItsOwn()),
    leaves_a_hook,
    *(kind() for kind in (CountsInAnAttribute, CountsInAList, CountsInADeque, GoesOn, SetsByName, ReplacesABuffer)),
    *(WritesIntoADictionary(), counts_in_a_global, counts_in_a_global_list, counts_in_a_global_dictionary),
    *(counts_in_a_default, counting(), called_by_another, draws_seldom, draws_by_numpy, reads_a_clock, imports),
    *(reads_a_list_of_numbers, reads_an_array, prints, seeds),
]


class Sound(Module):
    """Reads its attributes, loops, calls functions and makes lists; nothing outlives a call."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = None
        self.experts = Experts(3, 2, (3,))

    def forward(self, x: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for share in (*SHARES, *self.shares.values()):
            parts.append(self.register(x) * share * math.sqrt(len(parts) + 1))
        expert_BEH = self.experts(x)[0]
        y = torch.stack(parts).sum(dim=0)
        y[:, 0] = y[:, 0] * 2
        return mixed(y, rate=0.5) + expert_BEH.sum(dim=1)


def mixed(x: Tensor, rate: float) -> Tensor:
    return sum((rate * part for part in (x, x.relu())), torch.zeros(()))


def nested(x: Tensor) -> Tensor:
    def inner(part: Tensor) -> Tensor:
        return part * SHARES[0] + x.mean()

    return torch.vmap(inner)(x)


def takes_apart(x: Tensor) -> Tensor:
    """Changes a dictionary and a list of its own, by a generator and by another function."""
    state, parts = {"x": x, "y": 2 * x}, [x]
    first, second = (state.pop(name) for name in ("x", "y"))
    collect(parts, second)
    return torch.stack([first, *parts]).sum(dim=0)


def collect(parts: list[Tensor], x: Tensor) -> None:
    parts.append(x)


LET_THROUGH = [
    takes_apart,
    nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 3)))),
    Sound(),
    nested,
    functools.partial(mixed, rate=0.25),
    lambda x: x.softmax(dim=-1),
]


def named(function: object) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


@pytest.mark.parametrize("function", REFUSED, ids=named)
def test_what_counts_draws_reads_or_has_other_effects_is_refused(function) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with torch.random.fork_rng(), Watch() as watch:
        function(x)
    assert watch.problem


@pytest.mark.parametrize("function", REFUSED, ids=named)
def test_and_so_never_recorded_however_late_it_would_show(function) -> None:
    recorder = Recorder(lambda given: (function(given["x"]) * given["w"],))
    with torch.random.fork_rng():
        for _ in range(5):
            recorder({name: torch.randn(4, 3, requires_grad=True) for name in "xw"})
    assert list(recorder.recordings.values()) == [None]


def test_what_counts_counts_each_call_once() -> None:
    module = CountsInAnAttribute()
    recorder = Recorder(lambda given: (module(given["x"]),))
    for calls in range(1, 6):
        recorder({"x": torch.randn(4, 3)})
        assert module.calls == calls


@pytest.mark.parametrize("function", LET_THROUGH, ids=named)
def test_a_function_of_its_arguments_is_recorded(function) -> None:
    x = torch.randn(4, 3)
    with Watch() as watch:
        function(x)
    assert not watch.problem
    given = {"x": torch.randn(4, 3), "w": torch.ones(3, requires_grad=True)}
    if isinstance(function, nn.Module):
        function.requires_grad_(False)
    assert record(lambda values: (function(values["x"]) * values["w"],), given) is not None


def test_an_error_of_the_function_comes_through_and_the_profiler_before_is_put_back() -> None:
    import sys

    def profile(*_: object) -> None:
        return

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        with pytest.raises(KeyError), Watch():
            raise KeyError("inside")
        found = sys.getprofile()
    finally:
        sys.setprofile(before)
    assert found is profile


def test_callbacks_of_the_garbage_collector_are_no_part_of_the_function():
    """A collector that runs at every allocation, with a callback that keeps state, as test tools have."""
    runs = []
    gc.callbacks.append(lambda phase, info: runs.append(phase))
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        with Watch() as watch:
            torch.stack([torch.ones(2) * number for number in range(50)]).sum()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.pop()
    assert watch.problem == ""
    assert gc.isenabled()
