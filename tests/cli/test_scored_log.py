"""Scoring a log with an exported model, as both commands do it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exported import Exported
from manygate.cli.scored_log import Target, score_log
from manygate.cli.scored_log import exported as chosen_of
from manygate.config import CsvConfig
from manygate.errors import InputError
from served import funnel_rows


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_batches([funnel_rows()]), path)
    return path


def test_what_was_written_is_said(exported: Exported, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = chosen_of(exported.folder)
    assert (chosen.tasks, chosen.calibrated) == (["click", "like", "age"], True)
    score_log(chosen, str(rows), Target(tmp_path / "a.csv", ["item"], json=True))
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], told["rows"], told["tasks"], told["calibrated"]) == (str(tmp_path / "a.csv"), 24, chosen.tasks, True)
    assert told["columns"] == chosen.scorer.output_names
    score_log(chosen, str(rows), Target(tmp_path / "a.csv", overwrite=True))
    assert capsys.readouterr().out.startswith("wrote 24 rows to ")
    with pytest.raises(InputError, match="exists"):
        score_log(chosen, str(rows), Target(tmp_path / "a.csv"))


def test_fields_that_are_formulas_are_warned_of(
    exported: Exported, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(rows)
    pq.write_table(table.append_column("note", pa.array(["=1+1"] * 24)), rows)
    score_log(chosen_of(exported.folder), str(rows), Target(tmp_path / "a.csv", ["note"]))
    assert "--neutralise-formulas puts an apostrophe" in capsys.readouterr().err
    score_log(chosen_of(exported.folder), str(rows), Target(tmp_path / "b.csv", ["note"], neutralise_formulas=True))
    assert "24 fields that a spreadsheet takes for a formula (=, +, -, @): now begin with" in capsys.readouterr().err


def test_settings_of_csv_files_that_are_given_replace_those_of_training(exported: Exported) -> None:
    chosen = chosen_of(exported.folder, CsvConfig(separator="~"))
    assert chosen.scorer.csv_settings.separator == "~"  # type: ignore[attr-defined]


def test_a_column_of_a_given_type_must_be_there(exported: Exported, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        score_log(chosen_of(exported.folder), str(rows), Target(tmp_path / "a.csv"), ["nowhere"])
