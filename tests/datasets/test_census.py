from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.datasets import census
from manygate.datasets.census import (
    ASSOCIATE_OR_ABOVE,
    DENSE,
    FIELDS,
    INPUTS,
    LABELS,
    SHA256,
    census_tables,
    parse_records,
    task_schema,
)
from manygate.errors import InputError
from manygate.schema import Schema

REAL = Path(__file__).parents[3] / "shared" / "data"
SPLITS = ("train", "valid", "test")
needs_real = pytest.mark.skipif(
    not (REAL / "census-income.data.bz2").is_file() or not (REAL / "census-income.test.gz").is_file(),
    reason=f"the published Census-Income files are not in {REAL}",
)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("census")
    return {group: census(group, base / group, data_dir=REAL).folder for group in ("income", "education")}


def tables(folder: Path) -> dict[str, pa.Table]:
    return {split: pq.read_table(folder / f"{split}.parquet") for split in SPLITS}


def held_out(folder: Path) -> pa.Table:
    """The published test file: validation and test together."""
    found = tables(folder)
    return pa.concat_tables([found["valid"], found["test"]])


def line(**changes: str) -> str:
    """One line as published: a space before each value, a full stop at the end."""
    values = {field: "0" if field in DENSE else "?" for field in FIELDS} | {"income_class": "- 50000."} | changes
    return ", ".join(values[field] for field in FIELDS)


def text(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A data_dir with published-looking files of a few rows, whose checksums are made the expected ones."""
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [line(age=str(n), hispanic_origin="NA", marital_status="Never married" if n % 2 else "Divorced") for n in range(21)]
    for name, raw in (("census-income.data", text(*rows)), ("census-income.test", text(*rows[:11]))):
        (folder / name).write_bytes(raw)
        monkeypatch.setitem(SHA256, name, hashlib.sha256(raw).hexdigest())
    return folder


@needs_real
@pytest.mark.parametrize("group", ["income", "education"])
def test_published_rows_and_columns(real, group):
    found = tables(real[group])
    assert [found[split].num_rows for split in SPLITS] == [199_523, 49_881, 49_881]
    assert found["train"].schema.equals(found["valid"].schema)
    assert found["train"].schema.equals(found["test"].schema)
    assert found["train"].column_names == [*INPUTS, group, "never_married"]
    schema = Schema.load(real[group] / "schema.yaml")
    assert [sum(feature.kind == kind for feature in schema.features) for kind in ("dense", "sparse")] == [7, 31]
    assert schema.task_names == (group, "never_married")
    assert set(schema.columns) == set(found["train"].column_names)
    assert all(column.null_count == 0 for table in found.values() for column in table.columns)
    assert found["train"]["hispanic_origin"].to_pylist().count("NA") > 0
    assert "?" in found["train"]["migration_msa"].unique().to_pylist()


@needs_real
def test_published_levels_and_rates(real):
    train, rest = tables(real["income"])["train"], held_out(real["income"])
    sparse = [name for name in INPUTS if name not in DENSE]
    assert sum(len(train[name].unique()) for name in sparse) == 479
    assert sum(len(rest[name].unique()) for name in sparse) == 478
    # how many values census-income.names says each dense attribute has, which also checks the order of the fields
    distinct = {name: len(train[name].unique()) for name in DENSE}
    assert list(distinct.values()) == [91, 1240, 132, 113, 1478, 7, 53]
    assert sum(train["income"].to_pylist()) == 12_382
    assert sum(rest["income"].to_pylist()) == 6_186
    assert rest["never_married"].to_numpy().mean() == pytest.approx(0.4325, abs=5e-5)
    education = held_out(real["education"])["education"].to_numpy()
    assert education.mean() == pytest.approx(0.1950, abs=5e-5)


@needs_real
@pytest.mark.parametrize(("group", "expected"), [("income", 0.1787), ("education", 0.2376)])
def test_published_correlation_of_the_tasks(real, group, expected):
    rest = held_out(real[group])
    correlation = np.corrcoef(rest[group].to_numpy(), rest["never_married"].to_numpy())[0, 1]
    assert abs(correlation) == pytest.approx(expected, abs=5e-5)


def test_tables_in_memory_are_the_rows_of_the_files_with_the_labels_that_are_named(small, tmp_path):
    folder = census("education", tmp_path / "out", data_dir=small, seed=3).folder
    found, every = (census_tables(labels, small, 3) for labels in (("education", "never_married"), LABELS))
    assert {part: table.to_pydict() for part, table in found.items()} == {
        part: table.to_pydict() for part, table in tables(folder).items()
    }
    assert every["test"].column_names == [*INPUTS, "income", "education", "never_married"]
    assert every["test"].select(found["test"].column_names).equals(found["test"])
    assert task_schema(("income",)).task_names == ("income",)


@needs_real
def test_a_flipped_byte_in_the_published_archives_is_caught(tmp_path):
    for name in ("census-income.data.bz2", "census-income.test.gz"):
        shutil.copy(REAL / name, tmp_path / name)
    raw = bytearray((REAL / "census-income.test.gz").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "census-income.test.gz").chmod(0o644)
    (tmp_path / "census-income.test.gz").write_bytes(raw)
    with pytest.raises(InputError, match=r"census-income\.test\.gz.*damaged.*expected sha256 98402b1a"):
        census("income", tmp_path / "out", data_dir=tmp_path)


def test_parser_reads_values_labels_and_kinds():
    raw = text(
        line(age="38", hispanic_origin="NA", weeks_worked="52", income_class="50000+.", education_level=ASSOCIATE_OR_ABOVE[0]),
        line(industry="6", year="95", citizenship="Foreign born- Not a citizen of U S ", marital_status="Never married"),
    )
    table = parse_records(raw, "tiny", "income")
    assert table.column_names == [*INPUTS, "income", "never_married"]
    assert len(INPUTS) == 38
    assert table["income"].to_pylist() == [1, 0]
    assert table["never_married"].to_pylist() == [0, 1]
    assert table["income"].type == table["never_married"].type == pa.int8()
    assert table["age"].to_pylist() == [38, 0]
    assert table["hispanic_origin"].to_pylist() == ["NA", "?"]
    assert table["industry"].to_pylist() == ["?", "6"]
    assert table["year"].type == pa.string()
    assert table["citizenship"].to_pylist()[1] == "Foreign born- Not a citizen of U S"
    assert parse_records(raw, "tiny", "education")["education"].to_pylist() == [1, 0]
    assert "income" not in parse_records(raw, "tiny", "education").column_names


@pytest.mark.parametrize(
    ("level", "expected"),
    [(level, 1) for level in ASSOCIATE_OR_ABOVE] + [("Some college but no degree", 0), ("Children", 0)],
)
def test_education_is_associate_degree_or_above(level, expected):
    assert parse_records(text(line(education_level=level)), "tiny", "education")["education"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (text("1, 2, 3"), "'tiny' is not Census-Income with 42 fields a line"),
        (text(line(age="old")), "'tiny' is not Census-Income.*old"),
        (text(line(income_class="50000+")), r"the last field must be one of .*found \['50000\+'\]"),
        (b"", "'tiny' is not Census-Income"),
    ],
)
def test_parser_names_what_is_wrong(raw, message):
    with pytest.raises(InputError, match=message):
        parse_records(raw, "tiny", "income")


@pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress])
def test_split_halves_the_test_file_once(small, tmp_path, pack):
    if pack is not None:
        for name in SHA256:
            suffix = ".gz" if pack is gzip.compress else ".bz2"
            (small / f"{name}{suffix}").write_bytes(pack((small / name).read_bytes()))
            (small / name).unlink()
    out = census("income", tmp_path / "out", data_dir=small, seed=1).folder
    found = tables(out)
    assert [found[split].num_rows for split in SPLITS] == [21, 5, 6]
    assert found["train"]["age"].to_pylist() == list(range(21))
    assert sorted(held_out(out)["age"].to_pylist()) == list(range(11))
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "dataset.json",
        "schema.yaml",
        *sorted(f"{s}.parquet" for s in SPLITS),
    ]
    readme = (out / "README.md").read_text()
    assert all(fact in readme for fact in ("10.24432/C5N30T", "CC BY 4.0", "seed 1"))


def test_same_seed_same_bytes_and_another_seed_another_split(small, tmp_path):
    first, again, other = (
        census("income", tmp_path / str(n), data_dir=small, seed=seed).folder for n, seed in enumerate((0, 0, 2))
    )
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert tables(first)["test"]["age"] != tables(other)["test"]["age"]
    assert tables(first)["train"].equals(tables(other)["train"])


def test_flipped_byte_names_file_found_and_expected(small, tmp_path):
    path = small / "census-income.test"
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        census("income", tmp_path / "out", data_dir=small)
    for fact in (str(path), SHA256["census-income.test"], hashlib.sha256(raw).hexdigest()):
        assert fact in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_file_and_bad_arguments(small, tmp_path):
    with pytest.raises(InputError, match=r"group 'incme' is unknown. Did you mean 'income'\?"):
        census("incme", tmp_path / "out", data_dir=small)
    with pytest.raises(InputError, match="seed: expected"):
        census("income", tmp_path / "out", data_dir=small, seed=-1)
    with pytest.raises(InputError, match="not a data set that manygate wrote"):
        census("income", small, data_dir=small, overwrite=True)
    with pytest.raises(InputError, match="holds the source files"):
        census("income", tmp_path / "new", data_dir=tmp_path / "new" / "sources")
    (small / "census-income.data").unlink()
    with pytest.raises(InputError, match=r"holds none of census-income\.data, census-income\.data\.gz, census-income\.data\.bz2"):
        census("income", tmp_path / "out", data_dir=small)


def test_existing_folder_is_kept_unless_overwritten(small, tmp_path):
    out = census("income", tmp_path / "out", data_dir=small).folder
    with pytest.raises(InputError, match=r"exists\. Choose another out, or add overwrite=True"):
        census("education", out, data_dir=small)
    census("education", out, data_dir=small, overwrite=True)
    assert Schema.load(out / "schema.yaml").task_names == ("education", "never_married")


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("MANYGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(InputError, match=r"cannot be downloaded.*no route to host.*by hand from .*data_dir"):
        census("income", tmp_path / "out")
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_download_is_verified_cached_and_repaired(small, tmp_path, monkeypatch):
    asked = []

    def serve(url, timeout):
        assert timeout > 0
        asked.append(url)
        return io.BytesIO(gzip.compress((small / Path(url).name.removesuffix(".gz")).read_bytes()))

    monkeypatch.setenv("MANYGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", serve)
    for attempt in range(2):
        census("income", tmp_path / f"out{attempt}")
    assert [Path(url).name for url in asked] == ["census-income.data.gz", "census-income.test.gz"]
    cached = tmp_path / "cache" / "census-income" / "census-income.test.gz"
    cached.write_bytes(b"rubbish")
    census("income", tmp_path / "out2")
    assert len(asked) == 3
    assert gzip.decompress(cached.read_bytes()) == (small / "census-income.test").read_bytes()


def test_wrong_download_is_not_cached(small, tmp_path, monkeypatch):
    monkeypatch.setenv("MANYGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"<html>captive portal</html>"))
    with pytest.raises(InputError, match="damaged, or not the published one"):
        census("income", tmp_path / "out")
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))
