"""Runs one member of a model and records the activations of its layers.

Shape suffixes: B rows, N networks side by side (experts, tasks), H hidden, E experts of a level, G gates, T tasks, D input, C bias
inputs.

A model's trunk holds no parameters and runs for all members at once (see :mod:`manygate.model.replicas`). Here it runs for one
member, so that forward hooks get plain tensors. The hooks are on the layers of this package and on ``nn.ReLU``. In a user's own
scheme, other layers are not recorded.
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
class Activations:
    """The activations of one forward pass, by the names of the trunk's modules."""

    hidden: dict[str, Tensor] = field(default_factory=dict)
    """The units of each hidden layer after ReLU, (B, N, H)."""
    expert: dict[str, Tensor] = field(default_factory=dict)
    """The outputs of the experts of a level, or of networks side by side, (B, E, H)."""
    gate: dict[str, Tensor] = field(default_factory=dict)
    """The weights of all gates of a level, (B, G, E)."""


def member_values(model: MultiTaskModel, m: int) -> Values:
    """Return member m's parameters. Tables are (V, 1, dim). Other parameters have no axis of members."""
    return {
        name: value.detach().select(0, m) if member_axis(name) == 0 else value.detach()[:, m : m + 1]
        for name, value in model.parameters.items()
    }


def first_replicas(model: MultiTaskModel, count: int) -> MultiTaskModel:
    """Return a model of the first ``count`` replicas, which shares their parameters.

    If the model has no more replicas than that, the model itself is returned.
    """
    if count >= model.replicas:
        return model
    part, kept = copy(model), sum(member.replica < count for member in model.members)
    part.config, part.members = model.config.of_replicas(0, count), model.members[:kept]
    part.parameters = {name: value.detach().narrow(member_axis(name), 0, kept) for name, value in model.parameters.items()}
    return part


def read_inputs(model: MultiTaskModel, values: Values, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the trunk's input x_BD of a batch and the bias inputs bias_BC."""
    x_1BD = model.embedding(_tables(values, "embedding"), batch, 1, model.sparse)
    bias_1BC = model.bias_embedding(_tables(values, "bias_embedding"), batch, 1, model.sparse)
    return x_1BD.squeeze(0), bias_1BC.squeeze(0)


def _tables(values: Values, owner: str) -> dict[int, Tensor]:
    return {int(name.rpartition(".")[2]): value for name, value in values.items() if name.startswith(f"{owner}.")}


def run_trunk(model: MultiTaskModel, values: Values, x_BD: Tensor, bias_BC: Tensor, gates: bool = False) -> tuple[Tensor, ...]:
    """Return the logits of one member's tasks, logit_BT, as a tuple of one tensor. Dropout is off.

    With ``gates`` the result is the gate weights (B, T, E) of each level instead.
    """
    model.trunk.eval()
    state = {name.removeprefix("trunk."): value for name, value in values.items() if name.startswith("trunk.")}
    result: tuple[Tensor, ...] = functional_call(model.trunk, state, (x_BD, bias_BC, gates), tie_weights=False)
    return result if gates else result[:1]


@torch.no_grad()
def mean_gates(model: MultiTaskModel, batch: Batch, m: int = 0) -> list[list[list[float]]]:
    """Return member m's mean weight of each expert, by level and task, over the rows of the task's sample space.

    The result is empty if the scheme has no gates, if the member has diverged, or if each replica has its own rows in the batch.
    The weights are zeros if the task has no row in the batch, or if its gate has no experts.
    """
    if batch.replicas is not None:
        return []
    values = member_values(model, m)
    x_BD, bias_BC = read_inputs(model, values, batch) if model.distant is None else (value[m] for value in model.embed(batch))
    gates = run_trunk(model, values, x_BD, bias_BC, gates=True)
    moments = GateMoments()
    moments.add(gates, (batch.weight_BT > 0).unsqueeze(-1))
    means = [mean_TE for mean_TE, _ in moments.read()]
    return [mean_TE.round(5).tolist() for mean_TE in means] if all(np.isfinite(mean_TE).all() for mean_TE in means) else []


@contextmanager
def record_activations(trunk: nn.Module) -> Iterator[Callable[[], Activations]]:
    """Record the activations of every forward pass of the trunk inside the ``with`` block.

    The context manager gives a function. It returns the activations of the last pass and clears them.
    """
    current, handles = Activations(), []
    levels = {name: module for name, module in trunk.named_modules() if isinstance(module, Mixture)}

    def hook_of(target: Callable[[], dict[str, Tensor]], name: str, pick: Callable[[Any], Tensor]) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            target()[name] = pick(output).detach()

        return hook

    def take() -> Activations:
        nonlocal current
        taken, current = current, Activations()
        return taken

    for name, module in trunk.named_modules():
        if isinstance(module, Dropout | nn.ReLU):
            handles.append(module.register_forward_hook(hook_of(lambda: current.hidden, name, side_by_side)))
        if isinstance(module, Gates):
            handles.append(module.register_forward_hook(hook_of(lambda: current.gate, name, lambda output: output)))
        within = any(name.startswith(f"{level}.") for level in levels)
        if isinstance(module, Mixture) or (isinstance(module, Experts) and not within):
            handles.append(module.register_forward_hook(hook_of(lambda: current.expert, name, lambda output: output[0])))
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
    """Return a layer's units as (B, N, H). A single network, (B, H), gets N = 1."""
    return hidden if hidden.ndim == 3 else hidden.flatten(1).unsqueeze(1)
