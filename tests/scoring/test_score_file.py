"""Scores in a file are those of the predictor, in every format, whole or not at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from manygate.data.encoded import encode_log
from manygate.data.sources import find_schema, open_sources
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
    assert write_scores(predictor, rows, out, keep=["user", "country"]) == (70, 0)
    table = READERS[ending](out)
    assert table.column_names == ["user", "country", "click", "like", "watch"]
    expected = predictor.predict(rows)
    for name in expected.column_names:
        np.testing.assert_allclose(table[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12)
    assert table["user"].to_pylist() == rows["user"].to_pylist()
    assert [value or None for value in table["country"].to_pylist()] == rows["country"].to_pylist()
    assert [path.name for path in out.parent.iterdir()] == [out.name], "no temporary file is left"


COPIED = {
    "order": ["10000000000000000001", "10000000000000000002", "3"],
    "zip": ["00014", "8000", ""],
    "version": ["1.10", "1.1", "2"],
    "word": ["NULL", "7", "-"],
    "text": ["a,b", '""', "x"],
    "big": ["9007199254740993", "", "9007199254740992"],
}


@pytest.fixture(scope="module")
def of_csv(tmp_path_factory, settings) -> Predictor:
    """A model that was trained on a CSV file, with codes such as 007."""
    path = tmp_path_factory.mktemp("log") / "log.csv"
    lines = [f"{n % 5},{n % 4:03d},{n / 8},{n % 2}" for n in range(200)]
    path.write_text("\n".join(["user,sku,price,click", *lines]))
    config = settings(task=("click",), architecture="shared_bottom")
    sources = open_sources(str(path), config)
    log = encode_log(sources, find_schema(sources, config), config)
    return Predictor(MultiTaskModel(Problem.of(log.encoder, config), config), log.encoder)


@pytest.mark.parametrize("ending", READERS)
def test_columns_of_csv_are_copied_as_they_stand(of_csv, tmp_path, ending: str) -> None:
    features = {"user": ["1", "2", ""], "sku": ["001", "1", "002"], "price": ["1.50", "1.5", "NULL"]}
    written = features | {name: [f'"{value}"' if "," in value else value for value in values] for name, values in COPIED.items()}
    rows = zip(*written.values(), strict=True)
    (tmp_path / "log.csv").write_text("\n".join([",".join(written), *map(",".join, rows)]))
    keep = [*COPIED, "user", "price"]
    assert write_scores(of_csv, tmp_path / "log.csv", tmp_path / f"scores{ending}", keep).rows == 3
    if ending == ".csv":
        lines = [line.rpartition(",")[0] for line in (tmp_path / "scores.csv").read_text().splitlines()]
        assert lines == [",".join(keep), *map(",".join, zip(*(written[name] for name in keep), strict=True))]
        return
    table = READERS[ending](tmp_path / f"scores{ending}")
    for name in keep:
        expected = [{"": None, '""': ""}.get(value, value) for value in (COPIED | features)[name]]
        assert [None if value is None else str(value) for value in table[name].to_pylist()] == expected
    same = of_csv.predict(pa.table({"user": [1, 2, None], "sku": ["001", "1", "002"], "price": [1.5, 1.5, None]}))
    np.testing.assert_array_equal(table["click"].to_numpy(), same["click"].to_numpy())


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
    assert write_scores(predictor, rows.slice(0, 5), out, overwrite=True).rows == 5
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


STORED = {
    "price_exact": pa.array([Decimal("1.10"), Decimal("12345678901234567.89"), None], pa.decimal128(19, 2)),
    "wide": pa.array([Decimal(2**70), Decimal(2**70 + 1), None], pa.decimal128(38, 0)),
    "digest": pa.array([b"\xff\x00", b"CH", None], pa.binary()),
    "key": pa.array([bytes(range(16)), b"0" * 16, None], pa.binary(16)),
    "uuid": pa.array([bytes(range(16)), b"0" * 16, None], pa.uuid()),
    "number": pa.array([2**63, 2**64 - 1, None], pa.uint64()),
}


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@pytest.mark.parametrize("source", ["memory", "file"])
def test_keys_keep_their_bytes_and_digits(predictor, rows, tmp_path, ending: str, source: str) -> None:
    log = rows.slice(0, 3)
    for name, values in STORED.items():
        log = log.append_column(name, values)
    pq.write_table(log, tmp_path / "log.parquet")
    write_scores(predictor, log if source == "memory" else tmp_path / "log.parquet", tmp_path / f"scores{ending}", [*STORED])
    table = READERS[ending](tmp_path / f"scores{ending}")
    for name, values in STORED.items():
        assert table.schema.field(name).type == values.type
        assert table[name].to_pylist() == values.to_pylist()


def test_keys_in_csv_are_their_text(predictor, rows, tmp_path) -> None:
    log = rows.slice(0, 3)
    for name, values in STORED.items():
        log = log.append_column(name, values)
    write_scores(predictor, log, tmp_path / "scores.csv", [*STORED])
    lines = [line.split(",")[: len(STORED)] for line in (tmp_path / "scores.csv").read_text().splitlines()]
    uuids = ["00010203-0405-0607-0809-0a0b0c0d0e0f", "30303030-3030-3030-3030-303030303030"]
    assert lines[1] == ["1.10", str(2**70), "\\xff00", uuids[0], uuids[0], str(2**63)]
    assert lines[2] == ["12345678901234567.89", str(2**70 + 1), "CH", uuids[1], uuids[1], str(2**64 - 1)]
    assert lines[3] == [""] * 6


@pytest.mark.parametrize(
    ("name", "keep", "message"),
    [
        ("a.txt", (), "unknown kind of file. Choose a name that ends in .parquet, .csv, .arrow"),
        ("folder.csv", (), "a folder of this name exists"),
        ("a.csv", ("user", "click"), "a task or the score has this name"),
        ("a.csv", ("tags",), "a column of lists has no form in CSV"),
        ("a.csv", ("usr",), r"'usr' \(to keep\) is missing. Did you mean 'user'"),
        ("a.csv", ("user", "country", "user"), r"keep='user': this column is named twice. Name it once"),
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


def test_scores_never_replace_the_rows_that_they_score(predictor, log_table, tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(log_table(20), path)
    (tmp_path / "link.parquet").symlink_to(path)
    before = path.read_bytes()
    for source, out in ((path, path), (path, tmp_path / "link.parquet"), (tmp_path / "*.parquet", path), ([path], path)):
        with pytest.raises(InputError, match="which is read"):
            write_scores(predictor, source, out, overwrite=True)
    assert path.read_bytes() == before
