"""Per-task losses on logits, masked. Shape suffixes: M members, B batch, T tasks of a member."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def task_losses(logit_MBT: Tensor, label_MBT: Tensor, weight_MBT: Tensor, binary_MT: Tensor) -> Tensor:
    """Each task's mean loss over its own rows, loss_MT.

    Tang et al., "Progressive Layered Extraction", RecSys 2020, section 4.3: a task's loss is normalised by the rows of its own
    sample space, here of the batch and by weight; a batch without any contributes exactly 0. Departure: the paper normalises over
    all rows, so here a task's row counts more in a batch with few of its kind, and with row weights the mean of such batches is
    not the whole's. Binary tasks: cross-entropy, from logits. Regression: squared error of the standardised label.

    >>> import torch
    >>> logit = torch.tensor([[[0.0], [5.0]]])
    >>> task_losses(logit, torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[1.0], [0.0]]]), torch.tensor([[True]]))
    tensor([[0.6931]])
    """
    loss_MBT = row_losses(logit_MBT, label_MBT, binary_MT)
    weight_MT = weight_MBT.sum(dim=1)
    return (loss_MBT * weight_MBT).sum(dim=1) / weight_MT.where(weight_MT > 0, 1.0)


def row_losses(logit_MBT: Tensor, label_MBT: Tensor, binary_MT: Tensor) -> Tensor:
    """The loss of every row, label and member."""
    logit_MBT = logit_MBT.float()
    if binary_MT.all():
        return F.softplus(logit_MBT) - label_MBT * logit_MBT
    cross_entropy = F.softplus(logit_MBT) - label_MBT * logit_MBT
    squared = (logit_MBT - label_MBT).square()
    return cross_entropy.where(binary_MT.unsqueeze(1), squared)
