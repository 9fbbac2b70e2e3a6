"""What the page of a study takes from its results, on results written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from documents import filled
from manygate.config.names import ARCHITECTURES
from manygate.results.study import Cell, SweepResult
from manygate.studies.page import _chosen, _gain, _number, _spots, _style


def cell(correlation: float, rate: float, mean: float | None = 0.25, ci95: Any = (0.2, 0.3)) -> Cell:
    return filled(
        Cell, {"correlation": correlation, "rate": rate, "mean": mean, "ci95": ci95, "quartiles": [0.1, 0.2, 0.24, 0.28, 0.4]}
    )


SWEEP = filled(
    SweepResult,
    {
        "architecture": "mmoe",
        "cells": [cell(0.5, 0.001), cell(1.0, 0.01)],
        "chosen_rate": {"0.5": 0.001, "1": 0.01},
    },
)


def test_every_scheme_has_a_style_of_its_own():
    styles = {name: _style(name) for name in ARCHITECTURES}
    assert len(set(styles.values())) == len(styles)


def test_the_long_runs_of_a_correlation_are_found():
    assert _chosen(SWEEP, 0.5) is SWEEP.cells[0]
    assert _chosen(SWEEP, 1.0) is SWEEP.cells[1]
    with pytest.raises(ValueError, match="unpack"):
        _chosen(SWEEP, 0.7)


def test_gains_are_differences_of_runs_of_one_seed():
    def runs(loss: list[float | None]) -> Cell:
        return filled(Cell, {"loss": loss})

    mean, ci95 = _gain(runs([1.0, 2.0, 3.0, None]), runs([0.5, 1.7, 2.6, 0.1]))
    assert mean == pytest.approx(0.4)
    assert ci95 is not None
    assert ci95[1] - 0.4 == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4), "Student's t with two degrees of freedom"
    assert _gain(runs([None]), runs([1.0])) == (None, None)


def test_spots_stand_in_the_order_of_their_means_and_leave_out_schemes_without_a_run():
    def sweep(architecture: str, mean: float | None, ci95: Any = (0.2, 0.3)) -> SweepResult:
        cells = [cell(0.5, 0.001, mean, ci95)]
        return filled(SweepResult, {"architecture": architecture, "cells": cells, "chosen_rate": {"0.5": 0.001}})

    svg = str(_spots("spots", "Final loss", [sweep("ple", 0.3), sweep("omoe", None, None), sweep("mmoe", 0.2, None)], 0.5))
    assert "mmoe: mean 0.2, median 0.24; ple: mean 0.3, median 0.24" in svg
    assert "omoe" not in svg


def test_numbers_have_three_digits_a_real_minus_and_a_dash_where_there_is_none():
    assert [_number(value) for value in (None, 0.123456, -1234.5, 2.0, 2.5e-6)] == ["–", "0.123", "−1230", "2", "0.0000025"]
    assert _number(0.123456, 2) == "0.12"
