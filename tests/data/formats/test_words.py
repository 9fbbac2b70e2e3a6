"""Words are read as numbers only where they are numbers, and Arrow's readers take all that the patterns call numbers."""

from __future__ import annotations

import re
from io import BytesIO

import pyarrow as pa
import pyarrow.csv as pc_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.formats.words import DECIMAL, EXPONENT, INFINITE, NUMBER, OTHER_WHOLE, WHOLE, Wording


@given(st.one_of(*(st.from_regex(re.compile(p, re.ASCII), fullmatch=True) for p in (DECIMAL, EXPONENT, OTHER_WHOLE, INFINITE))))
def test_arrow_reads_every_number(text: str) -> None:
    text = text.replace("\n", " ").replace("\r", " ").replace("\x0b", " ").replace("\x0c", " ").replace("\t", " ")
    file = BytesIO(f"n,m\n1,{text}\n".encode())
    options = pc_csv.ConvertOptions(column_types={"m": pa.float64()})
    assert pc_csv.read_csv(file, convert_options=options)["m"][0].as_py() == pytest.approx(float(text))
    assert Wording(pa.float64()).read(pa.array([text])).to_pylist() == pytest.approx([float(text)])


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_have_one_form(number: int) -> None:
    text = str(number)
    assert re.match(WHOLE, text)
    assert NUMBER.fullmatch(text)
    assert Wording(pa.int64()).read(pa.array([text, f"{text}.0", f"{text}."])).to_pylist() == [number] * 3
    for other in (f"0{text}", f"+{text}", f" {text}", f"{text}.0", f"-{text}" if number <= 0 else f"{text} "):
        assert not re.match(WHOLE, other)


@pytest.mark.parametrize(
    ("marks", "text"),
    [
        ("decimal_comma", "1.5"),
        ("decimal_comma", "1,234.5"),
        ("thousands_comma", "3,14"),
        ("thousands_comma", "1.234,5"),
        ("", "3,14"),
    ],
)
def test_numbers_with_commas_are_not_guessed(marks: str, text: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match=re.escape(text)):
        Wording(pa.float64(), marks).read(pa.array(["1", text]))


def test_a_fraction_is_no_whole_number() -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"7\.5"):
        Wording(pa.int64()).read(pa.array(["7", "7.5"]))
    assert Wording(pa.bool_()).read(pa.array(["TRUE", "false", "?", ""])).to_pylist() == [True, False, None, None]
