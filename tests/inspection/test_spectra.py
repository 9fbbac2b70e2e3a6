"""Effective rank and spectra of tables, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.data.rows import Input, Rows
from manygate.inspection.spectra import effective_rank, spectrum, use_counts
from manygate.results.inspection import SingularValues


def test_effective_rank_is_the_exponential_of_the_entropy():
    assert effective_rank(np.array([3.0, 1.0])) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
    assert effective_rank(np.ones(7)) == pytest.approx(7.0)
    assert effective_rank(np.array([2.0, 0.0, 0.0])) == 1.0


def test_rows_that_were_not_seen_do_not_count():
    table = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    found = spectrum(table, np.array([3, 1, 0]))
    assert found.seen == 2
    assert found.plain.rank == pytest.approx(2.0)
    assert found.plain.values == [1.0, 1.0]


def test_by_use_weighs_each_row_by_how_often_it_is_used():
    found = spectrum(np.eye(2), np.array([9, 1]))
    assert found.by_use.values == pytest.approx([1.0, 1 / 3])
    assert found.by_use.rank == pytest.approx(effective_rank(np.array([3.0, 1.0])))


def test_a_table_on_one_line_has_rank_one():
    random = np.random.default_rng(0)
    table = random.normal(size=(50, 1)) * random.normal(size=(1, 8))
    found = spectrum(table.astype(np.float32), np.ones(50))
    assert found.possible == 8
    assert found.plain.rank == pytest.approx(1.0, abs=0.01)
    assert found.plain.share == pytest.approx(1 / 8, abs=0.01)


def test_singular_values_agree_with_numpys():
    table = np.random.default_rng(3).normal(size=(30, 6))
    value = np.linalg.svd(table, compute_uv=False)
    np.testing.assert_allclose(spectrum(table, np.ones(30)).plain.values, value / value[0], rtol=1e-6)


def test_few_ids_bound_the_rank():
    found = spectrum(np.random.default_rng(0).normal(size=(3, 8)), np.array([1, 1, 0]))
    assert found.possible == 2
    assert len(found.plain.values) == 2


def test_nothing_seen_or_nothing_learned_has_rank_zero():
    assert spectrum(np.ones((3, 2)), np.zeros(3)).plain == SingularValues(rank=0.0, share=None, values=[])
    assert spectrum(np.zeros((3, 2)), np.ones(3)).plain.rank == 0.0


def test_uses_are_counted_for_ids_and_for_bags():
    inputs = [
        Input("price", "dense", False),
        Input("user", "sparse", False, rows=5, dim=2),
        Input("tags", "bag", False, rows=4, dim=2),
    ]
    bags = [(np.array([2, 2, 3], np.int32), np.array([0, 2, 2, 3]))]
    rows = Rows(np.array([[2], [2], [4]], np.int32), np.zeros((3, 1), np.float32), bags, np.zeros((3, 1)), np.ones((3, 1)))
    counts = use_counts(rows, inputs)
    assert counts["user"].tolist() == [0, 0, 2, 0, 1]
    assert counts["tags"].tolist() == [0, 0, 2, 1]
