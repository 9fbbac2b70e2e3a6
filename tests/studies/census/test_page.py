"""The page of the census study: both tables, what follows from them, and nothing from outside."""

from __future__ import annotations

import re

from made_up_census import PLAN, outcomes
from manygate.studies.census.document import build
from manygate.studies.census.page import render

LEVELS = {"single_task": 0.950, "tensor_factorization_naive": 0.70, "mmoe": 0.951, "logistic": 0.945}
GROUPS = ["income", "education"]


def page(quick: bool = False) -> str:
    return render(build(outcomes(LEVELS, ("income", "education")), PLAN, list(LEVELS), GROUPS, 4, quick, "manygate it", 3_600.0))


def test_both_tables_stand_beside_the_paper_s() -> None:
    found = page()
    for text in ("Table 1: income", "Table 2: education", "0.9398", "0.8843", "0.9510 ±", "manygate it", "1 h 0 min"):
        assert text in found
    row = next(part for part in found.split("<tr>") if 'class="name">mmoe<' in part)
    assert re.findall(r">([\d.]+)(?:</b>|</td>| ±)", row)[:2] == ["0.9410", "0.9513"], "the paper's best run beside ours"


def test_the_column_best_is_said_to_be_optimistic() -> None:
    assert "so it is optimistic" in page()
    assert "chosen on validation" in page()


def test_a_sketch_says_so_on_top() -> None:
    assert page(quick=True).index("This is a sketch") < page(quick=True).index("training, 500 validation")
    assert "This is a sketch" not in page()


def test_the_same_results_give_the_same_page_and_it_loads_nothing() -> None:
    assert page() == page()
    assert not re.search(r"(src|href)=\"(?!#)", page())
