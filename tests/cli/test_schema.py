"""``manygate schema`` on the command line."""

from __future__ import annotations

from pathlib import Path

import yaml

from command_line import Run


def test_json_of_schema(run: Run, log: Path, tmp_path: Path) -> None:
    arguments = ("--task click --task buy:where=click==1 --ignore like --ignore watch_time --out schema.yaml --json",)
    found = run("schema", log / "train.parquet", *arguments).json
    assert [task["name"] for task in found["tasks"]] == ["click", "buy"]
    assert yaml.safe_load((tmp_path / "schema.yaml").read_text())["group"] == "user_id"


def test_a_data_set_with_parts_is_known_from_its_training_rows(run: Run, log: Path) -> None:
    """The other parts, and the truth beside them, are never mixed in."""
    arguments = "--task click --ignore like --ignore buy --ignore watch_time --json"
    assert run("schema", log, arguments).json == run("schema", log / "train.parquet", arguments).json
