"""Settings of CSV files are read from flags, YAML and Python alike."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.config import CsvConfig, DataConfig, RunConfig
from manygate.errors import InputError
from manygate.schema.reading import validated


@pytest.mark.parametrize("given", ["a=text,b=int", ["a=string", "b=integer"], {"a": "text", "b": "whole"}, ("a=text", "b=int64")])
def test_types(given: Any) -> None:
    config = RunConfig.build({"types": given})
    assert config.types == ("a=text", "b=integer")
    assert config.kinds == {"a": "text", "b": "integer"}
    assert RunConfig.build(config.model_dump(mode="json")).types == config.types


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"types": "sku"}, "types: 'sku' names no column and kind"),
        ({"types": "sku=txt"}, "column 'sku': unknown kind 'txt'. Did you mean 'text'?"),
        ({"types": ["a=text", "a=number"]}, "column 'a' has two kinds"),
        ({"separator": "::"}, "separator='::': expected one ASCII character."),
        ({"quote": "<>"}, "quote='<>': expected one ASCII character or none."),
        ({"escape": ""}, "escape='': expected one ASCII character or none."),
        ({"file_encoding": "rot13"}, "file_encoding='rot13': unknown encoding"),
        ({"header": "perhaps"}, "header"),
    ],
)
def test_problems(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        validated(CsvConfig, given, "")
    assert words in str(caught.value)


def test_characters_may_be_named() -> None:
    assert [CsvConfig(separator=name).separator for name in ("tab", "\\t", "pipe", "semicolon", "~")] == ["\t", "\t", "|", ";", "~"]


def test_a_column_may_have_an_equals_sign() -> None:
    assert CsvConfig(types={"a=b": "text"}).kinds == {"a=b": "text"}


def test_the_settings_of_csv_files_alone() -> None:
    config = RunConfig.build({"separator": "|", "valid": "v.csv", "types": {"a": "text"}})
    assert DataConfig.of_csv(config) == DataConfig(separator="|", types=("a=text",))
    assert DataConfig.of_csv(None) == DataConfig()
