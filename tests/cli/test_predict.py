"""``manygate predict`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from command_line import Run, refused


def test_predicting_a_data_set_asks_for_a_part(run: Run, log: Path, trained: Path) -> None:
    refused(run("predict", trained, log, "--out scores.csv"), "test.parquet")
    refused(run("predict", trained, log / "test.parquet", "--out scores.xlsx"), ".parquet, .csv, .arrow")
    refused(run("predict", trained, log / "test.parquet", "--keep click --out scores.csv"), "click")


def test_json_of_predict(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    scores = run("predict", trained, log / "test.parquet", "--keep user_id --out scores.parquet --json").json
    tasks = ["click", "like", "watch_time", "buy"]
    assert scores == {"out": "scores.parquet", "rows": 200, "tasks": tasks, "columns": tasks, "calibrated": False}
    assert pq.read_table(tmp_path / "scores.parquet").column_names == ["user_id", *tasks]
