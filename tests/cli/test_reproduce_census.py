"""``manygate reproduce mmoe-census`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run, refused
from made_up_census import PLAN, write_census


def test_the_study_from_the_command_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from manygate.studies.census import plan

    source = write_census(tmp_path / "source", monkeypatch)
    monkeypatch.setattr(plan, "QUICK", PLAN)
    flags = "--replicas 3 --group income --methods mmoe,shared_bottom,logistic"
    command = f"reproduce mmoe-census --quick {flags} --threads 1 --data-dir {source} --out study --progress none"
    first = run(command)
    assert first.code == 0, first.err
    assert "mmoe is ahead in" in first.out
    assert "On income, mmoe is" in first.out
    assert "report.html" in first.out
    again = run(command, "--json").json
    assert again["command"] == f"manygate reproduce mmoe-census --quick {flags}"
    assert again["quick"] is True
    refused(run(command, "--trials 3"), "holds a study with another trials")


def test_wrong_flags_are_listed_together(run: Run) -> None:
    wrong = run("reproduce mmoe-census --trials 0 --replicas 2 --threads 0 --seed -1 --methods mmo")
    refused(wrong, "--trials 0", "--replicas 2", "--threads 0", "--seed -1", "'mmo' is unknown. Did you mean")


def test_missing_files_say_where_they_come_from(run: Run, tmp_path: Path) -> None:
    missing = run(f"reproduce mmoe-census --data-dir {tmp_path} --out study --progress none")
    refused(missing, "--data-dir", "census-income.data", "Download")
