"""The short forms of settings are read as what they stand for, and what has gaps is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from manygate.config import RunConfig
from manygate.config.values import Counted, CountRows, Counts, FactorRows, Factors, Names, WidthRows, Widths, class_name


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Widths, 64, (64,)),
        (Widths, "64,32", (64, 32)),
        (Widths, "64-32", (64, 32)),
        (Widths, " 64 , 32 ", (64, 32)),
        (Widths, [64, 32], (64, 32)),
        (Widths, "", ()),
        (Counts, "0,2", (0, 2)),
        (CountRows, "2,3/1,1", ((2, 3), (1, 1))),
        (CountRows, 2, ((2,),)),
        (CountRows, [2, 3], ((2, 3),)),
        (WidthRows, "128,64/64", ((128, 64), (64,))),
        (Factors, "0.1, 1", (0.1, 1.0)),
        (Factors, 2, (2.0,)),
        (FactorRows, "1,1/1,2", ((1.0, 1.0), (1.0, 2.0))),
        (FactorRows, [1, 2], ((1.0, 2.0),)),
        (FactorRows, "", ()),
        (Counted, "0,1,0", (0, 1, 0)),
        (Names, "a, b,", ("a", "b")),
        (Names, ["a", "b c"], ("a", "b c")),
    ],
)
def test_short_forms(kind: Any, value: Any, expected: Any) -> None:
    assert read(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Widths, "64,x"),
        (Widths, 0),
        (Widths, 65_537),
        (Widths, "-64"),
        (Counts, ""),
        (CountRows, "2//1"),
        (Factors, "1,,2"),
        (Factors, True),
        (Factors, 0),
        (FactorRows, "1/"),
        (Counted, -1),
    ],
)
def test_what_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind, value)


def test_a_class_stands_for_its_name() -> None:
    assert class_name(RunConfig) == "manygate.config.settings:RunConfig"
    assert class_name(["mmoe", RunConfig]) == ("mmoe", "manygate.config.settings:RunConfig")
    assert class_name("mmoe") == "mmoe"
