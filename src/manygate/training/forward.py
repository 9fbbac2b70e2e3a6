"""The forward pass of a training step: losses, penalties and the gradients that a weighting needs.

Shape suffixes: M members (m that are not left out), B batch, T tasks of a member, O outputs, R replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import Tensor

from manygate.data.batches import Batch
from manygate.kernels.cut import cut
from manygate.kernels.recording import Recorder
from manygate.model import MultiTaskModel
from manygate.objective.funnel import FunnelLosses
from manygate.objective.weighting import SharedGradients, gradients_at, gramian_of, inner_product, shared_gramian
from manygate.training.world import ALONE, World

Wanted = Literal["losses", "gramian", "gradients", "combined"]
"""What a weighting needs beside the losses: nothing, the Gramian, the Gramian and the gradients at the shared representation, or
the sum of these gradients with weights that are known before the pass."""


@dataclass(frozen=True)
class BatchLosses:
    """Holds the results of a forward pass."""

    loss_MT: Tensor
    present_MT: Tensor
    """True if the batch has rows of the task."""
    penalty_M: Tensor
    gramian_MTT: Tensor | None = None
    """Members that are left out have zeros."""
    shared: tuple[SharedGradients, ...] = ()
    """If the weights act on what is shared alone: the gradients there, and the losses' own graph ends there."""

    def backward(self, objective: Tensor, weight_MT: Tensor, active_M: Tensor) -> None:
        """Compute all gradients: those of the objective and, below what is shared, those of the losses times their weights."""
        gradients = [part.combined(weight_MT, active_M) for part in self.shared]
        torch.autograd.backward([objective, *(part.shared for part in self.shared)], [None, *gradients])


class Forward:
    """Runs the model and its losses on a batch. The trunk and the losses are recorded where they can be.

    In a ``world`` of several processes, the model runs on this process's part of the rows, and the losses are those of all rows.
    """

    def __init__(self, model: MultiTaskModel, losses: FunnelLosses, world: World = ALONE):
        self.model, self.losses, self.world = model, losses, world
        self.replica_M = torch.tensor([member.replica for member in model.members], device=model.device)
        self.task_M = torch.tensor([member.tasks[0] for member in model.members], device=model.device)
        self.has_layer, self.units = model.trunk.shared_layer() is not None, model.trunk.shared_units()
        self.recorder = Recorder(self._pass, list(model.trunk_values()))
        self.records = model.device.type == "cpu" and world.size == 1

    def __call__(
        self,
        batch: Batch,
        drawn: dict[str, Tensor],
        left_out: tuple[bool, ...],
        wanted: Wanted = "losses",
        weight_MT: Tensor | None = None,
    ) -> BatchLosses:
        """``left_out`` is true for each member to skip. ``weight_MT`` holds the weights of ``combined`` gradients."""
        part = self.world.part(len(batch))
        x_MBD, bias_MBC = self.model.embed(batch.part(part))
        drawn = {name: value_MBX[:, part] for name, value_MBX in drawn.items()}
        label_MBT, row_weight_MBT, group_MB = self._targets(batch)
        values = self.model.trunk_values(drawn) | {"x": x_MBD, "bias": bias_MBC, "label": label_MBT, "weight": row_weight_MBT}
        if group_MB is not None:
            values["group"] = group_MB
        if wanted == "combined":
            assert weight_MT is not None
            values["factor"] = weight_MT
        loss_MT, present_MT, penalty_M, *rest = (self.recorder if self.records else self._pass)(values, left_out, wanted)
        gramian_MTT = self.world.add_up(rest.pop(0)) if wanted in ("gramian", "gradients") else None
        if wanted in ("losses", "gramian"):
            return BatchLosses(loss_MT, present_MT, penalty_M, gramian_MTT)
        shared = [rest.pop(0) if self.has_layer else x_MBD]
        shared += [self.model.parameters[f"trunk.{name}"] for name in self.model.shared_above]
        return BatchLosses(loss_MT, present_MT, penalty_M, gramian_MTT, tuple(self._shared(shared, rest, left_out)))

    def _shared(self, shared: Sequence[Tensor], rest: Sequence[Tensor], left_out: tuple[bool, ...]) -> Iterator[SharedGradients]:
        """Put together what is shared and the gradients that :meth:`_pass` returned for it."""
        count = len(rest) // len(shared)
        for j, value in enumerate(shared):
            *gradients, penalty = rest[j * count : (j + 1) * count]
            members = None if len(value) == len(left_out) or len(left_out) == 1 else self._members(left_out)
            yield SharedGradients(value, gradients, penalty if penalty.numel() else None, None if j else self.units, members)

    def _members(self, left_out: tuple[bool, ...]) -> Tensor:
        """Return the indices of the members that are not left out."""
        return torch.tensor([m for m, out in enumerate(left_out) if not out], device=self.model.device)

    def _pass(self, values: dict[str, Tensor], left_out: tuple[bool, ...], wanted: Wanted) -> tuple[Tensor, ...]:
        """Compute the trunk, the losses and what else is wanted. The result depends on the arguments alone."""
        state = dict(values)
        x_MBD, bias_MBC, label_MBT, weight_MBT = (state.pop(name) for name in ("x", "bias", "label", "weight"))
        group_MB, factor_MT = state.pop("group", None), state.pop("factor", None)
        cuts = wanted in ("gradients", "combined")
        above = {name: cut(state[name]) for name in self.model.shared_above} if cuts else {}
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.model.config.precision == "bf16"):
            output_MBO, penalty_M, *shared = self.model.run(
                state | above, x_MBD, bias_MBC, True, stopped=left_out, shared=wanted != "losses", cuts=cuts
            )
        rows = label_MBT.shape[1]
        output_MBO, penalty_M = self.world.gather(output_MBO, rows), self.world.share_of(penalty_M, rows)
        loss_MT, present_MT = self.losses(output_MBO, label_MBT, weight_MBT, group_MB)
        results = loss_MT, present_MT, penalty_M
        if not cuts:
            return *results, *(self._gramian(loss_MT, representation, left_out) for representation in shared)
        below = shared[:1] if self.has_layer else []
        points = [shared[1], *above.values()]
        if factor_MT is not None:
            found = [gradients_at((loss_MT * factor_MT).sum(dim=1), points)]
            return *results, *below, *self._by_point(found, penalty_M, points)
        found = [gradients_at(loss_M, points) for loss_M in loss_MT.unbind(dim=1)]
        members = 1 if len(left_out) == 1 else len(points[0])
        gramian_mTT = gramian_of([gradients[0] for gradients in found], members, self.units, inner_product)
        return *results, self._placed(gramian_mTT, left_out), *below, *self._by_point(found, penalty_M, points)

    def _by_point(self, found: list[list[Tensor]], penalty_M: Tensor, points: list[Tensor]) -> Iterator[Tensor]:
        """Return, for each point, all gradients there, then that of the penalties, which is empty if they do not reach it."""
        of_penalty: Sequence[Tensor | None] = [None for _ in points]
        if penalty_M.requires_grad:
            of_penalty = torch.autograd.grad(penalty_M.sum(), points, retain_graph=True, allow_unused=True)
        nothing = penalty_M.new_empty(0)
        groups = zip(*found, (nothing if gradient is None else gradient for gradient in of_penalty), strict=True)
        return chain.from_iterable(groups)

    def _gramian(self, loss_MT: Tensor, shared: Tensor, left_out: tuple[bool, ...]) -> Tensor:
        """Return gramian_MTT. Members that are left out have zeros."""
        if len(shared) == len(loss_MT) or not any(left_out) or all(left_out):
            return shared_gramian(loss_MT, shared, self.units)
        return self._placed(shared_gramian(loss_MT.index_select(0, self._members(left_out)), shared, self.units), left_out)

    def _placed(self, gramian_mTT: Tensor, left_out: tuple[bool, ...]) -> Tensor:
        if len(gramian_mTT) == len(left_out):
            return gramian_mTT
        return gramian_mTT.new_zeros(len(left_out), *gramian_mTT.shape[1:]).index_copy(0, self._members(left_out), gramian_mTT)

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return labels and weights (M or 1, B, T), and groups (M or 1, B).

        With one model per task, each member has only its own labels.
        """
        both = (batch.label_BT, batch.weight_BT)
        label_RBT, weight_RBT = both if batch.replicas else (value.unsqueeze(0) for value in both)
        group_RB = batch.group_B if batch.group_B is None or batch.replicas else batch.group_B.unsqueeze(0)
        if len(self.model.members[0].tasks) == len(self.model.problem.tasks):
            return label_RBT, weight_RBT, group_RB
        replica_M = self.replica_M if batch.replicas else torch.zeros_like(self.replica_M)
        label_MB, weight_MB = (value[replica_M, :, self.task_M] for value in (label_RBT, weight_RBT))
        group_MB = group_RB[self.replica_M] if group_RB is not None and batch.replicas else group_RB
        return label_MB.unsqueeze(-1), weight_MB.unsqueeze(-1), group_MB
