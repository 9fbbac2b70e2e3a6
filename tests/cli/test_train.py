"""``manygate train`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from command_line import TINY, Run


def test_json_of_train(run: Run, log: Path, tmp_path: Path) -> None:
    document = run("train", log, TINY, "--json").json
    assert list(document["results"]) == ["mmoe"]
    assert set(document["results"]["mmoe"]["tasks"]) == {"click", "like", "watch_time", "buy"}
    assert document["command"].startswith("manygate train ")
    assert json.loads((tmp_path / "runs" / "train-1" / "evaluation.json").read_text()) == document


def test_csv_goes_in_and_out(run: Run, tmp_path: Path) -> None:
    import pyarrow.csv as pa_csv

    rows = range(400)
    table = pa.table({"item": [f"i{n % 7}" for n in rows], "age": [n % 50 for n in rows], "click": [n % 3 % 2 for n in rows]})
    pa_csv.write_csv(table, tmp_path / "log.csv")
    assert run("train log.csv --task click", TINY, "--out runs/csv").code == 0
    assert run("predict runs/csv log.csv --out scores.csv").code == 0
    assert pa_csv.read_csv(tmp_path / "scores.csv").num_rows == 400
