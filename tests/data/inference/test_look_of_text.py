"""The note of a column of text says what it may be instead."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manygate.data.inference.look_of_text import look_of_text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "b"], ""),
        ([], ""),
        (["NA", "?"], ""),
        (["7", "8", "NULL", "9"], ", 75 % of them numbers (not 'NULL')"),
        (["007", "008"], ", 100 % of them numbers"),
        (["3,14", "2,5", "1"], ", numbers with commas ('3,14'): --types c=decimal_comma reads them"),
        (["1.234,5", "-"], ", numbers with commas ('1.234,5'): --types c=decimal_comma reads them"),
        (["1,234.5", "7"], ", numbers with commas ('1,234.5'): --types c=thousands_comma reads them"),
        (["1,234", "3,14"], ", numbers with commas ('1,234'): --types c=decimal_comma reads them"),
        (["Bern, West", "x"], ""),
        (["a|b|c", "a", "b|d"], ", 67 % of them lists ('a|b|c'): for a bag, write a list column to Parquet"),
        (["|", "||", "a"], ""),
    ],
)
def test_words(values: list[str], words: str) -> None:
    assert look_of_text(pa.chunked_array([pa.array(values, pa.string())]), "c") == words


def test_other_types_have_no_such_words() -> None:
    assert look_of_text(pa.chunked_array([[1, 2]]), "c") == ""
