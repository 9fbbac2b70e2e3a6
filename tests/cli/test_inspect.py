"""``manygate inspect`` on the command line; what an inspection finds is tested in tests/inspection."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Run, refused


def test_the_document_and_the_page_are_written(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    document = run("inspect", trained, log, "--only gates,dead --rows 100 --out look --json").json
    assert document["architecture"] == "mmoe"
    assert document["rows"] == 100
    assert json.loads((tmp_path / "look" / "inspection.json").read_text()) == document
    assert "<html" in (tmp_path / "look" / "inspection.html").read_text()
    shown = run("inspect", trained, log, "--only gates --rows 100 --out look").out
    assert shown.rstrip().endswith("page look/inspection.html")


def test_a_bundle_and_a_file_are_not_written_to(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    refused(run("inspect", trained / "bundle", log), "a bundle, which is kept as it is", "--out FOLDER")
    (tmp_path / "taken").touch()
    refused(run("inspect", trained, log, "--out taken"), "--out taken: a file of this name exists")
