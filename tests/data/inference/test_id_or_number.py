"""Ids and amounts made up in many ways; real tables are in benchmarks/false_alarms.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manygate.data.inference.id_or_number import Counts, names_rows, once_each, why_ids

N = 20_000
RNG = np.random.default_rng(11)
POPULAR = RNG.permutation(400)[np.minimum(RNG.zipf(1.4, N), 400) - 1].astype(float)
USERS = RNG.permutation(np.repeat(np.arange(500), RNG.integers(1, 80, 500)))
AGES = np.clip(RNG.normal(35, 12, 500).round(), 12, 90)

IDS: dict[str, np.ndarray] = {
    "uniform ids": RNG.integers(1, 944, N).astype(float),
    "few uniform ids": RNG.integers(0, 60, 2000).astype(float),
    "popular and rare ids": POPULAR,
    "ids with gaps": (POPULAR * 997) % 65_537,
    "users who differ in activity": USERS.astype(float),
    "each id four times": np.repeat(np.arange(300.0), 4),
    "millions of ids": RNG.integers(0, 10_000_000, N).astype(float),
    "half of the ids unknown": np.where(RNG.random(N) < 0.5, 0, POPULAR + 1),
    "ids with -1 for unknown": np.where(RNG.random(N) < 0.3, -1, POPULAR + 1),
}

AMOUNTS: dict[str, np.ndarray] = {
    "a count": RNG.poisson(50, N).astype(float),
    "a skewed count": RNG.geometric(0.02, N).astype(float),
    "many zeros and a count": np.where(RNG.random(N) < 0.7, 0, RNG.geometric(0.03, N)).astype(float),
    "cents": RNG.gamma(2, 1000, N).round(),
    "prices that end in 99": RNG.integers(1, 80, N) * 100.0 - 1,
    "rounded to tens": RNG.gamma(3, 20, N).round() * 10,
    "an age": np.clip(RNG.normal(35, 12, N).round(), 0, 99),
    "views": np.exp(RNG.normal(8, 2, N)).round(),
    "degrees below zero": RNG.normal(2, 12, N).round(),
    "two modes": np.where(RNG.random(N) < 0.5, RNG.poisson(40, N), RNG.poisson(90, N)).astype(float),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_look_like_ids(name: str) -> None:
    assert why_ids(IDS[name])


@pytest.mark.parametrize("name", AMOUNTS)
def test_amounts_do_not(name: str) -> None:
    assert why_ids(AMOUNTS[name]) is None


def test_nulls_and_the_order_of_rows_change_nothing() -> None:
    for name, numbers in {**IDS, **AMOUNTS}.items():
        with_nulls = np.append(RNG.permutation(numbers), [np.nan] * 300)
        assert why_ids(with_nulls) == why_ids(numbers), name


def test_with_few_rows_or_values_nothing_is_said() -> None:
    assert why_ids(np.repeat(np.arange(1.0, 22), 10))
    assert why_ids(np.repeat(np.arange(1.0, 21), 10)) is None
    assert why_ids(np.repeat(np.arange(1.0, 40), 5)[:199]) is None
    assert why_ids(np.zeros(500)) is None
    assert why_ids(np.full(500, np.nan)) is None
    huge = np.linspace(-1, 1, 500) * 1.7e308
    assert why_ids(huge) is None
    assert not names_rows(huge)


@pytest.mark.parametrize(
    ("values", "numbers_rows"),
    [
        (RNG.permutation(300) + 12.0, True),
        (np.arange(5000.0), True),
        (RNG.permutation(100_000)[:5000].astype(float), True),
        (np.arange(49.0), False),
        (np.append(np.arange(300.0), 7), False),
        (np.unique(RNG.gamma(2, 1e6, 300).round()), False),
        (np.append(RNG.permutation(300) + 1.0, np.nan), True),
    ],
)
def test_numbers_of_rows(values: Any, numbers_rows: bool) -> None:
    assert names_rows(values) is numbers_rows


def test_a_number_of_each_user_is_counted_once_a_user() -> None:
    single = once_each(AGES[USERS], USERS)
    assert single is not None
    assert sorted(single) == sorted(AGES)
    assert once_each(np.arange(len(USERS)) * 1.0, USERS) is None
    activity = np.exp(RNG.normal(3, 1.5, 500)).astype(int) + 1
    assert why_ids(np.repeat(AGES, activity)), "by rows the ages of a few busy users look like ids"
    assert why_ids(AGES) is None


def test_the_parts_of_the_rule() -> None:
    counts = Counts.of(np.array([0, -1, 5, 5, 7, np.nan]))
    assert counts.values.tolist() == [5, 7]
    assert counts.counts.tolist() == [2, 1]
    assert counts.fill == pytest.approx(2 / 3)
    assert not counts.is_even(), "too few rows"
