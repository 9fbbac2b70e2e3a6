"""A data set is written whole or not at all, and what was written is returned."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.datasets.folder import WrittenDataset, check_out, check_seed, write_dataset, write_folder
from manygate.errors import InputError

TABLE = pa.table({"x": [1, 2, 3]})


def test_a_data_set_names_its_parts_and_not_the_tables_of_its_truth(tmp_path):
    files = {"train.parquet": TABLE, "test.parquet": TABLE.slice(1), "truth/test.parquet": TABLE, "schema.yaml": "a: 1\n"}
    out = tmp_path / "out"
    assert write_dataset(out, files) == WrittenDataset(
        folder=out,
        rows={"train": 3, "test": 2},
        parts={"train": out / "train.parquet", "test": out / "test.parquet"},
        schema=out / "schema.yaml",
        truth=out / "truth",
        ceiling=None,
    )
    assert write_dataset(tmp_path / "bare", {"train.parquet": TABLE, "schema.yaml": ""}).truth is None


def test_files_have_the_content_and_a_checksum_on_each_page(tmp_path):
    out = write_folder(tmp_path / "new" / "out", {"a/b.parquet": TABLE, "README.md": "\N{SNOWMAN}"})
    assert pq.read_table(out / "a" / "b.parquet", page_checksum_verification=True).equals(TABLE)
    assert (out / "README.md").read_bytes() == "\N{SNOWMAN}".encode()
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"], "no temporary folder is left"


def test_a_failed_write_leaves_the_former_folder(tmp_path):
    out = write_folder(tmp_path / "out", {"a.txt": "before"})
    with pytest.raises(AttributeError):
        write_folder(out, {"b.txt": None}, overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "dataset.json", "out"]


def test_an_overwritten_folder_has_the_new_files_alone(tmp_path):
    write_folder(tmp_path / "out", {"a.txt": "before"})
    write_folder(tmp_path / "out", {"b.txt": "after"}, overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b.txt", "dataset.json", "out"]


def test_a_folder_that_holds_the_working_folder_is_kept(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    with pytest.raises(InputError, match="is not overwritten"):
        check_out(tmp_path, overwrite=True)
    assert check_out(inner, overwrite=True) == inner.resolve(), "an empty folder may be written"


@pytest.mark.parametrize("seed", [-1, 1.0, True, "1"])
def test_a_seed_is_a_whole_number_from_zero_up(seed):
    assert InputError(check_seed(seed)).problems == (f"seed: expected a whole number of at least 0, found {seed!r}.",)
    assert check_seed(0) == []


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("notes.txt", "mine", "holds notes.txt, which manygate did not write"),
        ("truth/notes.txt", "mine", "holds truth/notes.txt, which manygate did not write"),
        (".git/config", "mine", "holds .git/config, which manygate did not write"),
        ("schema.yaml", "a: 2", "holds schema.yaml, which was changed since"),
        ("dataset.json", "{}", "it lists no files"),
        ("dataset.json", None, "not a data set that manygate wrote"),
    ],
)
def test_overwriting_destroys_only_what_was_written(tmp_path, name, content, problem):
    out = write_folder(tmp_path / "out", {"train.parquet": TABLE, "schema.yaml": "a: 1", "truth/a.txt": "x"})
    path = out / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    before = {str(path) for path in out.rglob("*")}
    for write in (lambda: check_out(out, overwrite=True), lambda: write_folder(out, {"a.txt": "new"}, overwrite=True)):
        with pytest.raises(InputError, match=problem):
            write()
    assert {str(path) for path in tmp_path.rglob("*")} == {str(out), *before}


def test_a_folder_of_someone_else_is_kept(tmp_path):
    (tmp_path / "train.parquet").write_text("mine")
    with pytest.raises(InputError, match="not a data set that manygate wrote"):
        write_folder(tmp_path, {"a.txt": "new"}, overwrite=True)
    assert (tmp_path / "train.parquet").read_text() == "mine"
