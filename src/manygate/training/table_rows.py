"""The rows of an embedding table that a batch changes.

Shape suffixes: V rows of a table, M members, d width of a row, n changed rows (or pairs of a row and a member).
"""

from __future__ import annotations

import torch
from torch import Tensor

from manygate.kernels.equal_rows import sum_equal_rows
from manygate.kernels.rows import read_rows, write_rows


class TableRows:
    """The rows of a table (V, M, d) that a sparse gradient changes, each once.

    The gradient is sparse in the rows, and a changed row has the values of all members: ``gradient`` is (n, M, d). Or it is sparse
    in the rows and the members, and ``gradient`` is (n, d). The gradient comes from :func:`add_up_rows`.

    >>> table = torch.zeros(5, 1, 2, requires_grad=True)
    >>> table.grad = torch.sparse_coo_tensor([[3, 1, 3]], torch.ones(3, 1, 2), (5, 1, 2), check_invariants=True)
    >>> add_up_rows({"embedding.2": table})
    >>> rows = TableRows(table.grad)
    >>> rows.index_n.tolist(), rows.gradient.tolist()
    ([1, 3], [[[1.0, 1.0]], [[2.0, 2.0]]])
    """

    def __init__(self, gradient: Tensor):
        assert gradient.is_coalesced(), "a row must not occur twice"
        self.depth, self.gradient = gradient.sparse_dim(), gradient._values()
        self.members = gradient.shape[1]
        self.index_n = _flat(gradient._indices(), self.members)

    def read(self, state: Tensor) -> Tensor:
        """Return the changed rows of a tensor (V, M, ...): (n, M, ...), or (n, ...) for pairs."""
        return read_rows(state.flatten(0, self.depth - 1), self.index_n)

    def write(self, state: Tensor, value: Tensor) -> None:
        """Set the changed rows of a tensor (V, M, ...) to values in the form of :meth:`read`."""
        write_rows(state.detach().flatten(0, self.depth - 1), self.index_n, value)

    def by_member(self, value_M: Tensor) -> Tensor:
        """Return a value for each member in a form that multiplies ``gradient``."""
        return value_M.view(1, -1, 1) if self.depth == 1 else value_M[self.index_n % self.members].unsqueeze(-1)


@torch.no_grad()
def add_up_rows(parameters: dict[str, Tensor]) -> None:
    """Add up the values of each row in sparse gradients, so that a row occurs once. Other gradients stay as they are."""
    for parameter in parameters.values():
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse and not gradient.is_coalesced():
            parameter.grad = _added_up(gradient)


def _added_up(gradient: Tensor) -> Tensor:
    """Equals ``gradient.coalesce()``."""
    index, value, depth = gradient._indices(), gradient._values(), gradient.sparse_dim()
    row_n, sum_nK = sum_equal_rows(_flat(index, gradient.shape[1]), value.flatten(1))
    rows = row_n.unsqueeze(0) if depth == 1 else torch.stack([row_n // gradient.shape[1], row_n % gradient.shape[1]])
    sums = sum_nK.view(len(row_n), *value.shape[1:])
    return torch.sparse_coo_tensor(rows, sums, gradient.shape, is_coalesced=True, check_invariants=False)


def _flat(index: Tensor, members: int) -> Tensor:
    """Number the rows (1, n), or the pairs of a row and a member (2, n)."""
    return index[0] if len(index) == 1 else index[0] * members + index[1]
