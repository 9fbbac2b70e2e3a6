"""The parts of a log, its schema and its tasks come from folders, files and settings."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from log_folders import PARTS, equal_rows, write_log_folder
from manygate.config import DataConfig
from manygate.data.encoded import encode_log
from manygate.data.sources import find_schema, open_sources, unused_settings
from manygate.data.table import open_table
from manygate.errors import InputError


def test_a_folder_of_parts_is_read_as_such_and_truth_is_not(tmp_path, parts, log_schema, settings):
    truth = {"truth/test.parquet": pa.table({"p_click": [0.5]}), "truth/train.parquet": pa.table({"p_click": [0.5]})}
    folder = write_log_folder(tmp_path / "log", {**parts, **truth}, log_schema())
    sources = open_sources(folder, settings())
    assert [part for part, _ in sources.named()] == list(PARTS)
    assert sources.schema_file == folder / "schema.yaml"
    schema = find_schema(sources, settings())
    assert schema == log_schema()
    log = encode_log(sources, schema, settings())
    assert {part: len(rows) for part, rows in log.parts.items()} == {"train": 240, "valid": 90, "test": 90}
    without = encode_log(open_sources(write_log_folder(tmp_path / "bare", parts, log_schema()), settings()), schema, settings())
    assert all(equal_rows(log.parts[part], without.parts[part]) for part in PARTS)


def test_explicit_files_win_and_the_rest_is_split(tmp_path, parts, log_table, log_schema, settings):
    folder = write_log_folder(tmp_path, parts)
    log = encode_log(open_sources(folder / "train.parquet", settings(), test=folder / "test.parquet"), log_schema(), settings())
    assert len(log.parts["test"]) == 90
    assert len(log.parts["train"]) + len(log.parts["valid"]) == 240
    assert len(log.parts["valid"]) == pytest.approx(60, abs=25)
    given = settings(valid=str(folder / "valid.parquet"), test=str(folder / "test.parquet"))
    log = encode_log(open_sources(folder / "train.parquet", given), log_schema(), given)
    assert [len(rows) for rows in log.parts.values()] == [240, 90, 90]


def test_tasks_are_chosen_from_the_schema_or_written_out(log_table, log_schema):
    sources = open_sources(log_table(50), DataConfig())
    chosen = find_schema(sources, DataConfig(task=("like", "click")), log_schema())
    assert chosen.task_names == ("like", "click")
    assert chosen.tasks[0].where == "click == 1"
    own = find_schema(sources, DataConfig(task=("old:label=age,kind=regression",)), log_schema())
    assert "age" not in own.feature_names, "a label is no longer a feature"
    with pytest.raises(InputError, match=r"'clik' is not in the schema\. Did you mean 'click'"):
        find_schema(sources, DataConfig(task=("clik",)), log_schema())
    with pytest.raises(InputError, match=r"no label to predict is named.*task='NAME'.*Columns: user"):
        find_schema(sources, DataConfig())
    assert find_schema(sources, DataConfig(task=("click",))).task_names == ("click",)


def test_context_of_the_settings_over_that_of_the_schema(log_table, log_schema):
    """With a schema and without one; a name that is no feature and a role that excludes it are errors."""
    sources, user = open_sources(log_table(50), DataConfig()), DataConfig(context=("user",), task=("click",))
    for schema in (log_schema(), None):
        found = find_schema(sources, user, schema)
        assert [feature.name for feature in found.features if feature.context] == ["user"]
    with pytest.raises(InputError, match=r"'usr' \(named in the settings\).*Did you mean 'user'"):
        find_schema(sources, DataConfig(context=("usr",)), log_schema())
    with pytest.raises(InputError, match="'click' is no feature"):
        find_schema(sources, DataConfig(context=("click",)), log_schema())
    with pytest.raises(InputError, match="feature 'user': a bias feature is absent at serving, so it cannot be context"):
        find_schema(sources, DataConfig(bias=("user",)), log_schema().with_context(["user"]))


def test_parts_of_csv_are_read_in_the_types_of_the_training_part(tmp_path: Path) -> None:
    for part, sku, age in (("train", "007", "3"), ("valid", "8", "4.0"), ("test", "9", "")):
        (tmp_path / f"{part}.csv").write_text(f"sku,age,click\n{sku},{age},1\n")
    sources = open_sources(str(tmp_path), DataConfig())
    for _, table in sources.named():
        assert [str(kind) for kind in table.arrow_schema.types] == ["string", "int64", "int64"]
    given = open_sources(str(tmp_path), DataConfig(), types={"age": pa.string()})
    assert given.train.arrow_schema.field("age").type == pa.string()


def test_a_misspelt_column_of_types_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("sku,click\n7,1\n")
    with pytest.raises(InputError, match=r"column 'sku2' \(named by types\) is missing. Did you mean 'sku'"):
        open_sources(str(tmp_path / "log.csv"), DataConfig(types={"sku2": "text"}))


def test_settings_of_csv_files_need_a_csv_file(tmp_path: Path) -> None:
    config = DataConfig(separator="tab", null_values=("x",), types={"a": "text"})
    problems = unused_settings(config, [open_table(pa.table({"a": [1]}))])
    assert InputError(problems).problems == (
        "separator: a setting of CSV files, and the log has none. Leave it out.",
        "null_values: a setting of CSV files, and the log has none. Leave it out.",
    )
    (tmp_path / "log.csv").write_text("a\tb\n1\tx\n")
    assert unused_settings(config, [open_table(pa.table({"a": [1]})), open_table(tmp_path / "log.csv", csv=config)]) == []
    assert unused_settings(DataConfig(types={"a": "text"}), [open_table(pa.table({"a": [1]}))]) == []
