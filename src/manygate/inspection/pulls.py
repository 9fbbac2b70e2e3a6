"""This module measures how the gradients of tasks conflict, layer by layer, and how a step for one task changes the other losses.

Shape suffixes: B rows, T tasks, D input of the trunk.

Both measures use no dropout, and batches of the inspected rows. These should be rows that training did not use: at the end of
training the gradients of all tasks over the training rows add up to about zero, so that two tasks always disagree on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from manygate.data.batches import Batch, Split
from manygate.inspection.survey import layer_name
from manygate.model import MultiTaskModel
from manygate.model.member import Values, member_values, read_inputs, run_trunk
from manygate.objective.funnel import FunnelLosses
from manygate.objective.loss import Losses
from manygate.results.inspection import Affinity, Conflict

BATCHES = 16
STEP = 0.001
"""Length of the look-ahead step, as a share of the length of all shared parameters."""

X = "input"
Layers = dict[str, list[str]]
"""Names of parameters by layer."""
Gradients = dict[str, list[Tensor]]
"""The gradient of each task's loss, by parameter and for ``x``, the trunk's input; sparse for tables with sparse gradients."""


def shared_layers(model: MultiTaskModel) -> Layers:
    """List the names of the parameters that several tasks train, by layer, in the order of the forward pass."""
    shared_ids = {id(value) for value in model.trunk.architecture.shared_parameters()}
    shared = [
        name for name, value in model.trunk.named_parameters() if id(value) in shared_ids or name.startswith(("cross.", "lower."))
    ]
    layers: Layers = {}
    for name in model.parameters:
        if name.startswith("embedding."):
            layers.setdefault("embeddings", []).append(name)
    for name in shared:
        layers.setdefault(layer_name(model.trunk, _layer_of(name)), []).append(f"trunk.{name}")
    return layers


def _layer_of(parameter: str) -> str:
    """Name the part of a scheme that a parameter belongs to, if no level or network holds it.

    The name is the first name in the parameter's path, with the number that follows it.

    >>> _layer_of("architecture.layers.0.core"), _layer_of("architecture.stitch")
    ('architecture.layers.0', 'architecture.stitch')
    """
    path = parameter.split(".")
    depth = 3 if len(path) > 3 and path[2].isdigit() else 2
    return parameter if path[0] != "architecture" or "levels" in path or "banks" in path else ".".join(path[:depth])


def gradient_batches(split: Split, size: int) -> list[Batch]:
    """Take up to 16 batches of at most ``size`` rows, each spread over the whole split; none if the split has fewer than 2 rows."""
    count = min(BATCHES, len(split) // 2)
    return [split.take(torch.arange(b, len(split), count, device=split.device)[:size]) for b in range(count)]


def losses_of(model: MultiTaskModel) -> FunnelLosses:
    """Build the losses that the model was trained with."""
    tasks = model.problem.tasks
    task_indices = torch.arange(len(tasks), device=model.device).unsqueeze(0)
    return FunnelLosses(Losses(tasks, task_indices, model.ordinals), model.targets, model.config)


def losses(model: MultiTaskModel, values: Values, batch: Batch, x_BD: Tensor, bias_BC: Tensor, by: FunnelLosses) -> Tensor:
    """Compute each task's mean loss over its rows of a batch, loss_T."""
    output_1BO = run_trunk(model, values, x_BD, bias_BC)[0].unsqueeze(0)
    return by(output_1BO, batch.label_BT.unsqueeze(0), batch.weight_BT.unsqueeze(0))[0].squeeze(0)


@torch.enable_grad()
def task_gradients(
    model: MultiTaskModel, values: Values, batch: Batch, layers: Layers, by: FunnelLosses
) -> tuple[Gradients, Tensor]:
    """Compute the gradient of each task's loss, and the losses loss_T."""
    leaves = {name: values[name].detach().requires_grad_() for names in layers.values() for name in names}
    replaced = {**values, **leaves}
    x_BD, bias_BC = read_inputs(model, replaced, batch)
    if not x_BD.requires_grad:
        x_BD.requires_grad_()
    loss_T = losses(model, replaced, batch, x_BD, bias_BC, by)
    sources = {"x": x_BD, **leaves}
    gradients_of: Gradients = {name: [] for name in sources}
    for loss in loss_T:
        gradients = torch.autograd.grad(loss, list(sources.values()), retain_graph=True, allow_unused=True)
        for (name, source), gradient in zip(sources.items(), gradients, strict=True):
            gradients_of[name].append(torch.zeros_like(source) if gradient is None else gradient.detach())
    return gradients_of, loss_T.detach()


def layer_cosines(gradients: Gradients, layers: Layers, tasks: int) -> dict[tuple[str, int, int], float]:
    """Compute the cosine of the gradients of each pair of tasks, by layer and for ``x``.

    A pair is left out of a layer if no number in it has a gradient from both tasks.
    """
    cosines = {}
    for layer, names in {**layers, X: ["x"]}.items():
        flat_T = [torch.cat([_flat(gradients[name][t]) for name in names]) for t in range(tasks)]
        for a, b in combinations(range(tasks), 2):
            cosine = common_cosine(flat_T[a], flat_T[b])
            if cosine is not None:
                cosines[layer, a, b] = cosine
    return cosines


def _flat(gradient: Tensor) -> Tensor:
    """Flatten a gradient; sparse gradients of one batch have the same rows for every task."""
    return (gradient.coalesce().values() if gradient.is_sparse else gradient).flatten()


def common_cosine(first: Tensor, second: Tensor) -> float | None:
    """Compute the cosine of two gradients over the numbers that both tasks train; None if there are no such numbers.

    A number that only one of two tasks trains (in its own gate, or in the embedding of an id that the other has no row of) is no
    sign of conflict. It would only make the cosine smaller.

    >>> common_cosine(torch.tensor([1.0, 0.0, 5.0]), torch.tensor([-1.0, 1.0, 0.0]))
    -1.0
    """
    both = (first != 0) & (second != 0)
    if not both.any():
        return None
    a, b = first[both].double(), second[both].double()
    return float((a / a.norm()) @ (b / b.norm()))


def conflict_report(cosines: dict[tuple[str, int, int], list[list[float]]], tasks: Sequence[str]) -> list[Conflict]:
    """Report the mean cosine of each layer and pair of tasks, its standard error over batches, and the share of batches below 0.

    ``cosines`` holds, by layer and pair, a list for each replica with the cosines of its batches.
    """
    report = []
    for (layer, a, b), by_replica in cosines.items():
        value = np.concatenate([np.asarray(cosines_of_replica, dtype=np.float64) for cosines_of_replica in by_replica])
        if len(value):
            report.append(
                Conflict(
                    layer=layer,
                    tasks=[tasks[a], tasks[b]],
                    mean=float(value.mean()),
                    se=standard_error(value),
                    below_zero=float((value < 0).mean()),
                    by_replica=[
                        float(np.mean(cosines_of_replica)) if len(cosines_of_replica) else None for cosines_of_replica in by_replica
                    ],
                )
            )
    return report


def standard_error(value: np.ndarray) -> float | None:
    """Compute the standard error of the mean; None for one value."""
    return float(value.std(ddof=1) / len(value) ** 0.5) if len(value) > 1 else None


@torch.no_grad()
def look_ahead(
    model: MultiTaskModel,
    values: Values,
    batch: Batch,
    layers: Layers,
    gradients: Gradients,
    loss_T: Tensor,
    by: FunnelLosses,
) -> np.ndarray:
    """Compute Z[i, j] = 1 - L_j(after a step for task i) / L_j(before), affinity_TT; NaN if a task has no row in the batch.

    This is the inter-task affinity of Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021:
    only the shared parameters move. Departure: all steps have the same length, .001 of the length of the shared parameters, so that
    tasks with large gradients do not seem the most helpful. The paper takes the optimizer's step during training.
    """
    names = [name for layer in layers.values() for name in layer]
    length = STEP * _norm([values[name] for name in names])
    affinity_TT = np.full((len(loss_T), len(loss_T)), np.nan)
    before_T = loss_T.double().cpu().numpy()
    for i in range(len(loss_T)):
        norm = _norm([_flat(gradients[name][i]) for name in names])
        if norm > 0:
            moved = {**values, **{name: values[name] - gradients[name][i].to_dense() * (length / norm) for name in names}}
            after_T = losses(model, moved, batch, *read_inputs(model, moved, batch), by).double().cpu().numpy()
            affinity_TT[i] = np.where(before_T > 0, 1 - after_T / np.where(before_T > 0, before_T, 1.0), np.nan)
    return affinity_TT


def _norm(values: Sequence[Tensor]) -> float:
    return float(sum(float(value.double().square().sum()) for value in values)) ** 0.5


def affinity_report(affinity_STT: np.ndarray, tasks: Sequence[str]) -> list[Affinity]:
    """Report how a step for task ``of`` changes the loss of task ``on``: mean and standard error over batches and replicas.

    A positive number means that the loss falls. ``affinity_STT`` has a matrix for each batch.
    """
    report = []
    for i, of in enumerate(tasks):
        for j, on in enumerate(tasks):
            value_S = affinity_STT[:, i, j]
            value_S = value_S[np.isfinite(value_S)]
            if len(value_S):
                report.append(Affinity(of=of, on=on, mean=float(value_S.mean()), se=standard_error(value_S)))
    return report


class Pulls(NamedTuple):
    """Conflict and affinity between tasks."""

    conflict: list[Conflict]
    affinity: list[Affinity]


def pulls_report(model: MultiTaskModel, split: Split, affinity: bool = True) -> Pulls:
    """Measure conflict and affinity between the tasks of each replica; both are empty if tasks share no parameters."""
    names = model.problem.task_names
    if model.scheme.one_model_per_task or len(names) < 2:
        return Pulls([], [])
    layers, by = shared_layers(model), losses_of(model)
    batches = gradient_batches(split, model.config.batch_rows)
    cosines: dict[tuple[str, int, int], list[list[float]]] = {
        (layer, a, b): [[] for _ in range(model.replicas)] for layer in [*layers, X] for a, b in combinations(range(len(names)), 2)
    }
    steps = []
    for m, member in enumerate(model.members):
        values = member_values(model, m)
        for batch in batches:
            gradients, loss_T = task_gradients(model, values, batch, layers, by)
            for key, cosine in layer_cosines(gradients, layers, len(names)).items():
                cosines[key][member.replica].append(cosine)
            if affinity:
                steps.append(look_ahead(model, values, batch, layers, gradients, loss_T, by))
    affinities = affinity_report(np.stack(steps), names) if steps else []
    return Pulls(conflict_report(cosines, names), affinities)
