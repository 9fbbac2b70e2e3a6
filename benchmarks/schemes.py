"""Every sharing scheme, one training step at a time: Manygate, and torch-rechub 0.9.0 and DeepCTR-Torch 0.3.0 where they have it.

An environment for it is that of ``epoch.py``; then::

    .bench/bin/python benchmarks/schemes.py

Timed: forward, loss (binary cross-entropy), backward and Adam on a dense float32 input that is in memory already, with the same
widths and the same number of tasks; no data loading, no embedding tables, no metrics, no validation. A round times every library
in every cell, one after the other, and the ratio is taken within the cell and the round, so that a machine that slows down slows
them all down. Within a cell the libraries take turns in short blocks after a warm-up, and the median of the blocks counts.
PyTorch's threads spin while they wait for each other, so any other busy process costs far more than its share: a cell that
others disturbed waits for a quiet moment and is repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import io
import math
import os
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measure import (
    Timing,
    add_machine_options,
    machine,
    machine_lines,
    peaks,
    result_stem,
    shown,
    spread,
    timed,
    wait_until_quiet,
    write_results,
)
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.utils.flop_counter import FlopCounterMode

from manygate.architecture import Inputs, find_architecture
from manygate.config import ModelConfig
from manygate.kernels.recording import Recorder
from manygate.layers.experts import Experts
from manygate.layers.mixture import Mixture
from manygate.layers.tower import BiasTower, Towers
from manygate.layers.units import glorot
from manygate.model.trunk import Trunk
from manygate.objective.loss import Losses
from manygate.schema import Task

BLOCKS = 5
"""Measurements of one library in one cell and round, in turn with the others'; their median counts."""
EXPERTS, HIDDEN, TOWER, RATE, BATCHES = 8, 64, 32, 1e-3, 4
PEERS = ("torch-rechub", "deepctr-torch")
BARS = {"small": 2.0, "hard": 3.0, "large": 1.0, "large, geometric mean": 1.25}
OURS, BF16 = "manygate", "manygate, bf16"

INSIDE = {
    "all": "Forward, loss, gradients dropped, backward, Adam with rate 1e-3; float32. The input is a dense tensor (B, D) without a "
    "gradient of its own (`--input-gradient` asks for one, as embeddings below would); batches are in memory and take turns. "
    "Regularisation is not timed: both peers' `fit` walk all modules or weights for it in each step, even at zero.",
    "manygate": "`manygate.model.trunk.Trunk` (scheme and towers), "
    "the loss of the trainer (`manygate.objective.loss.Losses`, on logits, with row "
    "weights) and the scheme's penalty, recorded after two steps as the trainer does (`manygate.kernels.recording.Recorder`); "
    "`torch.optim.Adam(fused=True)`, which the library uses. Settings as below, dropout 0.",
    "torch-rechub": "Its model, unmodified, given one `DenseFeature` of width D (no embedding table; it costs a `cat` of one "
    "tensor); the loss of `MTLTrainer`: mean over tasks of `BCELoss` on probabilities. Adam as its trainer makes it, and with "
    "`fused=True` as the second figure.",
    "deepctr-torch": "Its model, unmodified, given one `DenseFeat` of width D; `gate_dnn_hidden_units=()` for linear gates, the "
    "loss of `BaseModel.fit`: the sum over tasks of `binary_cross_entropy(reduction='sum')`. Adam as its `compile` makes it, and "
    "with `fused=True` as the second figure.",
}

FAITHFUL = {
    "torch-rechub, all": "BatchNorm1d after every linear layer of experts, towers and gates (before the gates' softmax too); it "
    "cannot be left out. While training a row's gate then depends on its batch-mates, which is not equation 8 of MMoE, and a "
    "batch of one row fails. In eval mode it is an affine map, so that the weights can be folded into ours (`gate_bias=True`).",
    "torch-rechub, CGC": "No class of its own; it is `PLE(n_level=1)`, which is what is timed.",
    "deepctr-torch, CGC": "No class of its own; it is `PLE(num_levels=1)`, which also computes the shared gate and its mix that "
    "nothing reads (as every last level does).",
    "deepctr-torch, PLE": "`shared_experts` is sized by `specific_expert_num`, not by `shared_expert_num`: with more shared than "
    "specific experts the forward pass raises IndexError, with fewer the surplus ones are dead weight. Timed where it works.",
    "deepctr-torch, heads": "Heads are linear without bias and `PredictionLayer` adds one in place; the same function as ours. "
    "`init_std`, 0.0001 by default and meant for embeddings, also initialises every hidden weight.",
    "deepctr-torch, one task": "Refused (`num_tasks must be greater than 1`).",
    "both, others": "Neither has single_task, asymmetric_sharing, customized_sharing, l2_constrained, cross_stitch, "
    "sluice_network, tensor_factorization, omoe, ml_mmoe, adatt, stem or pepnet. ESMM (both) and AITM (torch-rechub) depend on "
    "the order of the tasks and are not among ours.",
}


@dataclass(frozen=True)
class Case:
    """A scheme and its sizes; experts of PLE and CGC are ``own`` a task and ``shared``, a level."""

    scheme: str
    tasks: int = 2
    experts: int = EXPERTS
    levels: int = 1
    own: int = 0
    shared: int = 0
    hard: bool = False
    bottom: int = EXPERTS * HIDDEN

    @property
    def name(self) -> str:
        layers = f" {self.levels} levels" if self.scheme in ("ple", "ml_mmoe", "adatt") else ""
        split = f", {self.own} own + {self.shared} shared" if self.own else ""
        return f"{self.scheme}{layers}, {self.tasks} tasks{split}"

    def config(self, **more: Any) -> ModelConfig:
        split = {"task_experts": (self.own,), "shared_experts": (self.shared,)} if self.own else {}
        sizes: dict[str, Any] = {"architecture": self.scheme, "experts": self.experts, "expert_hidden": (HIDDEN,)}
        sizes |= {"levels": self.levels, "bottom_hidden": (self.bottom,), "tower_hidden": (TOWER,), "dropout": 0.0}
        return ModelConfig(**{"cross_layers": 0, **sizes, **split, **more})


COMPARED = (
    Case("shared_bottom"),
    Case("mmoe"),
    Case("cgc", own=3, shared=2),
    Case("ple", levels=2, own=3, shared=2),
    Case("ple", levels=2, own=2, shared=4),
    Case("ple", tasks=6, levels=3, own=1, shared=2, hard=True),
    Case("ple", tasks=6, levels=3, own=2, shared=2, hard=True),
)
ALONE = (
    Case("single_task", bottom=HIDDEN * EXPERTS // 2),
    Case("asymmetric_sharing", bottom=HIDDEN * EXPERTS // 2),
    Case("customized_sharing", bottom=HIDDEN * EXPERTS // 3),
    Case("l2_constrained", bottom=HIDDEN * EXPERTS // 2),
    Case("cross_stitch", bottom=HIDDEN * EXPERTS // 2),
    Case("sluice_network", bottom=HIDDEN * EXPERTS // 2),
    Case("tensor_factorization", bottom=HIDDEN * EXPERTS // 2),
    Case("omoe"),
    Case("ml_mmoe", levels=2),
    Case("adatt", levels=2, own=2, shared=4),
    Case("stem", own=2, shared=4),
    Case("pepnet", bottom=HIDDEN * EXPERTS // 2),
)


class OwnModels(nn.Module):
    """A model per task, all tasks' models as one batched program, as :class:`manygate.model.replicas.MultiTaskModel` runs them."""

    def __init__(self, trunks: Sequence[Trunk]):
        super().__init__()
        values, _ = stack_module_state(list(trunks))
        self.names = list(values)
        self.values = nn.ParameterList(values.values())
        self.__dict__["one"] = copy.deepcopy(trunks[0])  # called with the values above; its own are no parameters of this module

    def forward(self, x_BD: Tensor, bias_BC: Tensor) -> tuple[Tensor, ...]:
        def one(values: dict[str, Tensor]) -> tuple[Tensor, ...]:
            result: tuple[Tensor, ...] = functional_call(self.__dict__["one"], values, (x_BD, bias_BC))
            return result

        logit_TB1, penalty_T = torch.vmap(one)(dict(zip(self.names, self.values, strict=True)))
        return logit_TB1.squeeze(-1).t(), penalty_T.sum()


def our_trunk(case: Case, width: int, **settings: Any) -> nn.Module:
    """The scheme of ours with its towers, on D = ``width`` inputs (STEM: that many for each of its T + 1 embeddings)."""
    config, scheme = case.config(**settings), find_architecture(case.scheme)
    own = 1 if scheme.one_model_per_task else case.tasks

    def trunk() -> Trunk:
        architecture = scheme.build(Inputs(width), case.tasks, config)
        return Trunk(architecture, Towers(own, architecture.output_width, config.tower_hidden), BiasTower(own, 0))

    return OwnModels([trunk() for _ in range(case.tasks)]) if scheme.one_model_per_task else trunk()


def rechub_model(case: Case, width: int) -> nn.Module:
    from torch_rechub.basic.features import DenseFeature
    from torch_rechub.models.multi_task import MMOE, PLE, SharedBottom

    features, types, expert = [DenseFeature("x", width)], ["classification"] * case.tasks, {"dims": [HIDDEN]}
    towers: list[dict[str, Any]] = [{"dims": [TOWER]}] * case.tasks
    if case.scheme == "shared_bottom":
        return SharedBottom(features, types, {"dims": [case.bottom]}, towers)
    if case.scheme == "mmoe":
        return MMOE(features, types, case.experts, expert, towers)
    if case.scheme in ("cgc", "ple"):
        return PLE(features, types, case.levels, case.own, case.shared, expert, towers)
    raise NotImplementedError("no such scheme")


def deepctr_model(case: Case, width: int, init_std: float = 0.05) -> nn.Module:
    from deepctr_torch.inputs import DenseFeat
    from deepctr_torch.models import MMOE, PLE, SharedBottom

    sizes: dict[str, Any] = {"tower_dnn_hidden_units": (TOWER,), "init_std": init_std, "task_types": ["binary"] * case.tasks}
    sizes |= {"l2_reg_embedding": 0, "l2_reg_linear": 0, "task_names": [f"task{t}" for t in range(case.tasks)]}
    features, experts = [DenseFeat("x", width)], {"expert_dnn_hidden_units": (HIDDEN,), "gate_dnn_hidden_units": ()}
    if case.scheme == "shared_bottom":
        return SharedBottom(features, bottom_dnn_hidden_units=(case.bottom,), **sizes)
    if case.scheme == "mmoe":
        return MMOE(features, num_experts=case.experts, **experts, **sizes)
    if case.scheme in ("cgc", "ple"):
        numbers = {"shared_expert_num": case.shared, "specific_expert_num": case.own, "num_levels": case.levels}
        return PLE(features, **numbers, **experts, **sizes)
    raise NotImplementedError("no such scheme")


class Step:
    """Training steps of one library's model; batches take turns."""

    def __init__(self, library: str, model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], fused: bool):
        self.library, self.model, self.batches, self.turn = library, model.train(), batches, 0
        tasks = batches[0][1].shape[1]
        self.no_bias, self.ones = torch.zeros(len(batches[0][0]), 0), torch.ones(1, *batches[0][1].shape)
        self.losses = Losses([Task(name=f"t{t}") for t in range(tasks)], torch.arange(tasks).unsqueeze(0))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=RATE, **({"fused": True} if fused else {}))
        self.parameters = dict(model.named_parameters())
        self.recorder = Recorder(self.ours, list(self.parameters))

    def ours(self, values: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """What the trainer records of a step."""
        state = dict(values)
        x, y, ones = (state.pop(name) for name in ("x", "label", "weight"))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.library == BF16):
            logit_BT, penalty = functional_call(self.model, state, (x, self.no_bias), tie_weights=False)
        return self.losses(logit_BT.unsqueeze(0), y.unsqueeze(0), ones), penalty

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.library in (OURS, BF16):
            loss_MT, penalty = self.recorder({**self.parameters, "x": x, "label": y, "weight": self.ones})
            return loss_MT.sum() + penalty
        if self.library == "torch-rechub":
            output = self.model({"x": x})
            return sum(F.binary_cross_entropy(output[:, t], y[:, t]) for t in range(y.shape[1])) / y.shape[1]
        output = self.model(x)
        return sum(F.binary_cross_entropy(output[:, t], y[:, t], reduction="sum") for t in range(y.shape[1]))

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            x, y = self.batches[self.turn % len(self.batches)]
            self.turn += 1
            loss = self.loss(x, y)
            self.optimizer.zero_grad()
            x.grad = None
            loss.backward()
            self.optimizer.step()


def make_batches(case: Case, width: int, rows: int, gradient: bool) -> list[tuple[Tensor, Tensor]]:
    """The same numbers for every library of a cell."""
    return _batches(input_width(case, width), rows, case.tasks, gradient)


@functools.cache
def _batches(width: int, rows: int, tasks: int, gradient: bool) -> list[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(rows + width)
    return [
        (
            torch.randn(rows, width, generator=source).requires_grad_(gradient),
            torch.randint(2, (rows, tasks), generator=source).float(),
        )
        for _ in range(BATCHES)
    ]


def input_width(case: Case, width: int) -> int:
    return width * (case.tasks + 1 if find_architecture(case.scheme).own_embeddings else 1)


def contenders(case: Case, width: int, rows: int, options: argparse.Namespace, only_ours: bool = False) -> dict[str, Any]:
    """The libraries that can run the case, as steps; for those that cannot, the reason."""
    batches = make_batches(case, width, rows, options.input_gradient)
    torch.manual_seed(0)
    found: dict[str, Any] = {OURS: Step(OURS, our_trunk(case, width), batches, fused=True)}
    if only_ours:
        return found
    found[BF16] = Step(BF16, our_trunk(case, width), batches, fused=True)
    for library, build in (("torch-rechub", rechub_model), ("deepctr-torch", deepctr_model)):
        for fused in (False, True):
            name = f"{library}, fused Adam" if fused else library
            try:
                found[name] = Step(library, build(case, width), batches, fused)
                found[name](1)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
    return found


def flops_of(case: Case, width: int, rows: int, gradient: bool) -> int:
    """Of the matrix products in one forward and backward pass, counted on shapes alone."""
    with torch.device("meta"):
        model = our_trunk(case, width)
        x = torch.empty(rows, input_width(case, width), requires_grad=gradient)
        with FlopCounterMode(display=False) as counter:
            logit_BT, penalty = model(x, torch.empty(rows, 0))
            (logit_BT.sum() + penalty).backward()
    return int(counter.get_total_flops())


@dataclass
class Cell:
    """A case at one width and batch size, and what is measured of it."""

    kind: str
    case: Case
    width: int
    rows: int
    runners: dict[str, Callable[[int], Any]]
    reasons: dict[str, str]
    steps: dict[str, int]
    rounds: list[dict[str, Any]]
    extra: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.kind}: {self.case.name}, D {self.width}, batch {self.rows}"


def cell(kind: str, case: Case, width: int, rows: int, made: dict[str, Any], extra: dict[str, Any] | None = None) -> Cell:
    runners = {name: value for name, value in made.items() if not isinstance(value, str)}
    reasons = {name: value for name, value in made.items() if isinstance(value, str)}
    return Cell(kind, case, width, rows, runners, reasons, {}, [], extra or {})


def measure_cell(one: Cell, number: int, options: argparse.Namespace) -> None:
    """One round: every library in turn, in alternating order; repeated, up to three times, while others disturb."""
    if not one.steps:
        for name, run in one.runners.items():  # warm-up, and how many steps fill the time
            run(3)
            timing, _ = timed(lambda run=run: run(5), options.clock)
            one.steps[name] = max(math.ceil(options.seconds * 5 / max(timing.seconds, 1e-6)), 3)
    names = list(one.runners) if number % 2 == 0 else list(one.runners)[::-1]
    tries: list[dict[str, Any]] = []
    while len(tries) < 3 and not (tries and tries[-1]["quiet"]):
        if tries:
            wait_until_quiet(options.patience, options.clock)
        found: dict[str, Any] = {"milliseconds": {}, "others_cores": 0.0, "quiet": True}
        blocks: dict[str, list[float]] = {name: [] for name in names}
        for name in names:  # caches, threads and clocks: the first library after a pause would otherwise pay for them
            one.runners[name](one.steps[name])
        for block in range(BLOCKS):
            for name in names[block % len(names) :] + names[: block % len(names)]:
                steps = math.ceil(one.steps[name] / BLOCKS)
                timing: Timing = timed(lambda name=name, steps=steps: one.runners[name](steps), options.clock)[0]
                blocks[name].append(1e3 * timing.seconds / steps)
                found["others_cores"] = max(found["others_cores"], timing.others if timing.seconds > 0.05 else 0.0)
                found["quiet"] &= timing.quiet or timing.seconds <= 0.05  # the system's clock has ticks of 0.01 s
        found["milliseconds"] = {name: statistics.median(times) for name, times in blocks.items()}
        tries.append(found)
    one.rounds.append(min(tries, key=lambda found: found["others_cores"]))


# What is to be measured


def training_cells(options: argparse.Namespace) -> Iterator[Cell]:
    for case in COMPARED:
        for width in options.widths:
            for rows in options.batches:
                flops = flops_of(case, width, rows, options.input_gradient)
                yield cell("compared", case, width, rows, contenders(case, width, rows, options), {"flops": flops})
    for case in ALONE:
        for rows in options.batches:
            width = options.widths[0]
            flops = flops_of(case, width, rows, options.input_gradient)
            yield cell("ours alone", case, width, rows, contenders(case, width, rows, options, only_ours=True), {"flops": flops})


CURVES = {"experts": "MMoE, 2 tasks", "tasks": "MMoE, 8 experts", "levels": "PLE, 2 tasks, 3 own + 2 shared"}


def curve_cells(options: argparse.Namespace) -> Iterator[Cell]:
    grid = {"experts": (2, 4, 8, 16, 32, 64), "tasks": (1, 2, 4, 8, 16), "levels": (1, 2, 3, 4)}
    base = {"experts": Case("mmoe"), "tasks": Case("mmoe"), "levels": Case("ple", own=3, shared=2)}
    for what, values in grid.items():
        for value in values[::2] if options.quick else values:
            for rows in options.batches:
                case = replace(base[what], **{what: value})
                made = contenders(case, options.widths[0], rows, options)
                made = {name: run for name, run in made.items() if name in (OURS, *PEERS)}
                yield cell(f"against {what}", case, options.widths[0], rows, made, {"at": value})


def selection_cells(options: argparse.Namespace) -> Iterator[Cell]:
    """MMoE of 32 experts at inference: softmax gates, and top-2 gates with experts left out and with all of them run."""
    for hidden in ((HIDDEN,), (256, HIDDEN)):
        for width in options.widths:
            for rows in options.batches:
                case = Case("mmoe", experts=32)
                x, no_bias = torch.randn(rows, width), torch.zeros(rows, 0)
                torch.manual_seed(0)
                models = {
                    "softmax": our_trunk(case, width, expert_hidden=hidden),
                    "top-2": our_trunk(case, width, expert_hidden=hidden, gate="topk", top_k=2),
                }
                models["top-2, dense"] = models["top-2"]
                level = models["top-2"].architecture.level
                assert isinstance(level, Mixture)
                spread_routes(level)
                models["top-2, dense"] = copy.deepcopy(models["top-2"])
                models["top-2, dense"].architecture.level.dense = True
                outputs = {}

                def runner(model: nn.Module, x: Tensor = x, no_bias: Tensor = no_bias) -> Callable[[int], Any]:
                    def run(steps: int) -> None:
                        with torch.no_grad():
                            for _ in range(steps):
                                model(x, no_bias)

                    return run

                with torch.no_grad():
                    for name, model in models.items():
                        outputs[name] = model.eval()(x, no_bias)[0]
                difference = (outputs["top-2"] - outputs["top-2, dense"]).abs().max().item()
                chosen = (level.weights(x) != 0).any(dim=1).float().mean().item()
                extra = {"difference": difference, "share_of_experts_run": chosen, "expert_hidden": hidden}
                made = {name: runner(model) for name, model in models.items()}
                yield cell(f"inference, experts {'-'.join(map(str, hidden))}", case, width, rows, made, extra)


def spread_routes(level: Mixture) -> None:
    """Gate weights that send rows to all experts: they start at zero, which would send every row to the same two."""
    bank = level.banks[0]
    assert isinstance(bank, Experts)
    with torch.no_grad():
        columns = bank.weight[:, bank.first_units :]
        columns.copy_(torch.cat([glorot(len(columns), part.shape[1]) for part in columns.split(level.experts, dim=1)], dim=1))


# Equal outputs


def folded(mlp: nn.Sequential) -> list[tuple[Tensor, Tensor]]:
    """Linear layers (weight as (in, out), bias) of torch-rechub's MLP, BatchNorm in eval mode folded in."""
    layers: list[tuple[Tensor, Tensor]] = []
    for module in mlp:
        if isinstance(module, nn.Linear):
            layers.append((module.weight.t(), module.bias))
        elif isinstance(module, nn.BatchNorm1d):
            weight, bias = layers[-1]
            scale = module.weight / (module.running_var + module.eps).sqrt()
            layers[-1] = (weight * scale, (bias - module.running_mean) * scale + module.bias)
    return layers


def plain(dnn: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(linear.weight.t(), linear.bias) for linear in dnn.linears]


Layer = tuple[Tensor, Tensor]


@dataclass
class Weights:
    """A peer's weights, in our order: a level's groups of experts (each task's, then the shared), its gates, the towers."""

    levels: list[tuple[list[list[Layer]], list[Layer]]]
    towers: list[list[Layer]]


def rechub_weights(model: Any, case: Case) -> Weights:
    towers = [folded(tower.mlp) for tower in model.towers]
    if case.scheme == "shared_bottom":
        return Weights([([folded(model.bottom_mlp.mlp)], [])], towers)
    if case.scheme == "mmoe":
        return Weights([([[folded(e.mlp)[0] for e in model.experts]], [folded(g.mlp)[0] for g in model.gates])], towers)
    levels = []
    for level in model.cgc_layers:
        own = [folded(e.mlp)[0] for e in level.experts_specific]
        groups = [own[t * case.own : (t + 1) * case.own] for t in range(case.tasks)]
        gates = [*level.gates_specific, *([level.gate_shared] if hasattr(level, "gate_shared") else [])]
        levels.append(([*groups, [folded(e.mlp)[0] for e in level.experts_shared]], [folded(g.mlp)[0] for g in gates]))
    return Weights(levels, towers)


def deepctr_weights(model: Any, case: Case) -> Weights:
    heads = zip(model.tower_dnn, model.tower_dnn_final_layer, model.out, strict=True)
    towers = [[*plain(tower), (last.weight.t(), out.bias)] for tower, last, out in heads]

    def linear(gate: nn.Linear) -> Layer:
        return gate.weight.t(), torch.zeros(gate.out_features)

    if case.scheme == "shared_bottom":
        return Weights([([plain(model.bottom_dnn)], [])], towers)
    if case.scheme == "mmoe":
        return Weights([([[plain(e)[0] for e in model.expert_dnn]], [linear(g) for g in model.gate_dnn_final_layer])], towers)
    levels = []
    for j in range(case.levels):
        groups = [[plain(e)[0] for e in experts] for experts in model.specific_experts[j]]
        shared = [plain(model.shared_experts[j][0][e])[0] for e in range(case.shared)]
        gates = [*model.specific_gate_dnn_final_layer[j], *([model.shared_gate_dnn_final_layer[j]] if j < case.levels - 1 else [])]
        levels.append(([*groups, shared], [linear(g) for g in gates]))
    return Weights(levels, towers)


def put_level(level: Mixture, groups: list[list[Layer]], gates: list[Layer]) -> None:
    for bank, reader in zip(level.banks, level.readers, strict=True):
        assert isinstance(bank, Experts)
        parts = [[g] for g in reader] if level.own_inputs else [reader]
        weights, biases = [], []
        for part in parts:
            experts = [layer for g in part for layer in groups[g]]
            read = [gates[g] for g in part if g < len(gates)] if level.own_inputs else gates
            weights.append(torch.cat([w for w, _ in experts] + [w for w, _ in read], dim=1))
            biases.append(torch.cat([b for _, b in experts]))
        assert bank.bias is not None
        bank.weight.copy_(torch.stack(weights).view_as(bank.weight))
        bank.bias.copy_(torch.stack(biases).view_as(bank.bias))
    if level.gates.bias is not None:
        level.gates.bias.copy_(torch.cat([b for _, b in gates]))


@torch.no_grad()
def put(trunk: Any, case: Case, weights: Weights) -> None:
    """A peer's weights into ours."""
    scheme = trunk.architecture
    if case.scheme == "shared_bottom":
        ((weight, bias),) = weights.levels[0][0][0]
        scheme.bottom.weight.copy_(weight)
        scheme.bottom.bias.copy_(bias)
    else:
        levels = [scheme.level] if case.scheme == "mmoe" else (scheme.ple if case.scheme == "cgc" else scheme).levels
        for level, (groups, gates) in zip(levels, weights.levels, strict=True):
            put_level(level, groups, gates)
    for t, ((weight, bias), (head, head_bias)) in enumerate(weights.towers):
        trunk.towers.hidden.weights[0][t].copy_(weight)
        trunk.towers.hidden.biases[0][t, 0].copy_(bias)
        trunk.towers.weight[t].copy_(head.squeeze(1))
        trunk.towers.bias[t].copy_(head_bias.squeeze())


def logits_of(peer: Any, inputs: Any) -> Tensor:
    """What a peer's prediction layers turn into probabilities (DeepCTR-Torch's add the bias in place first)."""
    logits: list[Tensor] = []
    heads = peer.predict_layers if hasattr(peer, "predict_layers") else peer.out
    hooks = [head.register_forward_hook(lambda _, inputs, output: logits.append(inputs[0].clone())) for head in heads]
    peer(inputs)
    for hook in hooks:
        hook.remove()
    return torch.cat(logits, dim=1)


def equal_outputs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Peers trained for some steps, their weights copied into ours, logits of both in eval mode."""
    found = []
    for case in COMPARED:
        for library, build, read in (
            ("torch-rechub", rechub_model, rechub_weights),
            ("deepctr-torch", lambda case, width: deepctr_model(case, width, init_std=0.2), deepctr_weights),
        ):
            width, entry = options.widths[0], {"case": case.name, "library": library}
            found.append(entry)
            batches = make_batches(case, width, 256, False)
            torch.manual_seed(1)
            try:
                peer = build(case, width)
                Step(library, peer, batches, fused=False)(50)  # BatchNorm's running statistics, and gates that differ
            except Exception as error:
                entry["failed"] = f"{type(error).__name__}: {error}"
                continue
            trunk = our_trunk(case, width, gate_bias=library == "torch-rechub").eval()
            peer.eval()
            with torch.no_grad():
                put(trunk, case, read(peer, case))
                x = batches[0][0].detach()
                ours, _ = trunk(x, torch.zeros(len(x), 0))
                theirs = logits_of(peer, {"x": x} if library == "torch-rechub" else x)
            entry["largest_logit"] = theirs.abs().max().item()
            entry["largest_difference"] = (ours - theirs).abs().max().item()
    return found


# Rounds, summary, Markdown, plot


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], list[Cell]]:
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"benchmark": "schemes", "machine": machine(options.threads, options.clock), "peaks": {}}
    with silence():
        import deepctr_torch  # noqa: F401
        import torch_rechub  # noqa: F401

        for thread in threading.enumerate():  # DeepCTR-Torch asks PyPI for a newer version of itself when imported
            if thread is not threading.current_thread():
                thread.join(timeout=30)
        document["equal_outputs"] = equal_outputs(options)
        cells = [
            one for cells in (training_cells, curve_cells, selection_cells) for one in cells(options) if options.only in one.key
        ]
    for number in range(options.rounds):
        for one in cells:
            measure_cell(one, number, options)
        wait_until_quiet(options.patience, options.clock)
        for name, value in peaks(options.batches[-1], options.widths[0], EXPERTS * (HIDDEN + 2), options.clock).items():
            document["peaks"][name] = max(value, document["peaks"].get(name, 0.0))
        quiet = sum(one.rounds[-1]["quiet"] for one in cells)
        print(f"round {number}: {quiet} of {len(cells)} cells quiet", flush=True)
    document["machine"]["load_average_after"] = os.getloadavg()
    return summarise(document, cells), cells


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def summarise(document: dict[str, Any], cells: Sequence[Cell]) -> dict[str, Any]:
    peak = max(value for name, value in document["peaks"].items() if name.startswith("2048"))
    document["peak_gigaflops"], document["cells"] = peak, []
    for one in cells:
        quiet = [found for found in one.rounds if found["quiet"]]
        counted = quiet if len(quiet) >= 3 else one.rounds
        base = "softmax" if one.kind.startswith("inference") else OURS
        times = {name: spread([found["milliseconds"][name] for found in counted]) for name in one.runners}
        ratios = {
            name: spread([found["milliseconds"][name] / found["milliseconds"][base] for found in counted])
            for name in one.runners
            if name != base
        }
        entry: dict[str, Any] = {"kind": one.kind, "case": one.case.name, "hard": one.case.hard, "width": one.width}
        entry |= {"rows": one.rows, "rounds": len(counted), "quiet_rounds": len(quiet), "steps": one.steps}
        entry |= {"milliseconds": times, "ratios": ratios, "cannot": one.reasons, **one.extra}
        if "flops" in one.extra:
            gigaflops = one.extra["flops"] / times[OURS]["median"] / 1e6
            entry["share_of_peak"] = {"gigaflops": gigaflops, "share": gigaflops / peak}
        document["cells"].append(entry)
    document["bars"] = bars([entry for entry in document["cells"] if entry["kind"] == "compared"])
    return document


def bars(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lowest ratio for each bar, and whether it is met; with peers' own Adam and with fused Adam."""
    found: list[dict[str, Any]] = []
    small, large = min((e["rows"] for e in entries), default=0), max((e["rows"] for e in entries), default=0)
    chosen = {
        "small": [e for e in entries if e["rows"] == small and not e["hard"]],
        "hard": [e for e in entries if e["rows"] == small and e["hard"]],
        "large": [e for e in entries if e["rows"] == large],
    }
    chosen["large, geometric mean"] = chosen["large"]
    titles = {
        "small": f"batch {small}, every scheme and peer but the next",
        "hard": f"batch {small}, PLE of 3 levels and 6 tasks",
        "large": f"batch {large}, every scheme and peer",
        "large, geometric mean": f"batch {large}, geometric mean",
    }
    for bar, least in BARS.items():
        for suffix in ("", ", fused Adam"):
            ratios = [
                (e["ratios"][peer + suffix]["median"], f"{e['case']}, D {e['width']}, {peer}")
                for e in chosen[bar]
                for peer in PEERS
                if peer + suffix in e["ratios"]
            ]
            if not ratios:
                continue
            value, where = min(ratios)
            if bar == "large, geometric mean":
                value, where = math.exp(statistics.fmean(math.log(ratio) for ratio, _ in ratios)), f"{len(ratios)} ratios"
            title = titles[bar] + (" (peers with fused Adam)" if suffix else "")
            found.append({"bar": title, "least": least, "found": value, "where": where, "met": value >= least})
    return found


def markdown(document: dict[str, Any], options: argparse.Namespace, picture: str) -> list[str]:
    lines = ["# Every sharing scheme: Manygate, torch-rechub 0.9.0, DeepCTR-Torch 0.3.0", "", *machine_lines(document["machine"])]
    quiet = sum(entry["quiet_rounds"] for entry in document["cells"])
    lines += [
        f"* Experts x {HIDDEN}, towers {TOWER}; shared bottom of {EXPERTS * HIDDEN}; float32; {options.rounds} rounds, about "
        f"{options.seconds:g} s a measurement; {quiet} of {len(document['cells']) * options.rounds} measurements quiet.",
        "* Milliseconds a step and ratios: median (minimum to maximum) over rounds, over quiet ones where there are three. A ratio "
        "is a library's time by Manygate's in the same round: above 1 Manygate is faster.",
        *(["* A gradient for the input was asked for, as embeddings below would."] if options.input_gradient else []),
        "",
        "## Bars",
        "",
        "| | at least | found | where | |",
        "|---|---|---|---|---|",
    ]
    for bar in document["bars"]:
        met = "met" if bar["met"] else "not met"
        lines.append(f"| {bar['bar']} | {bar['least']:g} | {bar['found']:.2f} | {bar['where']} | {met} |")
    compared = [entry for entry in document["cells"] if entry["kind"] == "compared"]
    lines += ["", "## Training step", ""]
    lines += ["| scheme | D | batch | Manygate, ms | torch-rechub | fused | DeepCTR-Torch | fused | bf16, ms | share of peak |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for entry in compared:
        ratios = []
        for peer in PEERS:
            for name in (peer, f"{peer}, fused Adam"):
                ratios.append(shown(entry["ratios"][name]) if name in entry["ratios"] else "does not work")
        times = entry["milliseconds"]
        lines.append(
            f"| {entry['case']} | {entry['width']} | {entry['rows']} | {shown(times[OURS])} | {' | '.join(ratios)} | "
            f"{shown(times[BF16])} | {entry['share_of_peak']['share']:.0%} |"
        )
    cannot = {(e["case"], name, why) for e in compared for name, why in e["cannot"].items() if "fused" not in name}
    lines += ["", *(f"* {case}: {name} does not work ({why})." for case, name, why in sorted(cannot))]
    lines += ["", f"Peak: {document['peak_gigaflops']:.0f} GFLOP/s, the best float32 product of 2048 x 2048 matrices seen. A "]
    lines[-1] += (
        "scheme's FLOPs are those of its matrix products, counted by PyTorch; softmax, ReLU, the loss and Adam count nothing."
    )
    lines += ["", "Schemes that neither peer has:", "", "| scheme | D | batch | ms | share of peak |", "|---|---|---|---|---|"]
    lines += [
        f"| {e['case']} | {e['width']} | {e['rows']} | {shown(e['milliseconds'][OURS])} | {e['share_of_peak']['share']:.0%} |"
        for e in document["cells"]
        if e["kind"] == "ours alone"
    ]
    lines += ["", "## Against experts, tasks and levels", "", f"![Milliseconds a step]({picture})", ""]
    lines += ["| | batch | Manygate, ms | torch-rechub, ms | DeepCTR-Torch, ms |", "|---|---|---|---|---|"]
    for entry in document["cells"]:
        if entry["kind"].startswith("against"):
            what, times = entry["kind"].removeprefix("against "), entry["milliseconds"]
            cells = [shown(times[name]) if name in times else "does not work" for name in (OURS, *PEERS)]
            lines.append(f"| {CURVES[what]}: {entry['at']} {what} | {entry['rows']} | {' | '.join(cells)} |")
    lines += ["", "## Inference with top-2 gates", "", "MMoE of 32 experts and 2 tasks; gates that spread the rows.", ""]
    lines += ["| expert widths | D | batch | softmax, ms | top-2, ms | top-2, all run, ms | pairs run | top-2 is faster by |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for entry in document["cells"]:
        if entry["kind"].startswith("inference"):
            times, widths = entry["milliseconds"], "-".join(map(str, entry["expert_hidden"]))
            gain = 1 / entry["ratios"]["top-2"]["median"]
            texts = [shown(times[name]) for name in ("softmax", "top-2", "top-2, dense")]
            lines.append(
                f"| {widths} | {entry['width']} | {entry['rows']} | {' | '.join(texts)} | {entry['share_of_experts_run']:.0%} | "
                f"{gain:.2f} |"
            )
    worst = max((e["difference"] for e in document["cells"] if e["kind"].startswith("inference")), default=0.0)
    lines += ["", f"Largest difference between the logits of the two top-2 ways: {worst:.1e}."]
    lines += ["", "## Equal outputs", ""]
    lines += ["A peer's model after 50 steps; its weights copied into ours (BatchNorm folded in); both in eval mode.", ""]
    lines += ["| scheme | peer | largest difference of logits | largest logit |", "|---|---|---|---|"]
    for entry in document["equal_outputs"]:
        figures = f"does not work: {entry['failed']} | " if "failed" in entry else ""
        figures = figures or f"{entry['largest_difference']:.1e} | {entry['largest_logit']:.2f}"
        lines.append(f"| {entry['case']} | {entry['library']} | {figures} |")
    for title, texts in (("What is timed", INSIDE), ("What exists, and what it is", FAITHFUL)):
        lines += ["", f"## {title}", "", *(f"* **{name}**: {text}" for name, text in texts.items())]
    lines += ["", "Matrix products, best GFLOP/s: "]
    lines[-1] += "; ".join(f"{name}: {value:.0f}" for name, value in document["peaks"].items()) + "."
    return lines


def plot(document: dict[str, Any], path: Path) -> None:
    """Milliseconds a step against experts, tasks and levels, a row of panels for each batch size."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "schemes", "svg.fonttype": "none", "font.size": 9})
    entries = [entry for entry in document["cells"] if entry["kind"].startswith("against")]
    batches = sorted({entry["rows"] for entry in entries})
    figure, axes = pyplot.subplots(len(batches), len(CURVES), figsize=(11, 3.2 * len(batches)), squeeze=False)
    styles = {OURS: ("#0b6e4f", "o"), "torch-rechub": ("#c8553d", "s"), "deepctr-torch": ("#3d5a80", "^")}
    for row, rows in enumerate(batches):
        for column, (what, title) in enumerate(CURVES.items()):
            panel, points = axes[row][column], [e for e in entries if e["kind"] == f"against {what}" and e["rows"] == rows]
            for name, (colour, marker) in styles.items():
                found = [(e["at"], e["milliseconds"][name]) for e in points if name in e["milliseconds"]]
                if found:
                    at, times = [a for a, _ in found], [t for _, t in found]
                    middle = [t["median"] for t in times]
                    low = [t["median"] - t["min"] for t in times]
                    high = [t["max"] - t["median"] for t in times]
                    panel.errorbar(at, middle, yerr=[low, high], color=colour, marker=marker, ms=4, lw=1.3, capsize=2, label=name)
            panel.set_title(f"{title}, batch {rows}", fontsize=9)
            panel.set_xscale("log" if what != "levels" else "linear", **({"base": 2} if what != "levels" else {}))
            panel.set_xticks([e["at"] for e in points], [str(e["at"]) for e in points])
            panel.minorticks_off()
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
            panel.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
            panel.set_xlabel(what)
            panel.grid(True, which="both", alpha=0.25)
        axes[row][0].set_ylabel("milliseconds a step")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one measurement")
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 351], help="widths D of the input")
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 4096])
    parser.add_argument("--input-gradient", action="store_true", help="ask for the input's gradient, as embeddings would")
    parser.add_argument("--only", default="", help="measure only cells whose name contains this")
    parser.add_argument("--quick", action="store_true", help="two rounds of short measurements, one width; for development")
    add_machine_options(parser, "schemes")
    options = parser.parse_args()
    options.threads = 1 if options.clock == "cpu" else options.threads
    if options.quick:
        options.rounds, options.seconds, options.widths = 2, 0.1, options.widths[:1]
    document, _ = measure(options)
    kept = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    document["settings"] = kept
    stem = result_stem(options.results, options.name)
    write_results(options.results, options.name, document, markdown(document, options, f"{stem.name}.svg"))
    if any(one["kind"].startswith("against") for one in document["cells"]):
        plot(document, stem.with_name(f"{stem.name}.svg"))


if __name__ == "__main__":
    main()
