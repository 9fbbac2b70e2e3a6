"""``manygate evaluate`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run


def test_json_of_evaluate(run: Run, log: Path, trained: Path) -> None:
    report = run("evaluate", trained, log, "--json").json
    assert report["rows"] == 200
    assert report["tasks"]["click"]["ensemble"]["auc"] is not None


def test_without_json_people_get_tables(run: Run, log: Path, trained: Path) -> None:
    result = run("evaluate", trained, log)
    assert result.code == 0
    assert "normalised_entropy" in result.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.out)


def test_the_rows_of_training_are_warned_of(run: Run, log: Path, trained: Path) -> None:
    result = run("evaluate", trained, log / "train.parquet")
    assert "warning: " in result.err
    assert "train.parquet holds the rows that trained the model" in result.err
    report = run("evaluate", trained, log / "train.parquet", "--json").json
    assert "trained the model" in report["warnings"][0]
    assert not any("trained the model" in text for text in run("evaluate", trained, log, "--json").json["warnings"])
