"""What the page of a study takes from its results, on results written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from documents import filled
from manygate.config.names import ARCHITECTURES
from manygate.results.study import Cell, StudyResults, SweepResult
from manygate.studies.page import _cell, _chosen, _number, _spots, _style, headline


def cell(correlation: float, rate: float, mean: float | None = 0.25, ci95: Any = (0.2, 0.3)) -> Cell:
    return filled(
        Cell, {"correlation": correlation, "rate": rate, "mean": mean, "ci95": ci95, "quartiles": [0.1, 0.2, 0.24, 0.28, 0.4]}
    )


SWEEP = filled(
    SweepResult,
    {
        "architecture": "mmoe",
        "cells": [cell(p, rate) for p in (0.5, 1.0) for rate in (0.001, 0.01)],
        "chosen_rate": {"0.5": 0.001, "1": 0.01},
    },
)


@pytest.mark.parametrize(
    ("verdicts", "rest"),
    [
        (["reproduced"] * 3, "Of 3 claims of the paper, 3 are reproduced"),
        (
            ["reproduced", "cannot tell", "refuted", "cannot tell", "depends on the learning rate"],
            "Of 5 claims of the paper, 1 is reproduced, 2 are undecided, 1 is refuted and 1 depends on the learning rate",
        ),
    ],
)
def test_the_headline_counts_verdicts(verdicts: list[str], rest: str):
    assert headline(filled(StudyResults, {"claims": [{"verdict": verdict} for verdict in verdicts]})) == rest


def test_every_scheme_has_a_style_of_its_own():
    styles = {name: _style(name) for name in ARCHITECTURES}
    assert len(set(styles.values())) == len(styles)


def test_a_cell_is_found_by_correlation_and_rate():
    assert _cell(SWEEP, 1.0, 0.001) is SWEEP.cells[2]
    assert _chosen(SWEEP, 0.5) is SWEEP.cells[0]
    assert _chosen(SWEEP, 1.0) is SWEEP.cells[3]
    with pytest.raises(ValueError, match="unpack"):
        _cell(SWEEP, 0.7, 0.001)


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
