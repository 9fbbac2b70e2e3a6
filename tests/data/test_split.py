"""Splits do not depend on batches, shares hold, and neither groups nor instants straddle parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.data.split import Splitter, split_log
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.schema import Feature, Schema, Task

EIGHTY = (0.8, 0.1, 0.1)
quick = settings(max_examples=40, deadline=None, derandomize=True)
shares = st.sampled_from([EIGHTY, (0.5, 0.25, 0.25), (0.6, 0.4, 0.0), (0.7, 0.0, 0.3), (1.0, 0.0, 0.0)])


def schema(**roles: str) -> Schema:
    return Schema(features=(Feature(name="a", kind="dense"),), tasks=(Task(name="click"),), **roles)  # type: ignore[arg-type]


def parts_of(column: Any, kind: Any, fractions: Any = EIGHTY, seed: int = 0, rows: int = 1000) -> np.ndarray:
    table = open_table(pa.table({"c": column}))
    splitter = Splitter(kind, fractions, seed, None if kind == "random" else "c").fit(table)
    parts, first = [], 0
    for _, batch in table.batches(rows=rows):
        parts.append(splitter.assign(batch, first))
        assert parts[-1].dtype == np.int8
        assert parts[-1].shape == (batch.num_rows,)
        first += batch.num_rows
    return np.concatenate(parts)


@quick
@given(
    values=st.lists(st.integers(-5, 5), min_size=3, max_size=60).filter(lambda v: len(set(v)) >= 3),
    kind=st.sampled_from(["random", "time", "group"]),
    fractions=shares,
    seed=st.integers(0, 2**64),
    rows=st.integers(1, 70),
)
def test_batches_do_not_matter(values: list[int], kind: str, fractions: Any, seed: int, rows: int) -> None:
    whole = parts_of(values, kind, fractions, seed)
    assert np.array_equal(parts_of(values, kind, fractions, seed, rows), whole)
    for part, share in enumerate(fractions):
        assert share > 0 or not (whole == part).any()
    if kind != "random":
        assert all(len(set(whole[np.array(values) == value])) == 1 for value in set(values))
    if kind == "time":
        assert (np.diff(whole[np.argsort(values, kind="stable")]) >= 0).all()
        assert {part for part, share in enumerate(fractions) if share} == set(whole)


@quick
@given(seed=st.integers(0, 2**32), fractions=shares)
def test_shares_hold(seed: int, fractions: Any) -> None:
    n = 20_000
    for kind, column in (("random", range(n)), ("group", [f"u{i}" for i in range(n)]), ("time", np.arange(n) * 7 % n)):
        found = np.bincount(parts_of(column, kind, fractions, seed, rows=n), minlength=3) / n
        assert np.abs(found - fractions).max() < (1e-4 if kind == "time" else 0.015)


@quick
@given(st.lists(st.integers(0, 12), min_size=3, max_size=80).filter(lambda v: len(set(v)) >= 3))
def test_shares_by_time_miss_by_ties_at_most(values: list[int]) -> None:
    found = np.bincount(parts_of(values, "time", (0.5, 0.25, 0.25)), minlength=3)
    longest = max(values.count(value) for value in values)
    assert abs(found[0] - 0.5 * len(values)) <= 2.5 * longest
    assert abs(found[2] - 0.25 * len(values)) <= 1.5 * longest


def test_random_is_by_absolute_row_and_seed() -> None:
    splitter = Splitter("random", EIGHTY, 7)
    batch = pa.record_batch({"a": range(1000)})
    whole = splitter.assign(batch, 10**12)
    for start in (0, 1, 2, 3, 4, 997):
        assert np.array_equal(splitter.assign(batch.slice(start), 10**12 + start), whole[start:])
    assert not np.array_equal(Splitter("random", EIGHTY, 8).assign(batch, 10**12), whole)
    assert np.bincount(parts_of(range(12), "random")).tolist() == [10, 0, 2]  # pinned: a log must split alike for ever


def test_the_global_generator_is_untouched() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    parts_of(range(100), "random")
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_groups_hash_alike_in_every_type() -> None:
    ids = [3, 1, 4, 1, 5, 9, 2, 6] * 5
    expected = parts_of(ids, "group", (0.4, 0.3, 0.3), seed=3)
    as_float = pa.array(ids, pa.float64())
    for column in (pa.array(ids, pa.int8()), as_float, [str(i) for i in ids], pa.array(map(str, ids)).dictionary_encode()):
        assert np.array_equal(parts_of(column, "group", (0.4, 0.3, 0.3), seed=3), expected)
    assert set(expected) == {0, 1, 2}
    assert not np.array_equal(parts_of(ids, "group", (0.4, 0.3, 0.3), seed=4), expected)


DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=d) for d in range(10)]


@pytest.mark.parametrize(
    "column",
    [
        DAYS,
        pa.array(DAYS, pa.date64()),
        pa.array(DAYS).cast(pa.timestamp("ns", "UTC")),
        pa.array(range(10), pa.uint64()),
        [d / 3 for d in range(10)],
    ],
    ids=lambda c: str(getattr(c, "type", type(c[0]).__name__)),
)
def test_times_of_every_type(column: Any) -> None:
    assert parts_of(column, "time").tolist() == [0] * 8 + [1, 2]
    assert parts_of(column[::-1], "time").tolist() == [2, 1] + [0] * 8


def test_long_ties_leave_each_part_an_instant() -> None:
    assert parts_of([0] * 98 + [1, 2], "time").tolist() == [0] * 98 + [1, 2]
    assert np.bincount(parts_of([1] + [2] * 98 + [3], "time")).tolist() == [1, 98, 1]


def test_many_instants_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.random.default_rng(0).integers(0, 2_000_000, 1_500_000)
    parts = parts_of(times, "time", rows=131_072)
    assert times[parts == 0].max() < times[parts == 1].min() <= times[parts == 1].max() < times[parts == 2].min()
    assert np.abs(np.bincount(parts) / len(times) - EIGHTY).max() < 1e-5


def test_split_log_yields_the_columns_asked_for(tmp_path: Path) -> None:
    for file in (0, 1):
        pq.write_table(pa.table({"user": [f"u{i % 40}" for i in range(500)], "a": range(500)}), tmp_path / f"{file}.parquet")
    seen = list(split_log(open_table(tmp_path), "group", EIGHTY, 1, schema(group="user"), ["a"], rows=200))
    assert [batch.schema.names for _, batch, _ in seen] == [["a"]] * 6
    assert seen[3][0].endswith("1.parquet, rows 0 to 199")
    assert np.array_equal(seen[0][2], seen[3][2])


def error_of(*arguments: Any, **settings_: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        list(split_log(*arguments, **settings_))
    return caught.value.problems


@pytest.mark.parametrize("kind", ["time", "group"])
def test_a_missing_role_says_how_to_set_it(kind: str) -> None:
    [problem] = error_of(open_table(pa.table({"a": [1]})), kind, EIGHTY, 0, schema())
    assert f"the schema names no {kind} column" in problem
    assert f"Write '{kind}: COLUMN'" in problem
    [problem] = error_of(open_table(pa.table({"wen": [1]})), kind, EIGHTY, 0, schema(**{kind: "when"}))
    assert f"'when' (split by {kind}) is missing. Did you mean 'wen'?" in problem


@pytest.mark.parametrize(
    ("kind", "values", "nulls"),
    [
        ("time", pa.array([1, None, 3, None]), 2),
        ("time", pa.array([1.0, float("nan"), 3.0]), 1),
        ("group", pa.array(["a", None]), 1),
        ("group", pa.array([float("nan"), None, 1.0]), 2),
    ],
)
def test_nulls_have_no_part(kind: str, values: pa.Array, nulls: int) -> None:
    [problem] = error_of(open_table(pa.table({"c": values})), kind, EIGHTY, 0, schema(**{kind: "c"}))
    assert f"{kind} column 'c' is null in {nulls} of {len(values)} rows" in problem
    assert "Fill the nulls" in problem


def test_columns_of_the_wrong_type() -> None:
    [problem] = error_of(open_table(pa.table({"c": ["2024"]})), "time", EIGHTY, 0, schema(time="c"))
    assert "time column 'c' is string; it must hold timestamps, dates or numbers. Convert it" in problem
    [problem] = error_of(open_table(pa.table({"c": [[1]]})), "group", EIGHTY, 0, schema(group="c"))
    assert "group column 'c' is list<item: int64>; it must hold one plain value" in problem


def test_parts_without_rows() -> None:
    few = pa.table({"c": [1, 1, 2]})
    [problem] = error_of(open_table(few), "time", EIGHTY, 0, schema(time="c"))
    assert "column 'c' has 2 distinct values, so rows for 3 parts cannot be told apart. Split at random" in problem
    found = error_of(open_table(pa.table({"c": [1, 1]})), "group", EIGHTY, 0, schema(group="c"))
    assert len(found) == 2
    assert "Table (pyarrow): split by group leaves valid without rows (share 0.1 of 2 rows, by column 'c')" in found[0]
    assert "Give test a larger share" in found[1]
    assert "leaves test without rows" in error_of(open_table(few), "random", (0.5, 0.5, 1e-7), 0, schema())[-1]
    with pytest.raises(InputError, match="no rows"):
        Splitter("time", EIGHTY, 0, "c").fit(open_table(few.slice(0, 0)))


@pytest.mark.parametrize("fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (0, 0.5, 0.5), (1.1, -0.1, 0), (float("nan"), 0.5, 0.5)])
def test_shares_that_are_not_shares(fractions: Iterable[float]) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        Splitter("random", tuple(fractions), 0)


def test_all_settings_are_checked_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Splitter("tim", (1, 1, 1), -1)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("kind", ["random", "time", "group"])
def test_each_part_has_its_own_share(kind: str) -> None:
    """Validation has a third of what test has, so that the two cannot be mistaken for one another."""
    values = np.random.default_rng(1).permutation(40_000)
    parts = parts_of(values, kind, (0.6, 0.1, 0.3))
    assert np.bincount(parts, minlength=3) / 40_000 == pytest.approx([0.6, 0.1, 0.3], abs=0 if kind == "time" else 0.01)


def test_by_time_the_past_trains_and_the_latest_rows_test_whatever_their_order_in_the_log() -> None:
    times = np.array([50, 10, 90, 30, 70, 20, 100, 60, 40, 80])
    expected = [0, 0, 1, 0, 0, 0, 2, 0, 0, 1]
    for order in (np.arange(10), np.arange(10)[::-1], np.random.default_rng(0).permutation(10)):
        for rows in (1, 3, 1000):
            found = parts_of(times[order], "time", (0.7, 0.2, 0.1), rows=rows)
            assert found.tolist() == [expected[at] for at in order]


def test_by_group_no_group_is_in_two_parts() -> None:
    group = np.random.default_rng(2).integers(0, 300, 3000)
    parts = parts_of(group, "group", (0.5, 0.25, 0.25), rows=70)
    assert {part for part in range(3) if (parts == part).any()} == {0, 1, 2}
    for one in np.unique(group):
        assert len(set(parts[group == one])) == 1


@pytest.mark.parametrize(("crowded", "sizes"), [(0, [50, 25, 25]), (50, [38, 12, 50])])
def test_shares_by_time_are_of_rows_and_not_of_instants(crowded: int, sizes: list[int]) -> None:
    """100 rows at 51 instants, one of which has half of the rows: the first, or the last, which is test whole."""
    times = np.array([*range(51), *[crowded] * 49])
    shares = (0.5, 0.25, 0.25) if crowded == 0 else (0.38, 0.12, 0.5)
    assert np.bincount(parts_of(times[::-1], "time", shares), minlength=3).tolist() == sizes
