"""Optimizers of embedding tables that change only the rows of a batch.

Shape suffixes: V rows of a table, M members, K vectors of a row, d width of a row or of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from manygate.kernels.large_pages import in_large_pages
from manygate.training.table_rows import TableRows

ADAM_EPS, ADAGRAD_EPS = 1e-8, 1e-8
"""The numbers that the denominators are kept above zero with."""
FIRST_DECAY, SECOND_DECAY = 0.9, 0.999
"""The decays of Adam's two moments."""


class LazyAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba, ICLR 2015) for the rows of a batch alone. It equals ``torch.optim.SparseAdam`` and is faster.

    It differs from Adam in three ways, for the rows that are *not* in a batch:

    - Their moments do not decay. Adam multiplies them by 0.9 and 0.999 in every step.
    - They do not move. Adam moves a row by its first moment for many steps after its id was seen.
    - The correction of the initial bias counts all steps of the run, and not those in which the id was seen. So the first steps of
      an id that appears late are longer: up to sqrt(1 / 0.001) * 0.1 = 3.2 rates instead of 1.

    The state is two moments of the table's shape (V, M, d) and the number of steps. Gradients are sparse and come from
    :func:`manygate.training.table_rows.add_up_rows`.
    """

    def __init__(self, params: Iterable[Any], lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad._nnz():
                    self._update(table, TableRows(table.grad), group["lr"])

    def _update(self, table_VMd: Tensor, rows: TableRows, rate: float) -> None:
        state = self.state[table_VMd]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = (_zeros(table_VMd.shape, table_VMd) for _ in range(2))
        state["step"] += 1
        first = rows.read(state["exp_avg"]).lerp_(rows.gradient, 1 - FIRST_DECAY)
        second = rows.read(state["exp_avg_sq"]).mul_(SECOND_DECAY).addcmul_(rows.gradient, rows.gradient, value=1 - SECOND_DECAY)
        rows.write(state["exp_avg"], first)
        rows.write(state["exp_avg_sq"], second)
        length = rate * math.sqrt(1 - SECOND_DECAY ** state["step"]) / (1 - FIRST_DECAY ** state["step"])
        rows.write(table_VMd, rows.read(table_VMd).addcdiv_(first, second.sqrt_().add_(ADAM_EPS), value=-length))


class RowwiseAdagrad(torch.optim.Optimizer):
    """Adagrad with one number for each vector instead of one for each of its components.

        s_t = s_{t-1} + mean_d(g_t^2),   w_t = w_{t-1} - rate g_t / (sqrt(s_t) + eps),   eps = 1e-8

    It is ``EXACT_ROWWISE_ADAGRAD`` of FBGEMM and TorchRec (Mudigere et al., "Software-Hardware Co-design for Fast and Scalable
    Training of Deep Learning Recommendation Models", ISCA 2022); Adagrad is Duchi, Hazan & Singer (JMLR 2011). The gradient g_t of
    a row is the sum over the batch. A row without a gradient stays as it is, so dense and sparse gradients train alike.

    The state is (V, M, K): a number for each row and member, and for each of the K vectors of a row. A group's ``vectors`` is K.
    """

    def __init__(self, params: Iterable[Any], lr: float):
        super().__init__(params, {"lr": lr, "vectors": 1})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                if table not in self.state:
                    self.state[table]["sum"] = _zeros((*table.shape[:2], group["vectors"]), table)
                if table.grad.is_sparse:
                    rows = TableRows(table.grad)
                    value, total = rows.read(table), rows.read(self.state[table]["sum"])
                    descend(value, total, rows.gradient, group["lr"])
                    rows.write(table, value)
                    rows.write(self.state[table]["sum"], total)
                else:
                    descend(table, self.state[table]["sum"], table.grad, group["lr"])


def descend(value: Tensor, total_K: Tensor, gradient: Tensor, rate: float) -> None:
    """Do a step of row-wise Adagrad in place. Values and gradients are (..., K d), and the sums of mean squares (..., K).

    >>> value, total_K = torch.zeros(1, 4), torch.zeros(1, 2)
    >>> descend(value, total_K, torch.tensor([[1.0, 7.0, 2.0, 2.0]]), rate=1.0)
    >>> value.tolist(), total_K.tolist()
    ([[-0.20000000298023224, -1.399999976158142, -1.0, -1.0]], [[25.0, 4.0]])
    """
    vectors = gradient.unflatten(-1, (total_K.shape[-1], -1))
    total_K += vectors.square().mean(dim=-1)
    value.sub_((vectors / (total_K.sqrt() + ADAGRAD_EPS).unsqueeze(-1)).flatten(-2), alpha=rate)


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    return in_large_pages(like.new_empty(shape, requires_grad=False)).zero_()
