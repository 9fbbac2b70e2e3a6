"""Labels that have an order: how likely is each of K cuts exceeded?

McCullagh, "Regression Models for Ordinal Data", J. R. Stat. Soc. B 1980 (proportional odds): one logit z of a row, and

    P(y > cut_k) = sigmoid(z - theta_k),    theta_1 = 0 <= theta_2 <= ... <= theta_K learned,

so that the probabilities never cross. It is trained by the mean of the K cross-entropies, as in Cao et al., "Rank consistent
ordinal regression for neural networks" (CORAL), Pattern Recognition Letters 2020, whose thresholds are ordered only at the optimum;
here they are by construction. What is predicted is the mean,

    E[y] = m_0 + sum over k of P(y > cut_k) (m_k - m_(k-1)),

m_k being the mean training label of level k. (Sun et al., "CREAD", AAAI 2024, restore watch times so from classifiers, one network
output a cut, with the cuts themselves in place of the means.)

Shape suffixes: M members, B batch, T tasks, K cuts of a task, G = K - 1 gaps between its thresholds, O outputs of a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manygate.data.labels import Levels

Members = list[int] | None
"""Which members; None for all."""
By = Callable[[Tensor, Members, int, Levels], Tensor]
"""Logits z_MBK of some members, which they are, column and levels of the task -> what takes the column's place."""


class Thresholds(nn.Module):
    """From each ordinal task's logit, that of exceeding its first cut, those of exceeding its other cuts.

    The gaps between thresholds are softplus of what is learned; at first those of levels of equal mass.

    **Shape**: logit_BT -> further_BG, the tasks' one after the other.

    >>> thresholds = Thresholds([(1, 3)])
    >>> thresholds(torch.tensor([[9.0, 0.0]])).sigmoid() * 4  # three cuts: 1/2, and what quarters make of it
    tensor([[1.0000, 0.4000]], grad_fn=<MulBackward0>)
    """

    undecayed = ("gap",)

    def __init__(self, cuts: Sequence[tuple[int, int]]):
        """``cuts``: pairs of an ordinal task and how many cuts it has."""
        super().__init__()
        self.cuts = tuple(cuts)
        self.gap = nn.Parameter(torch.cat([torch.zeros(0), *(equal_gaps(count) for _, count in cuts)]))

    def forward(self, logit_BT: Tensor) -> Tensor:
        gaps = F.softplus(self.gap).split([count - 1 for _, count in self.cuts])
        further = [logit_BT[:, t : t + 1] - gap_G.cumsum(0) for (t, _), gap_G in zip(self.cuts, gaps, strict=True)]
        return torch.cat(further, dim=-1)


def equal_gaps(cuts: int) -> Tensor:
    """Gaps between the thresholds of levels of equal mass, before softplus: of logit(k / (K + 1))."""
    share_K = torch.arange(1, cuts + 1, dtype=torch.float64) / (cuts + 1)
    return torch.logit(share_K).diff().expm1().log().float()


def ordinal_loss(z_MBK: Tensor, label_MB: Tensor, levels: Levels) -> Tensor:
    """The mean of the cross-entropies of all cuts, loss_MB.

    >>> levels = Levels(cuts=(1.0, 2.0), means=(0.0, 2.0, 5.0))
    >>> ordinal_loss(torch.tensor([[[0.0, -1.0]]]), torch.tensor([[2.0]]), levels)
    tensor([[0.5032]])
    """
    above_MBK = (label_MB.unsqueeze(-1) > label_MB.new_tensor(levels.cuts)).float()
    return (-F.logsigmoid(-z_MBK) - above_MBK * z_MBK).mean(dim=-1)


def expected_label(z_MBK: Tensor, levels: Levels) -> Tensor:
    """E[y], (M, B), in the unit of the levels.

    >>> expected_label(torch.tensor([[[0.0, -1e4]]]), Levels(cuts=(1.0, 2.0), means=(0.0, 2.0, 5.0)))
    tensor([[1.]])
    """
    step_K = z_MBK.new_tensor(levels.means).diff()
    return levels.means[0] + (z_MBK.sigmoid() * step_K).sum(dim=-1)


class Ordinals:
    """The ordinal tasks among a model's, and where its outputs hold their further logits (see :class:`Thresholds`).

    A model per task has as many for each task as the one with the most cuts, since all members have the same shapes.
    """

    def __init__(self, levels: Sequence[Levels | None], own_tasks: int, first: int):
        """``own_tasks``: how many tasks a member has; ``first``: the first of the further columns."""
        self.levels = {t: one for t, one in enumerate(levels) if one is not None}
        counts = {t: len(one.cuts) for t, one in self.levels.items()}
        self.cuts = list(counts.items())
        if own_tasks == 1 and counts:
            self.cuts = [(0, max(counts.values()))]
        self.starts: dict[int, int] = {}
        for t, count in counts.items():
            self.starts[t] = first
            first += count - 1 if own_tasks > 1 else 0

    def begin(self, gap_G: Tensor, bias_O: Tensor, tasks: Sequence[int]) -> None:
        """Put a member's first values in place: before it has learnt, its levels are equally likely."""
        for column, t in enumerate(tasks):
            if t in self.levels:
                cuts = len(self.levels[t].cuts)
                bias_O[column] = math.log(cuts)  # the logit of cuts / (cuts + 1)
                if len(tasks) == 1:
                    gap_G[: cuts - 1] = equal_gaps(cuts)

    def rows(self, output_MBO: Tensor, label_MBT: Tensor, tasks_M: Sequence[Sequence[int]]) -> Tensor:
        """The loss of every row, member and task; 0 of tasks that are not ordinal. ``tasks_M`` are the tasks of each member."""

        def loss(z_MBK: Tensor, where: Members, column: int, levels: Levels) -> Tensor:
            own_mBT = _of(label_MBT, where) if len(label_MBT) > 1 else label_MBT
            return ordinal_loss(z_MBK, own_mBT[..., column], levels)

        zero_MBT = torch.zeros_like(output_MBO[..., : label_MBT.shape[-1]], dtype=torch.float32)
        return self._replaced(zero_MBT, output_MBO, tasks_M, loss)

    def read(self, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]]) -> Tensor:
        """The tasks' outputs (M, B, T): logits, and of ordinal tasks the expected label."""
        logit_MBT = output_MBO[..., : len(tasks_M[0])]
        return self._replaced(logit_MBT, output_MBO, tasks_M, lambda z_MBK, _where, _column, levels: expected_label(z_MBK, levels))

    def _replaced(self, value_MBT: Tensor, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]], by: By) -> Tensor:
        """``value_MBT`` with the columns of ordinal tasks replaced."""
        if not self.levels:
            return value_MBT
        groups: dict[tuple[int, ...], list[int]] = {}  # a model per task has members with other tasks
        for m, own in enumerate(tasks_M):
            groups.setdefault(tuple(own), []).append(m)
        if len(groups) == 1:
            return self._columns(value_MBT, output_MBO, None, tasks_M[0], by)
        parts = [self._columns(_of(value_MBT, where), _of(output_MBO, where), where, own, by) for own, where in groups.items()]
        order = torch.tensor([m for where in groups.values() for m in where], device=value_MBT.device)
        return torch.cat(parts).index_select(0, order.argsort())

    def _columns(self, value_mBT: Tensor, output_mBO: Tensor, where: Members, own: Sequence[int], by: By) -> Tensor:
        """``value_mBT`` of members with the same tasks, with the columns of ordinal ones replaced."""
        columns = list(value_mBT.unbind(-1))
        for column, t in enumerate(own):
            if t in self.levels:
                columns[column] = by(self._exceeding(output_mBO, column, t), where, column, self.levels[t])
        return torch.stack(columns, dim=-1)

    def _exceeding(self, output_MBO: Tensor, column: int, t: int) -> Tensor:
        """Logits z_MBK of exceeding each cut of a task."""
        start, gaps = self.starts[t], len(self.levels[t].cuts) - 1
        return torch.cat([output_MBO[..., column : column + 1], output_MBO[..., start : start + gaps]], dim=-1).float()


def _of(value_MBX: Tensor, where: Members) -> Tensor:
    """Some members' part."""
    return value_MBX if where is None else value_MBX.index_select(0, torch.tensor(where, device=value_MBX.device))
