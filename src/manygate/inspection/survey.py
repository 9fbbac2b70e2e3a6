"""This module runs one replica on all inspected rows, and collects logits, gates, zeros of every layer and outputs of the experts.

Shape suffixes: N rows, B rows of a batch, T tasks, E experts or networks side by side, H units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from manygate.data.batches import Split
from manygate.inspection.gates import gate_report
from manygate.inspection.units import Zeros, dead_towers, likeness, unit_report
from manygate.layers.experts import Experts
from manygate.layers.gate import Gates
from manygate.layers.mixture import Mixture
from manygate.layers.units import Units
from manygate.model import MultiTaskModel
from manygate.model.member import Activations, member_values, read_inputs, record_activations, run_trunk
from manygate.model.replicas import Member
from manygate.results.inspection import DeadTower, LayerUnits, LevelGates, Likeness

ROWS_AT_ONCE = 2_048
EXPERT_ROWS = 2_048
"""The number of rows for which expert outputs are kept; the experts are compared on these rows."""


@dataclass
class Level:
    """The task gates of a level on all rows, and the experts that each task's gate sees."""

    name: str
    gate_NTE: np.ndarray
    sees: list[tuple[int, ...]]


@dataclass
class Survey:
    """The measurements of a member (see :class:`manygate.model.replicas.Member`) on all rows.

    The names of levels are the names in the report.
    """

    tasks: tuple[str, ...]
    logit_NT: np.ndarray
    levels: list[Level]
    zeros: dict[str, np.ndarray]
    """Share of rows on which each unit is zero, (E, H), by the name of the layer's module."""
    experts: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def survey(model: MultiTaskModel, m: int, split: Split) -> Survey:
    """Run member m once over a split, and record the outputs of its layers."""
    values, member = member_values(model, m), model.members[m]
    own = [member.tasks.index(t) for t in member.reads]
    level_names, stride = _layer_names(model.trunk), -(-len(split) // EXPERT_ROWS)
    logits: list[Tensor] = []
    gates: list[list[Tensor]] = []
    zeros: dict[str, Zeros] = {}
    experts: dict[str, list[Tensor]] = {}
    sees: list[tuple[str, list[tuple[int, ...]]]] = []
    with record_activations(model.trunk) as take:
        for batch in split.slices(ROWS_AT_ONCE):
            x_BD, bias_BC = read_inputs(model, values, batch)
            logits.append(model.read(run_trunk(model, values, x_BD, bias_BC)[0].unsqueeze(0), [member.tasks]).squeeze(0))
            seen = take()
            for name, hidden_BEH in seen.hidden.items():
                if ".gates." not in name:
                    zeros.setdefault(name, Zeros()).add(hidden_BEH)
            for name, expert_BEH in seen.expert.items():
                experts.setdefault(name, []).append(expert_BEH[::stride].clone())
            task_gates = run_trunk(model, values, x_BD, bias_BC, gates=True)
            sees = sees or _seen_experts(model.trunk, task_gates, take() if task_gates else Activations())
            gates = gates or [[] for _ in task_gates]
            for level, gate_BTE in zip(gates, task_gates, strict=True):
                level.append(gate_BTE)
    return Survey(
        tasks=tuple(model.problem.task_names[t] for t in member.reads),
        logit_NT=torch.cat(logits).float().cpu().numpy()[:, own],
        levels=[
            Level(level_names.get(name, name), torch.cat(parts).float().cpu().numpy()[:, own], [seen_by[t] for t in own])
            for (name, seen_by), parts in zip(sees, gates, strict=True)
        ],
        zeros={name: _read_towers(name, counted.share(), member) for name, counted in zeros.items()},
        experts={name: torch.cat(parts) for name, parts in experts.items() if parts[0].shape[1] > 1},
    )


def _read_towers(name: str, zero_EH: np.ndarray, member: Member) -> np.ndarray:
    """Return the networks of a layer. Of the towers of a member that is kept for one task, only that task's tower is read."""
    return zero_EH if member.only is None or not name.startswith("towers.") else zero_EH[[member.tasks.index(member.only)]]


def _seen_experts(trunk: nn.Module, task_gates: Sequence[Tensor], seen: Activations) -> list[tuple[str, list[tuple[int, ...]]]]:
    """List, for each level of task gates, the module name of the level and the experts that each gate sees.

    The function looks for the :class:`Gates` module with the same outputs as the task gates of the scheme. If there is none, the
    gates are of another kind, and a gate is assumed to see the experts to which it gives weight.
    """
    levels = []
    for index, gate_BTE in enumerate(task_gates):
        tasks = gate_BTE.shape[1]
        alike = [
            (name, module)
            for name, module in trunk.named_modules()
            if isinstance(module, Gates) and name in seen.gate and _same(seen.gate[name], gate_BTE)
        ]
        if alike:
            name, module = alike[-1]
            levels.append((name.rpartition(".")[0], [module.sees[t if len(module.sees) > 1 else 0] for t in range(tasks)]))
            continue
        used_TE = (gate_BTE > 0).any(dim=0).tolist()
        levels.append((f"level {index + 1}", [tuple(e for e, used in enumerate(row) if used) for row in used_TE]))
    return levels


def _same(all_BGE: Tensor, task_BTE: Tensor) -> bool:
    if all_BGE.shape[2] != task_BTE.shape[2]:
        return False
    part_BTE = all_BGE.expand_as(task_BTE) if all_BGE.shape[1] == 1 else all_BGE[:, : task_BTE.shape[1]]
    return part_BTE.shape == task_BTE.shape and torch.equal(part_BTE, task_BTE)


def layer_name(trunk: nn.Module, module: str) -> str:
    """Return a module's name in the report: ``level 2``, ``towers``, ``bottom``, or its path."""
    names = _layer_names(trunk)
    prefixes = [prefix for prefix in names if module == prefix or module.startswith(f"{prefix}.")]
    return names[min(prefixes, key=len)] if prefixes else _plain_name(module)


def _layer_names(trunk: nn.Module) -> dict[str, str]:
    """Name the levels, banks and networks of a trunk."""
    levels = [name for name, module in trunk.named_modules() if isinstance(module, Mixture)]
    names = {name: f"level {index + 1}" if len(levels) > 1 else "experts" for index, name in enumerate(levels)}
    for name, module in trunk.named_modules():
        if isinstance(module, Experts | Units) and not any(name.startswith(f"{outer}.") for outer in names):
            names[name] = _plain_name(name)
    return names


def _plain_name(name: str) -> str:
    path = name.removeprefix("architecture.")
    return {"towers": "towers", "cross": "cross layers", "lower": "shared layers below"}.get(path.split(".")[0], path)


def layers_report(model: MultiTaskModel, survey_of_member: Survey) -> list[LayerUnits]:
    """Report the zeros of each hidden layer: {layer, part, networks: [{name, units, dead, mostly_zero, zeros}]}."""
    report: list[LayerUnits] = []
    modules, depth = dict(model.trunk.named_modules()), Counter[str]()
    for name, zero_EH in survey_of_member.zeros.items():
        part, owner = layer_name(model.trunk, name), _owner(name)
        depth[owner] += 1
        first = _first_expert(modules, name)
        if part == "towers":
            names = [f"tower of {task}" for task in survey_of_member.tasks]
            names += [f"further tower {e + 1}" for e in range(len(zero_EH) - len(names))]
        elif first is not None:
            names = [f"expert {first + e + 1}" for e in range(len(zero_EH))]
        else:
            names = [part] if len(zero_EH) == 1 else [f"network {e + 1}" for e in range(len(zero_EH))]
        report.append(LayerUnits(part=part, layer=depth[owner], networks=unit_report(zero_EH, names)))
    return report


def _owner(name: str) -> str:
    """Return the name of the network or bank that a layer belongs to."""
    return name.partition(".dropout")[0].removesuffix(".deeper")


def _first_expert(modules: dict[str, nn.Module], name: str) -> int | None:
    """Return the number, within its level, of the first expert of the bank that a layer belongs to; None outside levels."""
    for prefix, module in modules.items():
        if isinstance(module, Mixture) and name.startswith(f"{prefix}.banks."):
            bank_index = int(name.removeprefix(f"{prefix}.banks.").partition(".")[0])
            banks = [bank for bank in module.banks if isinstance(bank, Experts)]
            return sum(bank.side_by_side * bank.experts for bank in banks[:bank_index])
    return None


def towers_report(survey_of_member: Survey) -> list[DeadTower]:
    """List the tasks of a member with a dead tower."""
    layers = [zero_TH for name, zero_TH in survey_of_member.zeros.items() if name.startswith("towers.")]
    return dead_towers(survey_of_member.logit_NT, layers, survey_of_member.tasks)


def gates_report(survey_of_member: Survey, weight_NT: np.ndarray) -> list[tuple[str, LevelGates]]:
    """Report the gates of every level, with its name; see :func:`manygate.inspection.gates.gate_report`."""
    return [
        (level.name, gate_report(level.gate_NTE, weight_NT, level.sees, survey_of_member.tasks))
        for level in survey_of_member.levels
        if any(len(seen) > 1 for seen in level.sees)
    ]


def experts_report(model: MultiTaskModel, survey_of_member: Survey) -> list[tuple[str, Likeness]]:
    """Report how alike the experts of each level are, or the networks that lie side by side, with the level's name."""
    return [(layer_name(model.trunk, name), likeness(expert_NEH)) for name, expert_NEH in survey_of_member.experts.items()]
