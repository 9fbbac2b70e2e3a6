"""The short forms of settings are read as what they stand for, and what has gaps is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from manygate.config import RunConfig
from manygate.config.values import (
    Counted,
    CountRows,
    Counts,
    FactorRows,
    Factors,
    Names,
    WidthRows,
    Widths,
    baseline_names,
    class_name,
)
from manygate.errors import InputError


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("none", ()),
        ([], ()),
        ("all", ("lightgbm", "logistic", "constant")),
        ("constant, lightgbm", ("constant", "lightgbm")),
        (["logistic"], ("logistic",)),
    ],
)
def test_baselines_by_name(value: Any, expected: Any) -> None:
    assert baseline_names(value) == expected
    assert RunConfig.build({"baselines": value}).baselines == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("lightgbn", "--baselines: no baseline 'lightgbn'. Did you mean 'lightgbm'? Choose lightgbm, logistic, constant, or none."),
        ("constant,constant", "--baselines: 'constant' is named twice."),
        ("", "--baselines: it is empty. Name lightgbm, logistic, constant, or none."),
        ("none,constant", "--baselines: none leaves all baselines out. Give it alone, or leave it out."),
    ],
)
def test_unknown_baselines_are_one_clear_error(value: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        RunConfig.build({"baselines": value})
    assert caught.value.for_command_line().startswith(words)


def test_baselines_come_back_from_a_written_configuration() -> None:
    for given in (None, "none", "constant"):
        config = RunConfig.build({"baselines": given})
        assert RunConfig.build(yaml.safe_load(config.to_yaml())).baselines == config.baselines
