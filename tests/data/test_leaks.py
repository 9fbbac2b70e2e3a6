"""Planted leaks are named, honest features are not, and batches and many ids change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.config import DataConfig
from manygate.data.fit import fit_encoder
from manygate.data.leaks import NUMBER_BINS, LeakScan, Separation, id_bins, leak_warnings, number_bins
from manygate.schema import Feature, Schema, Task

N = 6000
RNG = np.random.default_rng(3)
USER, ITEM = RNG.integers(0, 80, N), RNG.integers(0, 40, N)
CLICK = (RNG.random(N) < 1 / (1 + np.exp(1 - RNG.normal(0, 1, 80)[USER] - RNG.normal(0, 1, 40)[ITEM]))).astype(int)
BUY = np.where(CLICK == 1, RNG.random(N) < 0.3, np.nan)
WATCH = RNG.gamma(2, 30, N)


def scan(columns: dict[str, Any], kinds: dict[str, str], tasks: tuple[Task, ...], config: DataConfig | None = None, rows: int = N):
    features = tuple(Feature(name=name, kind=kind) for name, kind in kinds.items())
    labels = {"click": CLICK, "buy": pa.array(BUY, from_pandas=True), "watch": WATCH}
    log = pa.table(labels | columns).combine_chunks().to_batches()[0]
    schema = Schema(features=features, tasks=tasks)
    encoder = fit_encoder(schema, config or DataConfig(), [("log", log)])
    leaks = LeakScan(encoder)
    for first in range(0, N, rows):
        leaks.add(encoder.encode(log.slice(first, rows)))
    return leaks


CLICKS, BUYS, WATCHES = Task(name="click"), Task(name="buy", where="click == 1"), Task(name="watch", kind="regression")
known = np.nan_to_num(BUY)
LEAKS: list[tuple[str, Any, str, Task]] = [
    ("words", np.where(CLICK == 1, "yes", "no"), "sparse", CLICKS),
    ("one and two", CLICK + 1, "sparse", CLICKS),
    ("one and two as a number", CLICK + 1, "dense", CLICKS),
    ("scaled, far from zero", CLICK * 0.5 + 1e6, "dense", CLICKS),
    ("the other way round", 1.0 - CLICK, "dense", CLICKS),
    ("with noise", CLICK * 3.0 + RNG.normal(0, 0.4, N), "dense", CLICKS),
    ("filled with 0 where it is unknown", known, "dense", BUYS),
    ("words where it is known", np.where(np.isnan(BUY), "none", np.where(known == 1, "bought", "left")), "sparse", BUYS),
    ("known where it is 1", pa.array([f"order {i}" if one else None for i, one in enumerate(known)]), "sparse", BUYS),
    ("an amount where it is 1", known * RNG.gamma(2, 20, N), "dense", BUYS),
    ("a list that names it", [["a", "bought"] if one else ["a"] for one in known], "bag", BUYS),
    ("in another unit", WATCH / 60, "dense", WATCHES),
    ("rounded", np.round(WATCH), "dense", WATCHES),
]


@pytest.mark.parametrize(("what", "values", "kind", "task"), LEAKS, ids=[case[0] for case in LEAKS])
def test_a_feature_that_gives_a_label_away_is_named(what: str, values: Any, kind: str, task: Task) -> None:
    leaks = scan({"user": USER, "given": values}, {"user": "sparse", "given": kind}, (task,))
    (warning,) = leak_warnings(leaks.results())
    assert (warning.level, warning.column, warning.task) == ("serious", "given", task.name)
    assert "'given' alone separates" in warning.text
    assert "--ignore given" in warning.text


HONEST: list[tuple[str, Any, str]] = [
    ("an id that occurs once", [f"row {i}" for i in range(N)], "sparse"),
    ("an id that occurs twice", RNG.integers(0, N // 2, N), "sparse"),
    ("a number that differs in every row", RNG.random(N), "dense"),
    ("the user", USER, "sparse"),
    ("a good score", CLICK + RNG.normal(0, 0.8, N), "dense"),
    ("nulls at random", pa.array([None if i % 7 == 0 else float(i % 13) for i in range(N)]), "dense"),
    ("lists", [[f"t{i % 11}", f"t{i % 5}"] for i in range(N)], "bag"),
    ("a constant", np.ones(N), "dense"),
]


@pytest.mark.parametrize(("what", "values", "kind"), HONEST, ids=[case[0] for case in HONEST])
def test_an_honest_feature_is_no_leak(what: str, values: Any, kind: str) -> None:
    for min_count in (1, 3):
        leaks = scan({"given": values}, {"given": kind}, (CLICKS, BUYS, WATCHES), DataConfig(min_count=min_count))
        assert leak_warnings(leaks.results()) == [], what


@pytest.mark.parametrize("encoding", ["piecewise", "minmax", "log1p"])
def test_a_leak_shows_beside_a_few_huge_values(encoding: str) -> None:
    """Standardised, such values are the same number to a model."""
    values = np.where(CLICK == 1, 2.0, 1.0)
    values[:3] = 1e6
    leaks = scan({"given": values}, {"given": "dense"}, (CLICKS,), DataConfig(encoding=encoding))
    assert [warning.column for warning in leak_warnings(leaks.results())] == ["given"]


def test_a_leak_shows_among_more_ids_than_bins(monkeypatch) -> None:
    monkeypatch.setattr("manygate.data.leaks.ID_BINS", 64)
    ids = pa.array([f"order {i % 900}" if one else None for i, one in enumerate(CLICK)])
    assert leak_warnings(scan({"given": ids}, {"given": "sparse"}, (CLICKS,), DataConfig(min_count=1)).results())
    honest = scan({"given": RNG.integers(0, 900, N)}, {"given": "sparse"}, (CLICKS,), DataConfig(min_count=1))
    assert not leak_warnings(honest.results())


def test_batches_change_little_and_memory_has_one_size() -> None:
    kinds = {"user": "sparse", "price": "dense"}
    columns = {"user": USER, "price": CLICK + RNG.normal(0, 1, N)}
    one, many = (scan(columns, kinds, (CLICKS, WATCHES), rows=rows) for rows in (N, 500))
    scores = [{(r.feature, r.task): r.score for r in leaks.results()} for leaks in (one, many)]
    assert scores[0].keys() == scores[1].keys() == {(name, task) for name in kinds for task in ("click", "watch")}
    for key, score in scores[0].items():
        assert score == pytest.approx(scores[1][key], abs=0.02)
    assert sum(count.nbytes for count in one._counts.values()) == sum(count.nbytes for count in many._counts.values())


def test_rows_outside_the_sample_space_do_not_count() -> None:
    inside = np.where(CLICK == 1, known, 1 - known)  # says the opposite where buy does not exist
    leaks = scan({"given": inside}, {"given": "dense"}, (CLICKS, BUYS))
    assert [warning.task for warning in leak_warnings(leaks.results())] == ["buy"]


def test_bins_of_ids_and_numbers() -> None:
    row_N = np.array([0, 1, 2, 9, 10, 11])
    assert id_bins(row_N, 10).tolist() == [0, 1, 2, 9, 2, 3]
    assert id_bins(row_N, 12).tolist() == row_N.tolist()
    for units in (1, 7):
        place_N = np.linspace(-0.2 * units, 1.2 * units, 999).astype(np.float32)
        bin_N = number_bins(np.append(np.float32(np.nan), place_N), units)
        assert bin_N[0] == 0
        assert bin_N[1:].min() >= 1
        assert bin_N.max() < NUMBER_BINS
        assert (np.diff(bin_N[1:]) >= 0).all()


def test_a_score_is_cut_and_not_rounded() -> None:
    assert Separation("a", "click", "binary", 0.98999).words == "AUC 0.9899"
    assert Separation("a", "watch", "regression", 1.0).words == "R squared 1.0000"
    assert leak_warnings([Separation("a", "click", "binary", 0.985)]) == []
    assert len(leak_warnings([Separation("a", "click", "binary", 0.9851)])) == 1


def test_of_many_rows_of_a_label_ever_fewer_are_counted_and_of_a_rare_one_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manygate.data.leaks.MANY_ROWS", 300)
    rare = (np.arange(N) % 40 == 0).astype(int)
    leaks = scan(
        {"given": rare * 2 + 1, "rare": rare, "user": USER}, {"given": "dense", "user": "sparse"}, (Task(name="rare"),), rows=100
    )
    counted_L = leaks._counts["user", "rare"].sum(axis=(0, 1))
    assert counted_L[1] == rare.sum(), "all ones"
    assert 600 < counted_L[0] < 300 * (1 + np.log(N / 300)) * 1.2, "about 300 (1 + ln(6,000 / 300)) zeros"
    assert [warning.column for warning in leak_warnings(leaks.results())] == ["given"]
