"""The loss of each task on logits. Rows outside a task's sample space have weight 0 and do not count.

Shape suffixes: M members (1 where all members have the same rows), B batch, T tasks of a member, O outputs of a model, P pairs of
rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from manygate.model.ordinal import Ordinals
from manygate.schema import Task


class Losses:
    """Computes each task's mean loss over the rows of its sample space.

    Tang et al., "Progressive Layered Extraction", RecSys 2020, section 4.3: A task's loss is normalised by the rows of its own
    sample space. Here these are the rows of the batch, by weight. A batch without such rows contributes exactly 0. Rows outside the
    sample space change nothing.
    Departure: The paper normalises over all rows of the data. Here a row counts more in a batch that has few rows of the task. With
    row weights, the mean of the batches' losses differs from the loss of the whole data.

    - ``cross_entropy``: the cross-entropy, computed from logits.
    - ``pairwise``: the mean of the cross-entropy and RankNet's loss. RankNet's loss uses pairs of rows of one group whose labels
      differ (Burges et al., ICML 2005). The combination is from Li et al., "Click-through Prediction for Advertising in Twitter
      Timeline", KDD 2015.
    - ``squared``, ``huber`` (linear beyond one standard deviation), ``quantile`` (Koenker & Bassett 1978): losses of the
      standardised label.
    - ``log``: the squared error of the standardised log(1 + label).
    - ``ordinal``: the mean cross-entropy of exceeding each cut of the label (:mod:`manygate.model.ordinal`).

    >>> losses = Losses([Task(name="click")], torch.tensor([[0]]))
    >>> losses(torch.tensor([[[0.0], [5.0]]]), torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[1.0], [0.0]]]))
    tensor([[0.6931]])
    """

    def __init__(self, tasks: Sequence[Task], task_MT: Tensor, ordinal: Ordinals | None = None):
        """``task_MT`` holds the indices of each member's tasks. ``ordinal`` reads the model's outputs for ordinal tasks."""
        self.tasks, self.task_MT, self.ordinal = tuple(tasks), task_MT, ordinal
        self.tasks_M = task_MT.tolist()
        self.used = dict.fromkeys(task.trained_by for task in tasks)
        self.is_MT = {name: self._by_member([task.trained_by == name for task in tasks]) for name in self.used}
        self.quantile_MT = self._by_member([task.quantile for task in tasks])

    def _by_member(self, values: Sequence[float | bool]) -> Tensor:
        return torch.tensor(values, device=self.task_MT.device)[self.task_MT]

    def __call__(self, output_MBO: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_MB: Tensor | None = None) -> Tensor:
        """Return loss_MT. The first T columns of the outputs are the tasks' logits. Pairwise losses need ``group_MB``."""
        loss_MT = weighted_mean(self.rows(output_MBO, label_MBT), weight_MBT)
        if "pairwise" in self.used and group_MB is not None:
            pairs_MT = pairwise(output_MBO[..., : label_MBT.shape[-1]], label_MBT, weight_MBT, group_MB)
            return torch.where(self.is_MT["pairwise"], (loss_MT + pairs_MT) / 2, loss_MT)
        return loss_MT

    def rows(self, output_MBO: Tensor, label_MBT: Tensor) -> Tensor:
        """Return the loss of every member, row and task, (M, B, T). For a pairwise loss this is the cross-entropy part alone."""
        logit_MBT, names = output_MBO[..., : label_MBT.shape[-1]].float(), [name for name in self.used if name != "ordinal"]
        if len(self.used) == len(names) == 1:
            return self._rows(names[0], logit_MBT, label_MBT)
        row_loss_MBT = torch.zeros_like(logit_MBT)
        if "ordinal" in self.used:
            assert self.ordinal is not None
            row_loss_MBT = self.ordinal.rows(output_MBO, label_MBT, self.tasks_M)
        for name in names:  # logits of tasks with another loss are set to 0, because this loss might overflow on them
            is_M1T = self.is_MT[name].unsqueeze(1)
            row_loss_MBT = self._rows(name, logit_MBT.where(is_M1T, 0.0), label_MBT).where(is_M1T, row_loss_MBT)
        return row_loss_MBT

    def _rows(self, name: str, logit_MBT: Tensor, label_MBT: Tensor) -> Tensor:
        error_MBT = logit_MBT - label_MBT
        match name:
            case "squared" | "log":
                return error_MBT.square()
            case "huber":
                return 2 * F.huber_loss(logit_MBT, label_MBT.expand_as(logit_MBT), reduction="none")
            case "quantile":
                return torch.maximum((self.quantile_MT.unsqueeze(1) - 1) * -error_MBT, self.quantile_MT.unsqueeze(1) * -error_MBT)
        # F.softplus(z) would equal -F.logsigmoid(-z), but it rounds differently at the end of an array.
        return -F.logsigmoid(-logit_MBT) - label_MBT * logit_MBT


def weighted_mean(value_MBT: Tensor, weight_MBT: Tensor) -> Tensor:
    """Return the weighted mean over rows, (M, T) float32. It is 0 where no row has a weight.

    The sums are float64. Rows of weight 0 move the other terms of a sum to other positions, and float64 keeps the result the same.
    """
    weight_MT = weight_MBT.sum(dim=1, dtype=torch.float64)
    total_MT = (value_MBT * weight_MBT).sum(dim=1, dtype=torch.float64)
    return (total_MT / weight_MT.where(weight_MT > 0, 1.0)).float()


def pairwise(logit_MBT: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_MB: Tensor) -> Tensor:
    """Return RankNet's loss, loss_MT: the mean of log(1 + exp(-(z_i - z_j))) over pairs of rows of one group with y_i > y_j.

    The weight of a pair is the product of its rows' weights. The loss is 0 where a task has no pair.

    >>> label, weight = torch.tensor([[[1.0], [0.0], [0.0]]]), torch.ones(1, 3, 1)
    >>> pairwise(torch.tensor([[[0.0], [0.0], [9.0]]]), label, weight, torch.tensor([[4, 4, 7]]))
    tensor([[0.6931]])
    """
    losses = [
        _pairs(
            logit_MBT if len(group_MB) == 1 else logit_MBT[m : m + 1],
            _of_member(label_MBT, m),
            _of_member(weight_MBT, m),
            group_B,
        )
        for m, group_B in enumerate(group_MB)
    ]
    return torch.cat(losses)


def _of_member(value_MBT: Tensor, m: int) -> Tensor:
    return value_MBT if len(value_MBT) == 1 else value_MBT[m : m + 1]


def _pairs(logit_MBT: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_B: Tensor) -> Tensor:
    first_P, second_P = torch.nonzero(torch.triu(group_B.unsqueeze(0) == group_B.unsqueeze(1), diagonal=1)).unbind(dim=1)
    difference_MPT = label_MBT[:, first_P] - label_MBT[:, second_P]
    weight_MPT = weight_MBT[:, first_P] * weight_MBT[:, second_P] * (difference_MPT != 0)
    ahead_MPT = (logit_MBT[:, first_P] - logit_MBT[:, second_P]).float() * difference_MPT.sign()
    return weighted_mean(F.softplus(-ahead_MPT), weight_MPT)
