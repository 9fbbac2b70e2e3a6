"""Pilots: where the grid of learning rates grows, and which length a study gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manygate.datasets.synthetic import Tasks
from manygate.studies import pilots
from manygate.studies.packs import Total
from manygate.studies.pilots import chosen_at_rest, next_rate, on_edge, run_pilots
from manygate.studies.plan import LADDER, Plan
from manygate.studies.sweep import Outcome, Protocol, Sweep
from manygate.training.progress import Progress
from study_outcomes import outcome, runs_of, sweep, trained

RATES = (1e-3, 3e-3, 1e-2)


@dataclass(frozen=True, kw_only=True)
class TwoGroups(Plan):
    """Two models in a group with claims, one in a group without."""

    STUDY = "two"
    CLAIMED = ("claimed",)

    def pilots(self) -> dict[str, list[Sweep]]:
        return {
            "other": [sweep("b", (0.5,), self.rates, self.pilot_runs, offset=100)],
            "claimed": [sweep(name, (0.5, 1.0), self.rates, self.pilot_runs, offset=100) for name in "ac"],
        }

    def runs_of(self, group: str) -> int:
        return self.runs

    def label_correlations(self) -> list[Any]:
        return []

    def claims(self, trained: Any, labels: Any) -> list[Any]:
        return []


PLAN = TwoGroups(protocol=Protocol(Tasks(), batch=8, steps=10, steps_an_epoch=5), runs=5, pilot_runs=2, longest=40, rates=RATES)


class Training:
    """Stands for training: it notes sweeps; losses are least at the best rate; those of ``a`` and ``b`` fall up to a length."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, tuple[tuple[float, ...], ...]]] = []
        self.best: Callable[[str, float], float] = lambda name, p: 3e-3
        self.rest = 0

    def __call__(self, of: Sweep, protocol: Protocol, folder: Path, progress: Total, last: bool = True) -> Outcome:
        assert last == (of.name.startswith("b") or protocol.steps == 40), "checkpoints are kept where pilots may go on"
        self.calls.append((of.name, protocol.steps, of.rates))
        progress.advance(of.rows(protocol))
        cells = {}
        for p, rate in of.cells:
            distance = abs(np.log(rate / self.best(of.name, p)))
            cells[p, rate] = runs_of(np.full((of.runs, 2), 1.0 + distance), falls=protocol.steps < self.rest and of.name[0] != "c")
        return outcome(of, cells)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr(pilots, "run_sweep", fake)
    return fake


def run(tmp_path: Path) -> Any:
    total = Total(Progress(), "two", PLAN.rows(PLAN.protocol))
    return *run_pilots(PLAN, tmp_path, total), total


def test_the_grid_stays_where_the_best_rates_lie_within(training, tmp_path):
    protocol, found, total = run(tmp_path)
    assert [name for name, _, _ in training.calls] == ["a", "c", "b"]
    assert [*found] == ["other", "claimed"], "in the order of the plan"
    assert protocol.steps == 10
    assert total.rows == total.done + 5 * 5 * 10 * 8, "the long runs are left"


def test_the_grid_grows_at_the_end_where_the_best_rate_lies_for_that_correlation_alone(training, tmp_path):
    def best(name: str, p: float) -> float:
        return {"a": {0.5: 3e-2, 1.0: 1e-5}, "b": {0.5: 1e-2}, "c": {0.5: 3e-3, 1.0: 3e-3}}[name[0]][p]

    training.best = best
    _, found, total = run(tmp_path)
    a = found["claimed"][0]
    assert a.rates(0.5) == [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], "up to one rate beyond the best one"
    assert a.rates(1.0) == [1e-5, 3e-5, 1e-4, 1e-3, 3e-3, 1e-2], "down to the bound"
    assert (a.best_rate(0.5), a.best_rate(1.0)) == (3e-2, 1e-5)
    assert found["other"][0].rates(0.5) == [1e-3, 3e-3, 1e-2, 3e-2]
    assert on_edge(a) == [1.0]
    assert on_edge(found["other"][0]) == []
    assert ("a-0.5-0.03", 10, ((3e-2,),)) in training.calls
    assert total.rows == total.done + 5 * 5 * 10 * 8


def test_all_runs_get_the_first_length_at_which_the_claimed_pilots_rest(training, tmp_path):
    training.rest = 20
    protocol, _, _ = run(tmp_path)
    assert protocol.steps == 20
    calls = [(name, steps) for name, steps, _ in training.calls]
    assert calls == [("a", 10), ("c", 10), ("a", 20), ("c", 20), ("b", 20)], "one model that falls is enough to go on"


def test_the_length_has_a_bound(training, tmp_path):
    training.rest = 1_000
    protocol, found, total = run(tmp_path)
    assert protocol.steps == 40
    assert [(name, steps) for name, steps, _ in training.calls if name != "c"] == [("a", 10), ("a", 20), ("a", 40), ("b", 40)]
    assert not chosen_at_rest(found["claimed"][0])
    assert total.rows == total.done + 5 * 5 * 40 * 8


def test_only_the_chosen_rates_need_to_rest():
    model = trained("mmoe", {0.5: (1.0, 0.1)}, runs=3).pilots
    model.at(0.5, 1e-3).curve_ER[:] = np.linspace(2.0, 1.0, 6)[:, None]
    assert chosen_at_rest(model)
    model.at(0.5, 1e-2).curve_ER[:] = np.linspace(2.0, 1.0, 6)[:, None]
    assert not chosen_at_rest(model)


@pytest.mark.parametrize(
    ("tried", "best", "following"),
    [
        ([1e-3, 1e-2], 1e-2, 3e-2),
        ([1e-3, 1e-2], 1e-3, 1e-4),
        ([1e-3, 3e-3, 1e-2], 3e-3, None),
        ([LADDER[0], LADDER[1]], LADDER[0], None),
        ([LADDER[-2], LADDER[-1]], LADDER[-1], None),
    ],
)
def test_the_next_rate_is_a_neighbour_on_the_ladder(tried: list[float], best: float, following: float | None):
    assert next_rate(tried, best) == following
