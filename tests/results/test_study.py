"""A study's ``results.json`` keeps all that it is given; bounds may be open and verdicts undecided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from documents import filled
from manygate.errors import InputError
from manygate.results.study import Cell, Claim, Finding, StudyResults, SweepResult

FINDING: dict[str, Any] = {
    "text": "gap",
    "value": 0.1,
    "ci95": [0.0, None],
    "bounds": [None, 0.2],
    "holds": None,
    "runs_needed": 40,
}
CELL: dict[str, Any] = {
    "correlation": 0.5,
    "rate": 0.01,
    "mean": None,
    "sd": None,
    "ci95": None,
    "quartiles": [None, None, None],
    "diverged": 2,
    "dead_towers": 1,
    "at_rest": False,
    "curve": [0.3, None],
    "validation_mean": None,
    "loss": [0.3, None],
    "loss_by_task": [[0.3, None]],
}


def test_an_open_side_of_bounds_is_null() -> None:
    finding = Finding.model_validate(FINDING)
    assert (finding.ci95, finding.bounds, finding.holds) == ((0.0, None), (None, 0.2), None)
    assert finding.to_tree() == FINDING
    with pytest.raises(ValidationError, match="bounds"):
        Finding.model_validate({**FINDING, "bounds": [0.1]})


def test_a_cell_whose_runs_diverged_has_no_numbers() -> None:
    assert Cell.model_validate(CELL).to_tree() == CELL
    with pytest.raises(ValidationError, match="ci95"):
        Cell.model_validate({**CELL, "ci95": [0.1, None]})


def test_results_are_read_and_written_as_they_were(tmp_path: Path) -> None:
    claim = {"key": "a", "evidence": [{"setting": "s", "learned": True, "holds": False, "findings": [FINDING]}]}
    sweep = filled(SweepResult, {"name": "mmoe", "settings": {"experts": 8}, "cells": [CELL], "chosen_rate": {"0.5": 0.01}})
    whole = filled(
        StudyResults, {"results_version": 2, "claims": [filled(Claim, claim).to_tree()], "sweeps": {"main": [sweep.to_tree()]}}
    )
    path = tmp_path / "results.json"
    path.write_text(json.dumps(whole.to_tree()))
    again = StudyResults.read(path)
    assert again == whole
    assert again.claims[0].evidence[0].findings[0].bounds == (None, 0.2)
    assert again.sweeps["main"][0].cells[0].diverged == 2
    assert again.sweeps["main"][0].chosen_rate == {"0.5": 0.01}


def test_another_version_is_refused() -> None:
    for version in (1, 9):
        with pytest.raises(InputError, match=f"results_version is {version}"):
            StudyResults.from_tree({"results_version": version}, "x")
    with pytest.raises(InputError, match="it has no results_version"):
        StudyResults.from_tree({"comparison_version": 1}, "x")
