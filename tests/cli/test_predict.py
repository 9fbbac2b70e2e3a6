"""``manygate predict`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
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


SMALL = "--architecture shared_bottom --epochs 1 --threads 1 --bottom-hidden 4 --tower-hidden 4 --dim 2 --progress none"


def test_a_csv_file_without_names_is_trained_on_and_scored(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"{n % 7},{n % 5:03d},=x{n % 3},{n % 2}\n" for n in range(300))
    (tmp_path / "log.csv").write_text(rows)
    refused(
        run("train log.csv --task column_4 --out r", SMALL), "log.csv: the first line looks like values", "--no-header", "--header"
    )
    assert run("train log.csv --task column_4 --no-header --types column_1=text --out r", SMALL).code == 0
    first = run("predict r log.csv --keep column_2 --keep column_1 --out a.csv")
    assert first.code == 0, "the settings of training hold"
    assert [line.rpartition(",")[0] for line in (tmp_path / "a.csv").read_text().splitlines()[:3]] == [
        "column_2,column_1",
        "000,0",
        "001,1",
    ]
    (tmp_path / "named.csv").write_text("column_1;column_2;column_3;column_4\n" + rows.replace(",", ";"))
    result = run("predict r named.csv --header --keep column_2 --keep column_1 --keep column_3 --out b.csv")
    assert result.code == 0
    assert "300 fields that a spreadsheet takes for a formula" in result.err
    scores = [(tmp_path / name).read_text().splitlines()[1:] for name in ("a.csv", "b.csv")]
    assert [line.rpartition(",")[2] for line in scores[0]] == [line.rpartition(",")[2] for line in scores[1]]
    run("predict r named.csv --header --keep column_3 --neutralise-formulas --out c.csv")
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("'=x0,")


def test_what_a_csv_file_to_score_has_for_missing_values_is_said(run: Run, tmp_path: Path) -> None:
    lines = [f"{n % 7},{n / 9:.3f},{n % 2}" for n in range(300)]
    (tmp_path / "log.csv").write_text("\n".join(["user,price,click", *lines]))
    assert run("train log.csv --task click --out r", SMALL).code == 0
    (tmp_path / "today.csv").write_text("user,price,other\n3.0,?,x\n,1.5,y\n")
    result = run("predict r today.csv --keep user --keep price --out s.csv")
    assert "column 'price': '?' read as missing (50.0% of the rows)" in result.err
    assert [line.rpartition(",")[0] for line in (tmp_path / "s.csv").read_text().splitlines()[1:]] == ["3.0,?", ",1.5"]
    (tmp_path / "today.csv").write_text("user,price\n3,old\n")
    refused(run("predict r today.csv --out s.csv --overwrite"), "column 'price' is string", "since it holds 'old' (row 1 of ")


def test_rows_whose_ids_or_numbers_say_nothing_are_warned_of(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    table = pq.read_table(log / "test.parquet")
    assert "warning" not in run("predict", trained, log / "test.parquet", "--out scores.parquet").err
    place = table.column_names.index("item_id")
    pq.write_table(table.set_column(place, "item_id", pa.array([10**9 + k for k in range(200)])), tmp_path / "new.parquet")
    assert "warning: feature 'item_id': 100.0 % of the ids" in run("predict", trained, "new.parquet --out a.parquet").err
    place = table.column_names.index("price")
    pq.write_table(table.set_column(place, "price", pa.nulls(200, pa.float64())), tmp_path / "null.parquet")
    result = run("predict", trained, "null.parquet --out b.parquet")
    assert "warning: feature 'price' is null in 100.0 % of the rows" in result.err
    assert result.code == 0


def test_commands_that_read_a_log_take_the_settings_of_csv_files(run: Run, tmp_path: Path) -> None:
    lines = [f"{n % 7}:{n / 9:.3f}:{n % 2}" for n in range(300)]
    (tmp_path / "log.csv").write_text("\n".join(["user:price:click", *lines]))
    assert run("train log.csv --task click --separator : --out r", SMALL).code == 0
    (tmp_path / "other.csv").write_text("\n".join(["user~price~click", *lines, "3.0~NULL~NULL"]).replace(":", "~"))
    refused(run("evaluate r other.csv"), "other.csv: column 'user'")
    report = run("evaluate r other.csv --separator ~ --json").json
    assert report["rows"] == 301
    assert report["tasks"]["click"]["rows"] == 300, "a label of NULL is unknown"
    assert run("inspect r other.csv --separator ~ --only gates --out look").code == 0
    assert run("calibrate r other.csv --separator ~ --method temperature").code == 0
