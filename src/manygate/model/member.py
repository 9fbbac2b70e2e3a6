"""One member of a model at a time, with every layer's activations: forward hooks on the few classes that schemes are made of.

Shape suffixes: B rows, N units side by side (experts, tasks), H hidden, E experts of a level, G gates, T tasks, D input, C bias
inputs.

A model's trunk has no values of its own and runs for all members at once (see :mod:`manygate.model.replicas`). Here it
runs for one, so
that hooks see plain tensors. A scheme of the user's own is seen as far as it is made of these layers, or of ``nn.ReLU``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from manygate.data.batches import Batch
from manygate.layers.experts import Experts
from manygate.layers.gate import Gates
from manygate.layers.mixture import Mixture
from manygate.layers.units import Dropout
from manygate.model.gate_moments import GateMoments
from manygate.model.replicas import MultiTaskModel, member_axis

Values = dict[str, Tensor]


@dataclass
class Seen:
    """What one forward pass showed, by the names of the trunk's modules.

    ``hidden`` holds each hidden layer's units (B, N, H), after ReLU; ``expert`` what the experts of a level, or networks side by
    side, give (B, E, H); ``gate`` the weights of all gates of a level (B, G, E).
    """

    hidden: dict[str, Tensor] = field(default_factory=dict)
    expert: dict[str, Tensor] = field(default_factory=dict)
    gate: dict[str, Tensor] = field(default_factory=dict)


def member_values(model: MultiTaskModel, m: int) -> Values:
    """Member m's parameters: tables as (V, 1, dim), everything else without an axis of members."""
    return {
        name: value.detach().select(0, m) if member_axis(name) == 0 else value.detach()[:, m : m + 1]
        for name, value in model.parameters.items()
    }


def first_replicas(model: MultiTaskModel, count: int) -> MultiTaskModel:
    """A model of the first replicas alone, which shares their parameters; the model itself where it has no more."""
    if count >= model.replicas:
        return model
    few, kept = copy(model), sum(member.replica < count for member in model.members)
    few.config, few.members = model.config.of_replicas(0, count), model.members[:kept]
    few.parameters = {name: value.detach().narrow(member_axis(name), 0, kept) for name, value in model.parameters.items()}
    return few


def read_inputs(model: MultiTaskModel, values: Values, batch: Batch) -> tuple[Tensor, Tensor]:
    """The trunk's input x_BD of a batch, and the bias inputs bias_BC."""
    x_1BD = model.embedding(_tables(values, "embedding"), batch, 1, model.sparse)
    bias_1BC = model.bias_embedding(_tables(values, "bias_embedding"), batch, 1, model.sparse)
    return x_1BD.squeeze(0), bias_1BC.squeeze(0)


def _tables(values: Values, owner: str) -> dict[int, Tensor]:
    return {int(name.rpartition(".")[2]): value for name, value in values.items() if name.startswith(f"{owner}.")}


def run_trunk(model: MultiTaskModel, values: Values, x_BD: Tensor, bias_BC: Tensor, gates: bool = False) -> tuple[Tensor, ...]:
    """Logits logit_BT of one member's tasks, without dropout; with ``gates`` the weights of its tasks' gates, level by level."""
    model.trunk.eval()
    own = {name.removeprefix("trunk."): value for name, value in values.items() if name.startswith("trunk.")}
    result: tuple[Tensor, ...] = functional_call(model.trunk, own, (x_BD, bias_BC, gates), tie_weights=False)
    return result if gates else result[:1]


@torch.no_grad()
def mean_gates(model: MultiTaskModel, batch: Batch, m: int = 0) -> list[list[list[float]]]:
    """Member m's mean weight of each expert, by level and task, over the task's own rows; empty without gates, where
    the member has diverged, and where each replica has rows of its own.

    A task without a row in the batch, or whose gate sees nothing, has zeros.
    """
    if batch.replicas is not None:
        return []
    values = member_values(model, m)
    x_BD, bias_BC = read_inputs(model, values, batch)
    gates = run_trunk(model, values, x_BD, bias_BC, gates=True)
    moments = GateMoments()
    moments.add(gates, (batch.weight_BT > 0).unsqueeze(-1))
    means = [mean_TE for mean_TE, _ in moments.read()]
    return [mean_TE.round(5).tolist() for mean_TE in means] if all(np.isfinite(mean_TE).all() for mean_TE in means) else []


@contextmanager
def watching(trunk: nn.Module) -> Iterator[Callable[[], Seen]]:
    """While it lasts, every forward pass of the trunk is noted; the function given takes the notes of the last one."""
    notes, handles = Seen(), []
    levels = {name: module for name, module in trunk.named_modules() if isinstance(module, Mixture)}

    def note(where: Callable[[], dict[str, Tensor]], name: str, pick: Callable[[Any], Tensor]) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            where()[name] = pick(output).detach()

        return hook

    def take() -> Seen:
        nonlocal notes
        taken, notes = notes, Seen()
        return taken

    for name, module in trunk.named_modules():
        if isinstance(module, Dropout | nn.ReLU):
            handles.append(module.register_forward_hook(note(lambda: notes.hidden, name, side_by_side)))
        if isinstance(module, Gates):
            handles.append(module.register_forward_hook(note(lambda: notes.gate, name, lambda output: output)))
        within = any(name.startswith(f"{level}.") for level in levels)
        if isinstance(module, Mixture) or (isinstance(module, Experts) and not within):
            handles.append(module.register_forward_hook(note(lambda: notes.expert, name, lambda output: output[0])))
    for level in levels.values():
        level.watched = True
    try:
        yield take
    finally:
        for handle in handles:
            handle.remove()
        for level in levels.values():
            level.watched = False


def side_by_side(hidden: Tensor) -> Tensor:
    """A layer's units as (B, N, H); one network alone is N = 1."""
    return hidden if hidden.ndim == 3 else hidden.flatten(1).unsqueeze(1)
