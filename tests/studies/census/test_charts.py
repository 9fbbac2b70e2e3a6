"""The chart of all runs: a dot for each, and a hint where a method lies outside the axis."""

from __future__ import annotations

from manygate.studies.census.charts import SPAN, Runs, _ends, runs

NEAR = Runs("mmoe", [0.950, 0.951, 0.952], 0.951, 0.9359, 0.9410)
FAR = Runs("tensor_factorization_naive", [0.7, 0.71], 0.705, 0.6765, 0.7460)


def test_every_run_is_drawn_and_the_numbers_stand_in_the_description() -> None:
    svg = runs("key", "A title", [NEAR])
    assert svg.count("<use") >= 3 + 2, "three runs and two marks of the paper"
    assert "mmoe: mean 0.9510, in the paper 0.9359" in svg
    assert "◂" not in svg


def test_what_lies_further_left_is_hinted_at() -> None:
    svg = runs("key", "A title", [NEAR, FAR])
    assert "◂" in svg
    low, high = _ends([NEAR, FAR])
    assert high - low < SPAN * 1.2
    assert low > 0.9


def test_equal_values_have_an_axis() -> None:
    low, high = _ends([Runs("a", [0.9], 0.9, None, None)])
    assert low < 0.9 < high
