"""Per-task losses on logits, masked.

Shape suffixes: M members (1 where all see the same rows), B batch, T tasks of a member, O outputs of a model, P pairs of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from manygate.model.ordinal import Ordinals
from manygate.schema import Task


class Losses:
    """Each task's mean loss over its own rows.

    Tang et al., "Progressive Layered Extraction", RecSys 2020, section 4.3: a task's loss is normalised by the rows of its own
    sample space, here of the batch and by weight; a batch without any contributes exactly 0, and rows outside change nothing.
    Departure: the paper normalises over all rows, so here a task's row counts more in a batch with few of its kind, and with row
    weights the mean of such batches is not the whole's.

    - ``cross_entropy``: from logits.
    - ``pairwise``: the mean of the cross-entropy and of RankNet's loss over pairs of rows of one group whose labels differ (Burges
      et al., ICML 2005; the combination: Li et al., "Click-through Prediction for Advertising in Twitter Timeline", KDD 2015).
    - ``squared``, ``huber`` (linear beyond one standard deviation), ``quantile`` (Koenker & Bassett 1978): of the standardised
      label; ``log``: squared error of the standardised log(1 + label).
    - ``ordinal``: cross-entropies of exceeding each of the label's cuts (:mod:`manygate.model.ordinal`).

    >>> losses = Losses([Task(name="click")], torch.tensor([[0]]))
    >>> losses(torch.tensor([[[0.0], [5.0]]]), torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[1.0], [0.0]]]))
    tensor([[0.6931]])
    """

    def __init__(self, tasks: Sequence[Task], task_MT: Tensor, ordinal: Ordinals | None = None):
        """``task_MT``: which tasks a member has; ``ordinal``: where a model's outputs hold what ordinal tasks need."""
        self.tasks, self.task_MT, self.ordinal = tuple(tasks), task_MT, ordinal
        self.tasks_M = task_MT.tolist()
        self.used = dict.fromkeys(task.trained_by for task in tasks)
        self.is_MT = {name: self._of([task.trained_by == name for task in tasks]) for name in self.used}
        self.quantile_MT = self._of([task.quantile for task in tasks])

    def _of(self, values: Sequence[float | bool]) -> Tensor:
        return torch.tensor(values, device=self.task_MT.device)[self.task_MT]

    def __call__(self, output_MBO: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_MB: Tensor | None = None) -> Tensor:
        """loss_MT of the outputs, whose first T columns are the tasks' logits; ``group_MB`` is needed by pairwise losses."""
        loss_MT = weighted_mean(self.rows(output_MBO, label_MBT), weight_MBT)
        if "pairwise" in self.used and group_MB is not None:
            pairs_MT = pairwise(output_MBO[..., : label_MBT.shape[-1]], label_MBT, weight_MBT, group_MB)
            return torch.where(self.is_MT["pairwise"], (loss_MT + pairs_MT) / 2, loss_MT)
        return loss_MT

    def rows(self, output_MBO: Tensor, label_MBT: Tensor) -> Tensor:
        """The loss of every row, label and member; of a pairwise loss the part that rows have alone."""
        logit_MBT, names = output_MBO[..., : label_MBT.shape[-1]].float(), [name for name in self.used if name != "ordinal"]
        if len(self.used) == len(names) == 1:
            return self._rows(names[0], logit_MBT, label_MBT)
        found = torch.zeros_like(logit_MBT)
        if "ordinal" in self.used:
            assert self.ordinal is not None
            found = self.ordinal.rows(output_MBO, label_MBT, self.tasks_M)
        for name in names:  # another kind's logits are put to 0: their loss might overflow
            is_M1T = self.is_MT[name].unsqueeze(1)
            found = self._rows(name, logit_MBT.where(is_M1T, 0.0), label_MBT).where(is_M1T, found)
        return found

    def _rows(self, name: str, logit_MBT: Tensor, label_MBT: Tensor) -> Tensor:
        error_MBT = logit_MBT - label_MBT
        match name:
            case "squared" | "log":
                return error_MBT.square()
            case "huber":
                return 2 * F.huber_loss(logit_MBT, label_MBT.expand_as(logit_MBT), reduction="none")
            case "quantile":
                return torch.maximum((self.quantile_MT.unsqueeze(1) - 1) * -error_MBT, self.quantile_MT.unsqueeze(1) * -error_MBT)
        return -F.logsigmoid(-logit_MBT) - label_MBT * logit_MBT  # softplus rounds otherwise at the end of an array


def weighted_mean(value_MBT: Tensor, weight_MBT: Tensor) -> Tensor:
    """The mean over rows by weight; 0 where no row has any.

    Sums are float64, so that rows of weight 0, which move the terms to other places of the sum, do not change it.
    """
    weight_MT = weight_MBT.sum(dim=1, dtype=torch.float64)
    total_MT = (value_MBT * weight_MBT).sum(dim=1, dtype=torch.float64)
    return (total_MT / weight_MT.where(weight_MT > 0, 1.0)).float()


def pairwise(logit_MBT: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_MB: Tensor) -> Tensor:
    """RankNet's loss, loss_MT: the mean of log(1 + exp(-(z_i - z_j))) over pairs of a group's rows with y_i > y_j.

    A pair weighs the product of its rows' weights; 0 where there is no pair.

    >>> label, weight = torch.tensor([[[1.0], [0.0], [0.0]]]), torch.ones(1, 3, 1)
    >>> pairwise(torch.tensor([[[0.0], [0.0], [9.0]]]), label, weight, torch.tensor([[4, 4, 7]]))
    tensor([[0.6931]])
    """
    found = [
        _pairs(logit_MBT if len(group_MB) == 1 else logit_MBT[m : m + 1], _own(label_MBT, m), _own(weight_MBT, m), group_B)
        for m, group_B in enumerate(group_MB)
    ]
    return torch.cat(found)


def _own(value_MBT: Tensor, m: int) -> Tensor:
    return value_MBT if len(value_MBT) == 1 else value_MBT[m : m + 1]


def _pairs(logit_MBT: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_B: Tensor) -> Tensor:
    first_P, second_P = torch.nonzero(torch.triu(group_B.unsqueeze(0) == group_B.unsqueeze(1), diagonal=1)).unbind(dim=1)
    difference_MPT = label_MBT[:, first_P] - label_MBT[:, second_P]
    weight_MPT = weight_MBT[:, first_P] * weight_MBT[:, second_P] * (difference_MPT != 0)
    ahead_MPT = (logit_MBT[:, first_P] - logit_MBT[:, second_P]).float() * difference_MPT.sign()
    return weighted_mean(F.softplus(-ahead_MPT), weight_MPT)
