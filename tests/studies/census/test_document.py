"""The document from outcomes made by hand: the picked runs, the gains and the chance in both."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_census import PLAN, outcomes
from manygate.metrics.paired import gain
from manygate.metrics.uncertainty import t_quantile
from manygate.results.census import CensusResults
from manygate.studies.census.document import build
from manygate.studies.census.noise import lift_of_best
from manygate.studies.census.paper import TABLES

LEVELS = {"single_task": 0.950, "shared_bottom": 0.949, "mmoe": 0.951, "logistic": 0.945}
MADE = outcomes(LEVELS)
RESULTS = build(MADE, PLAN, list(LEVELS), ["income"], 4)
(GROUP,) = RESULTS.groups.values()


def test_the_best_run_is_picked_on_test_rows_and_the_chosen_one_on_validation() -> None:
    """Values of a method rise with the run; on validation the last but one is the best (see made_up_census)."""
    row = next(row for row in GROUP.rows if row.method == "mmoe")
    task = MADE["mmoe-income"].model.tasks
    assert row.best.run == int(np.argmax(task["income"].test.values)) == 3
    assert row.chosen.run == int(np.argmax(task["income"].valid.values)) == 2
    assert (row.best.main, row.best.married) == (task["income"].test.values[3], task["never_married"].test.values[3])
    assert (row.chosen.main, row.chosen.married) == (task["income"].test.values[2], task["never_married"].test.values[2])
    assert row.paper == TABLES["income"]["mmoe"]


def test_models_of_one_task_are_picked_by_their_own_tasks() -> None:
    row = next(row for row in GROUP.rows if row.method == "single_task")
    assert (row.main_model, row.married_model) == ("single_task-income", "single_task-never_married")
    assert row.best.married == MADE["single_task-never_married"].model.tasks["never_married"].test.values[row.best.married_run]


def test_the_reference_is_compared_with_every_other_method_in_both_tasks() -> None:
    assert GROUP.reference == "mmoe"
    assert RESULTS.looks == len(GROUP.gains) == 2 * 3
    (found,) = [entry for entry in GROUP.gains if (entry.method, entry.task) == ("shared_bottom", "income")]
    pair = [MADE[f"{method}-income"].measured("income", 4) for method in ("mmoe", "shared_bottom")]
    assert found.gain == gain(*pair, 6)
    assert found.gain.gain == pytest.approx(0.002)
    assert found.paper_gain == pytest.approx(0.9359 - 0.9295)
    half = t_quantile(399) * (found.gain.sd_replicas or 0) / 20
    assert found.paper_half == pytest.approx(np.hypot(half, t_quantile(499) * (found.gain.se_test or 0)), rel=1e-3)
    (outside,) = [entry for entry in GROUP.gains if (entry.method, entry.task) == ("logistic", "income")]
    assert outside.paper_gain is None


def test_the_chance_of_the_best_run() -> None:
    noise = {entry.method: entry for entry in GROUP.noise}
    sd = MADE["mmoe-income"].model.tasks["income"].test.sd
    assert sd is not None
    assert noise["mmoe"].lift == pytest.approx(sd * lift_of_best(4))
    assert noise["mmoe"].lift_paper == pytest.approx(sd * lift_of_best(400))
    assert noise["mmoe"].paper_sd == pytest.approx((0.9410 - 0.9359) / lift_of_best(400))
    assert noise["logistic"].sd is None


def test_without_mmoe_the_first_method_is_the_reference() -> None:
    levels = {"single_task": 0.95, "omoe": 0.951}
    results = build(outcomes(levels), PLAN, list(levels), ["income"], 4)
    assert results.groups["income"].reference == "single_task"


def test_a_single_method_is_compared_with_nothing() -> None:
    results = build(outcomes({"mmoe": 0.95}), PLAN, ["mmoe"], ["income"], 4)
    assert results.groups["income"].gains == []
    assert results.looks == 1


def test_the_document_comes_back() -> None:
    assert CensusResults.from_tree(RESULTS.to_tree(), "here") == RESULTS
    assert RESULTS.seconds == sum((90.0 if "logistic" not in name else 30.0) for name in RESULTS.models)
