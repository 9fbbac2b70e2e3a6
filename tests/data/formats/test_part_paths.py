"""The parts of a data set are known by the names that people give them, and never mixed or dropped without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.formats.part_paths import part_paths, refuse_parts, training_part, unread_data
from manygate.data.sources import open_sources
from manygate.data.table import open_table
from manygate.errors import InputError
from tables import read, write_csv


def write(folder: Path, *names: str) -> Path:
    """Files of one row that holds the file's name; a name without an ending is a folder with such a file."""
    for name in names:
        path = folder / (name if "." in name else f"{name}/x.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = pa.table({"row": [name]})
        write_csv(rows, path) if "csv" in path.name or "tsv" in path.name else pq.write_table(rows, path)
    return folder


def parts_of(folder: Path, **named: Any) -> dict[str, list[str]]:
    from manygate.config import DataConfig

    return {part: read(table)["row"] for part, table in open_sources(folder, DataConfig(), **named).named()}


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "dev", "Validation", "VAL"])
@pytest.mark.parametrize("form", ["{}", "{}.parquet", "{}.csv", "{}.tsv.gz", "{}.csv.zst", "split={}"])
def test_a_validation_part_by_any_name(tmp_path: Path, valid: str, form: str) -> None:
    names = [form.format(name) for name in ("train", valid, "test")]
    assert parts_of(write(tmp_path / "log", *names)) == {"train": names[:1], "valid": names[1:2], "test": names[2:]}


def test_parts_in_pieces(tmp_path: Path) -> None:
    pieces = [f"{part}-0000{k}-of-00002.parquet" for part in ("train", "validation", "test") for k in (0, 1)]
    expected = {"train": pieces[:2], "valid": pieces[2:4], "test": pieces[4:]}
    assert parts_of(write(tmp_path / "log", *pieces)) == expected
    more = ["train_0.parquet", "train_1.parquet", "dev.0.parquet", "test-7.parquet"]
    assert parts_of(write(tmp_path / "more", *more)) == {"train": more[:2], "valid": more[2:3], "test": more[3:]}


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["train", "val", "dev", "test"], "valid"),
        (["train", "valid.parquet", "valid.csv", "test"], "valid"),
        (["train", "train.parquet", "test"], "train"),
        (["train.parquet", "train-00000-of-00001.parquet"], "train"),
        (["train", "test.parquet", "test-0.parquet"], "test"),
    ],
)
def test_a_part_that_is_there_twice_is_refused(tmp_path: Path, names: list[str], part: str) -> None:
    with pytest.raises(InputError, match=f"holds {part} rows several times: .*, .*Keep one of them here"):
        parts_of(write(tmp_path / "log", *names))


def test_a_part_that_the_user_names_may_be_there_twice(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", "train", "val", "dev")
    assert parts_of(folder, valid=str(folder / "dev")) == {"train": ["train"], "valid": ["dev"]}


def test_names_that_only_resemble_a_part_are_none(tmp_path: Path) -> None:
    assert part_paths(write(tmp_path, "training.parquet", "valid_users.parquet", "tests", "train-final", "trainer.csv")) == {}
    assert part_paths(write(tmp_path / "b", "test.parquet", "val.parquet")) == {}, "without train, a log in one piece"


def test_data_beside_the_parts_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", "train", "test", "extra.parquet", "more/deep/x.csv", "truth", "_hidden.parquet")
    (folder / "README.md").write_text("About")
    (folder / "notes").mkdir()
    assert unread_data(folder, part_paths(folder)) == [f"{folder}: the parts train, test are read; not read: extra.parquet, more/."]
    from manygate.config import DataConfig

    assert open_sources(folder, DataConfig()).unread == unread_data(folder, part_paths(folder))
    clean = write(tmp_path / "clean", "train", "test")
    assert unread_data(clean, part_paths(clean)) == []


def test_parts_are_never_read_as_one_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", "train", "dev")
    with pytest.raises(InputError, match=r"a data set with several parts \(train, valid\)\. Choose one, for example .*/dev"):
        refuse_parts(folder)
    repository = write(tmp_path / "repository", "data/train-0-of-1.parquet", "data/test-0-of-1.parquet")
    for check in (refuse_parts, parts_of, open_table):
        with pytest.raises(InputError, match=r"repository: a data set with several parts \(train, test\) in data\. .*test-0-of-1"):
            check(repository)
    refuse_parts(write(tmp_path / "one", "train", "day1"))


def test_a_schema_is_inferred_from_the_training_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", "train-0.parquet", "train-1.parquet", "val", "truth")
    assert training_part(folder) == training_part(str(folder)) == [str(folder / f"train-{k}.parquet") for k in (0, 1)]
    assert training_part(folder / "val") == folder / "val"
    frame = pa.table({"row": [1]})
    assert training_part(frame) is frame
    assert training_part("") == ""
