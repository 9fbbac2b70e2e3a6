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
