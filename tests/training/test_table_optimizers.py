"""Optimizers of tables, beside a loop in NumPy with float64 and beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from manygate.training.table_optimizers import LazyAdam, RowwiseAdagrad
from manygate.training.table_rows import add_up_rows

ROWS, MEMBERS, DIM, STEPS = 7, 3, 4, 12


def table_of(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, MEMBERS, DIM, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def gradients(kind: str) -> list[Tensor]:
    """Gradients of some steps, in which rows occur several times, or rows of single members, or nothing in one step."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for step in range(STEPS):
        count = 0 if step == 5 else 6
        row_n = torch.randint(ROWS - 1, (count,), generator=generator)
        member_n = torch.randint(MEMBERS, (count,), generator=generator)
        shape = (count, MEMBERS, DIM) if kind == "rows" else (count, DIM)
        index = row_n.unsqueeze(0) if kind == "rows" else torch.stack([row_n, member_n])
        value = torch.randn(shape, generator=generator) * 10.0 ** (step % 3 - 1)
        found.append(torch.sparse_coo_tensor(index, value, (ROWS, MEMBERS, DIM), check_invariants=True))
    return found


def trained(optimizer: torch.optim.Optimizer, table: Tensor, given: list[Tensor], dense: bool = False) -> None:
    for gradient in given:
        table.grad = gradient.to_dense() if dense else gradient
        add_up_rows({"embedding.4": table})
        optimizer.step()


def rowwise_adagrad(table_VMd: np.ndarray, given: list[Tensor], rate: float, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Do the same in float64, number by number."""
    table_VMd, width = table_VMd.astype(np.float64), DIM // vectors
    sum_VMK = np.zeros((ROWS, MEMBERS, vectors))
    for gradient in given:
        gradient_VMd = gradient.to_dense().double().numpy()
        for row in range(ROWS):
            for m in range(MEMBERS):
                for k in range(vectors):
                    part = slice(k * width, (k + 1) * width)
                    sum_VMK[row, m, k] += sum(value**2 for value in gradient_VMd[row, m, part]) / width
                    table_VMd[row, m, part] -= rate * gradient_VMd[row, m, part] / (sum_VMK[row, m, k] ** 0.5 + 1e-8)
    return table_VMd, sum_VMK


@pytest.mark.parametrize("kind", ["rows", "pairs"])
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize("vectors", [1, 2])
def test_row_wise_adagrad_is_the_loop(kind: str, dense: bool, vectors: int):
    table, given = table_of(), gradients(kind)
    expected_VMd, sum_VMK = rowwise_adagrad(table.detach().numpy(), given, 0.05, vectors)
    optimizer = RowwiseAdagrad([{"params": [table], "vectors": vectors}], lr=0.05)
    trained(optimizer, table, given, dense)
    np.testing.assert_allclose(table.detach().numpy(), expected_VMd, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(optimizer.state[table]["sum"].numpy(), sum_VMK, rtol=1e-5, atol=0)
    assert optimizer.state[table]["sum"].shape == (ROWS, MEMBERS, vectors)


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_lazy_adam_is_sparse_adam_of_pytorch(kind: str):
    given = gradients(kind)
    tables = [table_of(), table_of()]
    kinds: list[Callable[..., torch.optim.Optimizer]] = [LazyAdam, torch.optim.SparseAdam]
    optimizers = [each([table], lr=0.05) for each, table in zip(kinds, tables, strict=True)]
    with torch.sparse.check_sparse_tensor_invariants(False):
        for optimizer, table in zip(optimizers, tables, strict=True):
            trained(optimizer, table, [gradient for gradient in given if gradient._nnz()])
    torch.testing.assert_close(*tables, rtol=1e-5, atol=1e-6)
    for slot in ("exp_avg", "exp_avg_sq"):
        torch.testing.assert_close(*(optimizer.state[table][slot] for optimizer, table in zip(optimizers, tables, strict=True)))


@pytest.mark.parametrize("optimizer", [LazyAdam, RowwiseAdagrad])
def test_a_row_without_a_gradient_stays_as_it_is(optimizer: Callable[..., torch.optim.Optimizer]):
    table, given = table_of(), gradients("rows")
    before = table.detach().clone()
    trained(optimizer([table], lr=0.05), table, given)
    changed_V = (table.detach() != before).flatten(1).any(dim=1)
    assert changed_V.any()
    assert not changed_V[-1]
    assert torch.equal(table.detach()[-1], before[-1])


def test_an_id_that_appears_late_has_longer_first_steps():
    """0.1 / sqrt(0.001) = 3.16 rates, as the documentation says."""
    table = torch.zeros(2, 1, 1, requires_grad=True)
    optimizer = LazyAdam([table], lr=1e-3)
    for step in range(10_001):
        row = int(step == 10_000)
        table.grad = torch.sparse_coo_tensor([[row]], torch.ones(1, 1, 1), (2, 1, 1), is_coalesced=True, check_invariants=True)
        optimizer.step()
    assert -table[1].item() == pytest.approx(3.16e-3, rel=1e-2)


def test_a_gradient_of_zero_divides_by_no_zero():
    table = torch.ones(2, 1, 2, requires_grad=True)
    optimizer = RowwiseAdagrad([table], lr=1.0)
    table.grad = torch.zeros(2, 1, 2)
    optimizer.step()
    assert torch.equal(table.detach(), torch.ones(2, 1, 2))
