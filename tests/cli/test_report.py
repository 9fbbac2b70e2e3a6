"""``manygate report`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Run, refused


def test_the_page_of_a_run_is_written_again(run: Run, trained: Path, tmp_path: Path) -> None:
    assert run("report", trained, "--out again.html --json").json["headline"]
    assert (tmp_path / "again.html").read_bytes() == (trained / "report.html").read_bytes()
    assert run("report", trained, "--out again.html").out.endswith("report again.html\n")


def test_a_folder_without_results_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("report empty"), "empty: no results here", "folder of a finished run")
    (tmp_path / "empty" / "comparison.json").write_text('{"comparison_version": 99}')
    refused(run("report empty"), "comparison.json")


def test_a_schema_that_is_none_is_an_error_with_its_key(run: Run, trained: Path, tmp_path: Path) -> None:
    tree = json.loads((trained / "evaluation.json").read_text())
    tree["schema"]["tasks"][0]["kind"] = "binarry"
    (tmp_path / "evaluation.json").write_text(json.dumps(tree))
    refused(run("report ."), "the schema in the results: tasks.0.kind", "found 'binarry'")


def test_a_page_replaces_pages_alone(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,click\n1,0\n")
    (tmp_path / "other.html").write_text("<!doctype html><title>A diary</title>")
    for name in ("log.csv", "other.html"):
        before = (tmp_path / name).read_text()
        refused(run("report", trained, "--out", name), f"--out {name}: exists and is no page of manygate")
        assert (tmp_path / name).read_text() == before
    refused(run("report", trained, "--out /dev/null"), "/dev/null: a device and not a file, so it is not overwritten")
    assert Path("/dev/null").is_char_device()
    (tmp_path / "empty.html").touch()
    for name in ("empty.html", "empty.html", "new.html"):
        assert run("report", trained, "--out", name).code == 0
