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
    assert "has not been run yet" in table().page(None)


def test_a_part_of_the_study_is_shown_until_all_is_there() -> None:
    results = build(outcomes(LEVELS, ("income",)), PLAN, list(LEVELS), ["income"], 4, command="manygate it")
    text = table().page(None, [results])
    assert "has not been run yet" in text
    assert text.count("## A part") == 1
    row = next(line for line in text.splitlines() if line.startswith("| mmoe-income | income | "))
    assert row.split(" | ")[2:4] == ["0.9359", "0.9510 ± 0.0004"]
    assert "| mmoe-income | never_married | 0.9927 | 0.9900 ± 0.0004 |" in text
    assert "## A part" not in table().page(results, [results])


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
    assert "has not been run yet" not in text
