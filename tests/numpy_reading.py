"""The papers' equations read once more in NumPy: one row at a time, one expert at a time, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from manygate.layers.experts import Experts
from manygate.layers.gate import Gates, GateSettings
from manygate.layers.mixture import Mixture
from manygate.layers.tower import Towers
from manygate.layers.units import Units

Floats = NDArray[np.float64]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
GATE = GateSettings()
GATES = {
    "softmax": GATE,
    "softmax, warm, with bias": GateSettings(temperature=2.5, bias=True),
    "topk": GateSettings(kind="topk", k=2, temperature=0.7),
    "topk with bias": GateSettings(kind="topk", k=2, bias=True),
    "dselect_k": GateSettings(kind="dselect_k", k=2, temperature=3.0, bias=True),
}


def shaken(module: Any, seed: int = 0, scale: float = 0.7) -> Any:
    """In float64 and evaluation, with every parameter (biases too) away from zero."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def rows(size: int, inputs: int, seed: int = 9) -> torch.Tensor:
    return torch.randn(size, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def count(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().numpy().astype(np.float64)


def agree(found: torch.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(array(found), np.array(expected), **CLOSE)


class Net(NamedTuple):
    """One MLP: weights and biases of its layers, ReLU after each; with ``norm`` (gain, shift) the last ends in norm and Swish."""

    layers: list[tuple[Floats, Floats]]
    norm: tuple[Floats, Floats] | None = None

    def __call__(self, x: Floats) -> Floats:
        for number, (weight, bias) in enumerate(self.layers, start=1):
            x = x @ weight + bias
            if self.norm is not None and number == len(self.layers):
                gain, shift = self.norm
                x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift
                x = x / (1 + np.exp(-x))
            else:
                x = np.maximum(x, 0.0)
        return x


def nets(bank: Experts) -> list[Net]:
    """The networks of a bank, those of the first input first."""
    weight, bias, width = bank.weight, bank.bias, bank.hidden[0]
    found: list[Net] = []
    if not bank.experts:
        return found
    for s in range(bank.side_by_side):
        matrix, offset = (array(weight), array(bias)) if bank.side_by_side == 1 else (array(weight)[s], array(bias)[s])
        for e in range(bank.experts):
            n, own = s * bank.experts + e, slice(e * width, (e + 1) * width)
            deeper = [(array(w)[n], array(b)[n, 0]) for w, b in zip(bank.deeper.weights, bank.deeper.biases, strict=True)]
            norm = bank.norm if bank.norm is not None else bank.deeper.norm
            found.append(
                Net([(matrix[:, own], offset[own]), *deeper], None if norm is None else (array(norm.gain)[n], array(norm.bias)[n]))
            )
    return found


def unit_nets(units: Units) -> list[Net]:
    """The networks of a stack of units."""
    stack = list(zip(units.weights, units.biases, strict=True))
    return [Net([(array(w)[n], array(b)[n, 0]) for w, b in stack]) for n in range(len(stack[0][0]))]


def columns(bank: Experts) -> list[Floats]:
    """The linear columns of each input of a bank."""
    weight = array(bank.weight)[..., bank.first_units :]
    return [weight] if bank.side_by_side == 1 else list(weight)


def softmax(z: Any) -> Floats:
    e = np.exp(np.asarray(z) - np.max(z))
    return e / e.sum()


def softplus(z: Floats) -> Floats:
    return np.logaddexp(0.0, z)


def units_of(settings: GateSettings, experts: int) -> int:
    """How many linear columns a gate over so many experts has."""
    if experts == 1:
        return 0
    mixed = settings.k if settings.k > 1 else 0
    return {"softmax": experts, "topk": 2 * experts, "dselect_k": settings.k * ceil(log2(experts)) + mixed}[settings.kind]


def gate_weights(settings: GateSettings, linear: Floats, experts: int, noise: Floats | float = 0.0) -> Floats:
    """g(x) over the experts that a gate sees, from its linear columns."""
    if experts == 1:
        return np.ones(1)
    if settings.kind == "softmax":
        return softmax(linear / settings.temperature)
    if settings.kind == "topk":  # Shazeer et al. 2017, equations 3 to 5
        h = linear[:experts] + noise * softplus(linear[experts:])
        keep = sorted(range(experts), key=lambda i: -h[i])[: settings.k]
        g = np.zeros(experts)
        g[keep] = softmax(h[keep] / settings.temperature)
        return g
    mixed = softmax(linear[-settings.k :]) if settings.k > 1 else np.ones(1)
    return mixed @ selectors(settings, linear, experts)  # DSelect-k, equation 5


def selectors(settings: GateSettings, linear: Floats, experts: int) -> Floats:
    """What each selector of DSelect-k chooses, (k, experts); codes beyond the experts start again at the first."""
    bits = ceil(log2(experts))
    chosen = np.zeros((settings.k, experts))
    for i in range(settings.k):
        z = linear[i * bits : (i + 1) * bits] / settings.temperature
        step = [0.0 if t <= -0.5 else 1.0 if t >= 0.5 else -2 * t**3 + 1.5 * t + 0.5 for t in z]
        for code in range(2**bits):
            probability = 1.0
            for b in range(bits):
                probability *= step[b] if code >> b & 1 else 1 - step[b]
            chosen[i, code if code < experts else code - experts] += probability
    return chosen


class Reading:
    """A level taken apart: ``experts[s]`` are the networks of group s, ``gate(g, x)`` what gate g gives those that it sees.

    ``groups`` are the numbers of experts of the level's groups and ``sees`` the experts of each gate, both as the paper has them;
    ``own`` tells that each group, and its gate, reads an input of its own.
    """

    def __init__(self, level: Mixture, groups: Sequence[int], sees: Sequence[Sequence[int]], settings: GateSettings, own: bool):
        self.settings, self.sees = settings, [list(seen) for seen in sees]
        made = [*level.gates.sees, *[()] * len(self.sees)]  # a gate that nothing reads is not made, or sees nothing
        self.blank = [not made[g] for g in range(len(self.sees))]
        self.experts: list[list[Net]] = [[] for _ in groups]
        flat: list[Floats] = []
        for bank, run in zip(level.banks, level.readers, strict=True):
            assert isinstance(bank, Experts)
            found = nets(bank)
            for s in run:
                self.experts[s], found = found[: groups[s]], found[groups[s] :]
            assert not found
            flat += columns(bank)
        if level.gate_weight is not None:
            assert all(part.shape[1] == 0 for part in flat)
            flat = [array(level.gate_weight)]
        units = [0 if blank else units_of(settings, len(seen)) for seen, blank in zip(self.sees, self.blank, strict=True)]
        offset = np.zeros(sum(units)) if level.gates.bias is None else array(level.gates.bias)
        self.biases = np.split(offset, np.cumsum(units)[:-1])
        if own and level.gate_weight is None:
            owners = [part for part in flat if part.shape[1]]
            self.matrices = [owners.pop(0) if unit else np.zeros((0, 0)) for unit in units]
            assert not owners
        else:
            self.matrices = np.split(np.concatenate(flat, axis=1), np.cumsum(units)[:-1], axis=1)
        assert [matrix.shape[1] for matrix in self.matrices] == units

    def linear(self, g: int, x: Floats) -> Floats:
        return x @ self.matrices[g] + self.biases[g] if self.matrices[g].shape[1] else np.zeros(0)

    def gate(self, g: int, x: Floats, noise: Floats | float = 0.0) -> Floats:
        if self.blank[g]:
            return np.zeros(len(self.sees[g]))
        return gate_weights(self.settings, self.linear(g, x), len(self.sees[g]), noise)

    def row(self, g: int, x: Floats, noise: Floats | float = 0.0) -> Floats:
        """Gate g as a row over all experts of the level."""
        row = np.zeros(sum(map(len, self.experts)))
        row[self.sees[g]] = self.gate(g, x, noise)
        return row


def weighted(gate: Floats, outputs: Sequence[Floats]) -> Floats:
    """sum_i g_i f_i (MMoE equation 7)."""
    assert len(gate) == len(outputs)
    total: Any = 0.0
    for g, f in zip(gate, outputs, strict=True):
        total = total + g * f
    return np.asarray(total)


def tower(h: Floats, towers: Towers, t: int) -> float:
    """h_k of equation 6."""
    for weight, bias in zip(towers.hidden.weights, towers.hidden.biases, strict=True):
        h = np.maximum(h @ array(weight)[t] + array(bias)[t, 0], 0.0)
    return float(h @ array(towers.weight)[t] + array(towers.bias)[t])


def variation(values: Sequence[float]) -> float:
    """CV^2."""
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / len(values) / mean**2


def drawn(module: torch.nn.Module, size: int, seed: int = 0) -> None:
    """Training, with the numbers of every module that draws some set by hand."""
    from manygate.layers.units import Drawn, Dropout

    generator = torch.Generator().manual_seed(seed)
    module.train()
    for part in module.modules():
        if isinstance(part, Drawn) and part.active:
            shape = (size, *part.shape)
            if isinstance(part, Dropout):
                part.drawn = (torch.rand(shape, generator=generator) >= part.rate) / (1 - part.rate)
            else:
                part.drawn = torch.randn(shape, generator=generator)


def all_gates(module: torch.nn.Module) -> list[Gates]:
    return [part for part in module.modules() if isinstance(part, Gates)]


def ple(x, model, levels, gate, chosen=()):
    """g^{k,L} of every task, and the tasks' gates of every level, of one row."""
    tasks = len(levels[0].task_experts)
    g = dict.fromkeys((*range(tasks), "s"), x)
    weights = []
    for j, level in enumerate(levels):
        groups = [*level.task_experts, level.shared_experts]
        first = [sum(groups[:s]) for s in range(tasks + 2)]
        own = {k: list(range(first[k], first[k + 1])) for k in range(tasks)}
        shared, above = list(range(first[tasks], first[tasks + 1])), any(later.shared_experts for later in levels[j + 1 :])
        sees = [own[k] + shared for k in range(tasks)] + ([list(range(sum(groups)))] if above else [])
        read = Reading(model.levels[j], groups if above or shared else groups[:-1], sees, gate, own=j > 0)
        at = {k: x[list(chosen)] if chosen else g[k] for k in g}
        e = {k: [f(g[k]) for f in read.experts[k]] for k in range(tasks)}
        e["s"] = [f(g["s"]) for f in read.experts[tasks]] if shared else []
        weights.append([read.row(k, at[k]) for k in range(tasks)])
        new = {k: weighted(read.gate(k, at[k]), e[k] + e["s"]) for k in range(tasks)}
        if above:
            everything = [f for k in range(tasks) for f in e[k]] + e["s"]
            new["s"] = weighted(read.gate(tasks, at["s"]), everything)
        g = new
    return [g[k] for k in range(tasks)], weights
