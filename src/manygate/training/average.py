"""The average of the weights over the steps, which validation judges and which is kept.

    average_t = d_t average_{t-1} + (1 - d_t) weights_t,   d_t = min(weight_average, (1 + t) / (10 + t)), t = 0, 1, ...

Averages of the iterates of a stochastic method are nearer to the optimum than the last one (Polyak & Juditsky, "Acceleration of
stochastic approximation by averaging", SIAM Journal on Control and Optimization 1992). The exponential form is the temporal
averaging of Kingma & Ba ("Adam", ICLR 2015, section 7.2). Departure: their correction of the initial bias is replaced by a decay
that rises, as in TensorFlow's ``ExponentialMovingAverage``; while it rises, the initial weights have the factor 9! t! / (t + 9)!
after t steps.

Shape suffixes: V rows of a table, M members, n rows that a batch reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from manygate.kernels.large_pages import in_large_pages
from manygate.kernels.rows import read_rows, write_rows
from manygate.model import MultiTaskModel
from manygate.model.replicas import member_axis
from manygate.training.kept import copy_members

ROWS_AT_ONCE = 65_536
"""The number of rows of a table whose averages are brought up to date at once before an evaluation."""


class WeightAverage:
    """Averages the weights of all members.

    Call :meth:`before` and :meth:`after` around each update of the optimizer, with the number of the step from 0.

    A table with sparse gradients changes in the rows of the batch alone, and so does its stored average. For a row whose weights w
    stayed the same since step s the average is w + (average_s - w) d_{s+1} ... d_t. It is computed when the row is read again, and
    for all rows before an evaluation. All other parameters are averaged in each step, in one pass.
    """

    def __init__(self, model: MultiTaskModel, decay: float):
        self.model, self.decay, self.trained = model, decay, model.parameters
        self.values = {name: _copied(value.detach()) for name, value in model.parameters.items()}
        self.lazy = [name for name in self.trained if model.sparse and member_axis(name) == 1]
        self.dense = [name for name in self.trained if name not in self.lazy]
        self.steps_V = {name: torch.zeros(len(self.trained[name]), dtype=torch.long, device=model.device) for name in self.lazy}
        """The number of steps that the stored average of each row includes."""
        self.read_n: dict[str, Tensor] = {}
        self.settled: dict[str, Tensor] = {}
        """The averages of the rows ``read_n`` before the update."""

    @torch.no_grad()
    def before(self, step: int) -> None:
        """Bring the rows up to date that the update will change. The gradients are there, and the update has not happened."""
        self.read_n = {name: rows_of(value) for name in self.lazy if (value := self.trained[name].grad) is not None}
        self.settled = {name: self._settled(name, row_n, step) for name, row_n in self.read_n.items()}

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Take in the weights after the update."""
        share = 1 - self._decay(step)
        torch._foreach_lerp_([self.values[name] for name in self.dense], [self.trained[name] for name in self.dense], share)
        for name, row_n in self.read_n.items():
            weight_nMd = read_rows(self.trained[name], row_n)
            write_rows(self.values[name], row_n, self.settled[name].lerp_(weight_nMd, share))
            self.steps_V[name].index_fill_(0, row_n, step + 1)

    @contextmanager
    def in_model(self, steps: int) -> Iterator[None]:
        """Give the model the average after some steps in place of its weights, as long as the context lasts."""
        with torch.no_grad():
            for name in self.lazy:
                for row_n in torch.arange(len(self.steps_V[name]), device=self.model.device).split(ROWS_AT_ONCE):
                    write_rows(self.values[name], row_n, self._settled(name, row_n, steps))
                self.steps_V[name].fill_(steps)
        self.model.parameters = self.values
        try:
            yield
        finally:
            self.model.parameters = self.trained

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor], members: list[int]) -> None:
        """Set the weights of some members, and their averages."""
        for target in (self.trained, self.values):
            copy_members(weights, target, members)

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages as named tensors, for a checkpoint."""
        return self.values | {f"steps|{name}": value for name, value in self.steps_V.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the averages from tensors that :meth:`tensors` returned."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])

    def _settled(self, name: str, row_n: Tensor, steps: int) -> Tensor:
        """Return the averages of some rows after a number of steps. Their weights have not changed since they were averaged."""
        before_n = self._log_product(self.steps_V[name].index_select(0, row_n))
        factor_n = (self._log_product(torch.tensor([steps], device=row_n.device)) - before_n).exp().float()
        weight_nMd = read_rows(self.trained[name], row_n)
        return weight_nMd.lerp_(read_rows(self.values[name], row_n), factor_n.view(-1, 1, 1))

    def _decay(self, step: int) -> float:
        return min(self.decay, (1 + step) / (10 + step))

    def _log_product(self, steps_n: Tensor) -> Tensor:
        """Return ln(d_0 ... d_{t-1}) for numbers of steps t, float64.

        As long as d rises, d_0 ... d_{t-1} is 9! / ((t + 1) ... (t + 9)), and (t + j) (t + 10 - j) = t (t + 10) + j (10 - j).
        """
        rising = max(math.ceil((10 * self.decay - 1) / (1 - self.decay)), 0)
        t_n = steps_n.clamp(max=rising).double()
        pair_n, product_n = t_n * (t_n + 10), t_n + 5
        for j in range(1, 5):
            product_n *= pair_n + j * (10 - j)
        return math.lgamma(10) - product_n.log() + (steps_n - rising).clamp(min=0).double() * math.log(self.decay)


def _copied(value: Tensor) -> Tensor:
    return in_large_pages(torch.empty_like(value)).copy_(value)


class NoAverage:
    """Stands for an average that is switched off: the weights themselves are judged and kept."""

    def before(self, step: int) -> None:
        pass

    def after(self, step: int) -> None:
        pass

    def in_model(self, steps: int) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self, weights: dict[str, Tensor], members: Sequence[int]) -> None:
        pass

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        pass


def weight_average(model: MultiTaskModel) -> WeightAverage | NoAverage:
    """Return the average that the settings of a model ask for."""
    return WeightAverage(model, model.config.weight_average) if model.config.weight_average else NoAverage()


def rows_of(gradient: Tensor) -> Tensor:
    """Return the rows of a table that a sparse gradient changes, each once.

    A gradient of :func:`manygate.training.table_rows.add_up_rows` that is sparse in the rows alone has each row once.

    >>> gradient = torch.sparse_coo_tensor([[3, 1, 3]], torch.ones(3, 1, 2), (5, 1, 2), check_invariants=True)
    >>> rows_of(gradient).tolist()
    [1, 3]
    """
    once = gradient.is_coalesced() and gradient.sparse_dim() == 1
    return gradient._indices()[0] if once else torch.unique(gradient._indices()[0])
