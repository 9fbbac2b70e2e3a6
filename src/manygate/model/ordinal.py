"""Ordinal tasks: K cuts divide the label into K + 1 levels, and the model predicts the probability that it exceeds each cut.

McCullagh, "Regression Models for Ordinal Data", J. R. Stat. Soc. B 1980 (proportional odds): A row has one logit z, and

    P(y > cut_k) = sigmoid(z - theta_k),    theta_1 = 0 <= theta_2 <= ... <= theta_K learned.

So a higher cut never has a higher probability. The loss is the mean of the K cross-entropies, as in Cao et al., "Rank consistent
ordinal regression for neural networks" (CORAL), Pattern Recognition Letters 2020. CORAL's thresholds are ordered only at the
optimum. Here the thresholds are ordered by construction. The prediction is the expected label,

    E[y] = m_0 + sum over k of P(y > cut_k) (m_k - m_(k-1)),

where m_k is the mean training label of level k. Sun et al., "CREAD", AAAI 2024, predict watch times in this way from classifiers.
They have one network output for each cut, and use the cuts in place of the means.

Shape suffixes: M members (m of them), B batch, T tasks, K cuts of a task, G = K - 1 gaps between its thresholds, O outputs of a
model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manygate.data.labels import Levels

MemberIndices = list[int] | None
"""The indices of some members. None means all members."""
ColumnFunction = Callable[[Tensor, MemberIndices, int, Levels], Tensor]
"""Computes a column (m, B) of an ordinal task from the logits z_mBK of some members, the indices of the members, the column of the
task and its levels."""


class Thresholds(nn.Module):
    """Computes the logits of all further cuts of ordinal tasks from the logits of their first cuts.

    The gaps between thresholds are softplus of the parameter ``gap``. At first they are the gaps of levels of equal probability.

    **Shape**: logit_BT -> further_BG. The columns of the tasks are one after the other.

    In the example, task 1 has three cuts. Its logit 0 is that of the first cut. Both further logits are lower by log 3 each.

    >>> thresholds = Thresholds([(1, 3)])
    >>> thresholds(torch.tensor([[9.0, 0.0]])).sigmoid()
    tensor([[0.2500, 0.1000]], grad_fn=<SigmoidBackward0>)
    """

    undecayed = ("gap",)

    def __init__(self, cuts: Sequence[tuple[int, int]]):
        """``cuts`` holds pairs (index of an ordinal task, number of its cuts)."""
        super().__init__()
        self.cuts = tuple(cuts)
        self.gap = nn.Parameter(torch.cat([torch.zeros(0), *(equal_gaps(count) for _, count in cuts)]))

    def forward(self, logit_BT: Tensor) -> Tensor:
        gaps = F.softplus(self.gap).split([count - 1 for _, count in self.cuts])
        further = [logit_BT[:, t : t + 1] - gap_G.cumsum(0) for (t, _), gap_G in zip(self.cuts, gaps, strict=True)]
        return torch.cat(further, dim=-1)


def equal_gaps(cuts: int) -> Tensor:
    """Return the gaps between the thresholds of levels of equal probability, (K - 1,), before softplus.

    The thresholds of such levels are logit(k / (K + 1)).
    """
    share_K = torch.arange(1, cuts + 1, dtype=torch.float64) / (cuts + 1)
    return torch.logit(share_K).diff().expm1().log().float()


def ordinal_loss(z_MBK: Tensor, label_MB: Tensor, levels: Levels) -> Tensor:
    """Return the mean of the cross-entropies of all cuts, loss_MB.

    >>> levels = Levels(cuts=(1.0, 2.0), means=(0.0, 2.0, 5.0))
    >>> ordinal_loss(torch.tensor([[[0.0, -1.0]]]), torch.tensor([[2.0]]), levels)
    tensor([[0.5032]])
    """
    above_MBK = (label_MB.unsqueeze(-1) > label_MB.new_tensor(levels.cuts)).float()
    return (-F.logsigmoid(-z_MBK) - above_MBK * z_MBK).mean(dim=-1)


def expected_label(z_MBK: Tensor, levels: Levels) -> Tensor:
    """Return the expected label E[y], (M, B), in the unit of ``levels.means``.

    >>> expected_label(torch.tensor([[[0.0, -1e4]]]), Levels(cuts=(1.0, 2.0), means=(0.0, 2.0, 5.0)))
    tensor([[1.]])
    """
    step_K = z_MBK.new_tensor(levels.means).diff()
    return levels.means[0] + (z_MBK.sigmoid() * step_K).sum(dim=-1)


class Ordinals:
    """Holds the ordinal tasks of a model and the columns of its outputs with their further logits (see :class:`Thresholds`).

    If there is one model per task, every task has as many further logits as the task with the most cuts, because all members have
    the same shapes.
    """

    def __init__(self, levels: Sequence[Levels | None], member_tasks: int, first: int):
        """``member_tasks`` is the number of tasks of a member. ``first`` is the first of the columns with further logits."""
        self.levels = {t: task_levels for t, task_levels in enumerate(levels) if task_levels is not None}
        counts = {t: len(task_levels.cuts) for t, task_levels in self.levels.items()}
        self.cuts = list(counts.items())
        if member_tasks == 1 and counts:
            self.cuts = [(0, max(counts.values()))]
        self.starts: dict[int, int] = {}
        for t, count in counts.items():
            self.starts[t] = first
            first += count - 1 if member_tasks > 1 else 0

    def initialise(self, gap_G: Tensor, bias_O: Tensor, tasks: Sequence[int]) -> None:
        """Set a member's initial gaps and biases in place, so that all levels of a task have the same probability at first."""
        for column, t in enumerate(tasks):
            if t in self.levels:
                cuts = len(self.levels[t].cuts)
                bias_O[column] = math.log(cuts)  # the logit of cuts / (cuts + 1)
                if len(tasks) == 1:
                    gap_G[: cuts - 1] = equal_gaps(cuts)

    def rows(self, output_MBO: Tensor, label_MBT: Tensor, tasks_M: Sequence[Sequence[int]]) -> Tensor:
        """Return the loss of every member, row and task, (M, B, T). It is 0 for tasks that are not ordinal.

        ``tasks_M`` holds the indices of each member's tasks.
        """

        def loss(z_mBK: Tensor, members: MemberIndices, column: int, levels: Levels) -> Tensor:
            label_mBT = _of_members(label_MBT, members) if len(label_MBT) > 1 else label_MBT
            return ordinal_loss(z_mBK, label_mBT[..., column], levels)

        zero_MBT = torch.zeros_like(output_MBO[..., : label_MBT.shape[-1]], dtype=torch.float32)
        return self._replaced(zero_MBT, output_MBO, tasks_M, loss)

    def read(self, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]]) -> Tensor:
        """Return the tasks' outputs (M, B, T): the expected label of ordinal tasks, and the logits of other tasks."""
        logit_MBT = output_MBO[..., : len(tasks_M[0])]
        return self._replaced(
            logit_MBT, output_MBO, tasks_M, lambda z_mBK, _members, _column, levels: expected_label(z_mBK, levels)
        )

    def _replaced(
        self, value_MBT: Tensor, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]], function: ColumnFunction
    ) -> Tensor:
        """Return ``value_MBT`` with the columns of ordinal tasks computed by ``function``."""
        if not self.levels:
            return value_MBT
        groups: dict[tuple[int, ...], list[int]] = {}  # if there is one model per task, members have different tasks
        for m, tasks in enumerate(tasks_M):
            groups.setdefault(tuple(tasks), []).append(m)
        if len(groups) == 1:
            return self._columns(value_MBT, output_MBO, None, tasks_M[0], function)
        parts = [
            self._columns(_of_members(value_MBT, members), _of_members(output_MBO, members), members, tasks, function)
            for tasks, members in groups.items()
        ]
        order = torch.tensor([m for members in groups.values() for m in members], device=value_MBT.device)
        return torch.cat(parts).index_select(0, order.argsort())

    def _columns(
        self, value_mBT: Tensor, output_mBO: Tensor, members: MemberIndices, tasks: Sequence[int], function: ColumnFunction
    ) -> Tensor:
        """Do the same as :meth:`_replaced` for members with the same tasks."""
        columns = list(value_mBT.unbind(-1))
        for column, t in enumerate(tasks):
            if t in self.levels:
                columns[column] = function(self._exceeding(output_mBO, column, t), members, column, self.levels[t])
        return torch.stack(columns, dim=-1)

    def _exceeding(self, output_MBO: Tensor, column: int, t: int) -> Tensor:
        """Return the logits z_MBK of exceeding each cut of a task."""
        start, gaps = self.starts[t], len(self.levels[t].cuts) - 1
        return torch.cat([output_MBO[..., column : column + 1], output_MBO[..., start : start + gaps]], dim=-1).float()


def _of_members(value_MBX: Tensor, members: MemberIndices) -> Tensor:
    """Return the part of some members."""
    return value_MBX if members is None else value_MBX.index_select(0, torch.tensor(members, device=value_MBX.device))
