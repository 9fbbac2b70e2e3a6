"""experiments/mmoe-census/table.py, on a small result and on what is committed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from made_up_census import PLAN, outcomes
from manygate.studies.census.document import build

FOLDER = Path(__file__).parents[2] / "experiments" / "mmoe-census"
LEVELS = {"single_task": 0.950, "tensor_factorization_naive": 0.70, "mmoe": 0.951, "logistic": 0.945}


def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mmoe_census_table", FOLDER / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_that_is_committed_is_that_of_the_results() -> None:
    module = table()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == module.page(module.read(FOLDER), module.read_parts(FOLDER))


def test_without_results_the_page_says_so() -> None:
    assert "is not finished" in table().page(None)


def test_a_part_of_the_study_is_shown_until_all_is_there() -> None:
    results = build(outcomes(LEVELS, ("income",)), PLAN, list(LEVELS), ["income"], 4, command="manygate it")
    text = table().page(None, [results])
    assert "is not finished" in text
    assert text.count(f"## {', '.join(list(LEVELS)[:-1])} and {list(LEVELS)[-1]} on income") == 1
    assert "Gain of mmoe" not in text, "four runs are too few"
    row = next(line for line in text.splitlines() if line.startswith("| mmoe-income | income | "))
    assert row.split(" | ")[2:4] == ["0.9359", "0.9510 ± 0.0004"]
    assert "| mmoe-income | never_married | 0.9927 | 0.9900 ± 0.0004 |" in text
    assert " on income\n" not in table().page(results, [results])


def test_a_part_with_enough_runs_has_gains_and_conclusions() -> None:
    results = build(outcomes(LEVELS, ("income",), runs=10), PLAN, list(LEVELS), ["income"], 10, command="manygate it")
    text = table().page(None, [results])
    assert "### Table 1: income and never_married" in text
    assert "Gain of mmoe" in text
    assert all(sentence in text for sentence in results.groups["income"].conclusions)
    assert all(text.count(f"- {limit}") == 1 for limit in results.limits)
    assert "These networks had the inputs" not in text
    earlier = results.model_copy(update={"plan": {n: v for n, v in results.plan.items() if n != "not_searched"}})
    assert "These networks had the inputs" in table().page(None, [earlier])


def test_a_small_result_becomes_both_tables() -> None:
    groups = ["income", "education"]
    results = build(outcomes(LEVELS, ("income", "education")), PLAN, list(LEVELS), groups, 4, command="manygate it")
    text = table().page(results)
    assert text.splitlines().count("## Table 1: income and never_married") == 1
    row = next(line for line in text.splitlines() if line.startswith("| mmoe | 0.9410, 0.9926"))
    assert row.split(" | ")[2:5] == ["0.9359, 0.9927", "0.9513, 0.9903", "0.9510 ± 0.0004, 0.9900 ± 0.0004"]
    assert "`manygate it`" in text
    assert all(sentence in text for sentence in results.groups["education"].conclusions)
    assert len([line for line in text.splitlines() if line.startswith("| logistic | ")]) == 2 * 3, "a row, and a gain in each task"
    assert "is not finished" not in text
