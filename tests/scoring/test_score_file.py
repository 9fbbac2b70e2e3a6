"""Scores in a file are those of the predictor, in every format, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.scoring.fusion import Fusion
from manygate.scoring.predictor import Predictor
from manygate.scoring.score_file import write_scores

READERS = {".parquet": pq.read_table, ".csv": pc_csv.read_csv, ".arrow": feather.read_table}


@pytest.fixture(scope="module")
def predictor(encoded, settings) -> Predictor:
    log = encoded()
    return Predictor(MultiTaskModel(Problem.of(log.encoder, settings()), settings(replicas=2)), log.encoder)


@pytest.fixture(scope="module")
def rows(log_table) -> pa.Table:
    return log_table(70, seed=5).drop_columns(["click", "like", "watch"])


@pytest.mark.parametrize("ending", READERS)
def test_every_format_holds_the_predictions_and_the_columns_to_keep(predictor, rows, tmp_path, ending: str) -> None:
    out = tmp_path / "new" / f"scores{ending}"
    assert write_scores(predictor, rows, out, keep=["user", "country"]) == 70
    table = READERS[ending](out)
    assert table.column_names == ["user", "country", "click", "like", "watch"]
    expected = predictor.predict(rows)
    for name in expected.column_names:
        np.testing.assert_allclose(table[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12)
    assert table["user"].to_pylist() == rows["user"].to_pylist()
    assert [value or None for value in table["country"].to_pylist()] == rows["country"].to_pylist()
    assert [path.name for path in out.parent.iterdir()] == [out.name], "no temporary file is left"


def test_a_score_of_a_fusion_is_a_column(predictor, rows, tmp_path) -> None:
    fused = Predictor(predictor.model, predictor.encoder, fusion=Fusion({"click": 2.0, "like": 1.0}))
    write_scores(fused, rows, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["click", "like", "watch", "score"]
    click, like = (table[name].to_numpy() for name in ("click", "like"))
    np.testing.assert_allclose(table["score"].to_numpy(), click**2 * like, rtol=1e-9)


def test_an_older_file_is_replaced_only_where_that_is_asked(predictor, rows, tmp_path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("old")
    with pytest.raises(InputError, match=r"a.csv.* exists. Choose another, or add .*overwrite"):
        write_scores(predictor, rows, out)
    assert out.read_text() == "old"
    assert write_scores(predictor, rows.slice(0, 5), out, overwrite=True) == 5
    assert len(pc_csv.read_csv(out)) == 5


def test_a_failure_on_the_way_leaves_the_older_file_and_nothing_else(predictor, rows, tmp_path, monkeypatch) -> None:
    out = tmp_path / "a.parquet"
    write_scores(predictor, rows, out)
    before, score = out.read_bytes(), Predictor.score

    def breaks(self: Predictor, *arguments: Any) -> Any:
        yield from score(self, *arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Predictor, "score", breaks)
    with pytest.raises(InputError, match="No space left on device"):
        write_scores(predictor, rows, out, overwrite=True)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize(
    ("name", "keep", "message"),
    [
        ("a.txt", (), "unknown kind of file. Choose a name that ends in .parquet, .csv, .arrow"),
        ("folder.csv", (), "a folder of this name exists"),
        ("a.csv", ("user", "click"), "a task or the score has this name"),
        ("a.csv", ("tags",), "a column of lists has no form in CSV"),
        ("a.csv", ("usr",), r"'usr' \(to keep\) is missing. Did you mean 'user'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_row(predictor, rows, tmp_path, name, keep, message) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=message):
        write_scores(predictor, rows, tmp_path / name, keep)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_a_table_without_rows_and_a_data_set_of_several_parts_are_refused(predictor, rows, tmp_path) -> None:
    with pytest.raises(InputError, match="no rows"):
        write_scores(predictor, rows.slice(0, 0), tmp_path / "a.csv")
    parts = Path(tmp_path / "log")
    parts.mkdir()
    for part in ("train", "test"):
        pq.write_table(rows, parts / f"{part}.parquet")
    with pytest.raises(InputError, match="a data set with several parts"):
        write_scores(predictor, parts, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_lists_are_kept_where_the_format_has_them(predictor, rows, tmp_path) -> None:
    write_scores(predictor, rows, tmp_path / "a.arrow", keep=["tags"])
    assert feather.read_table(tmp_path / "a.arrow")["tags"].to_pylist() == rows["tags"].to_pylist()
