"""Ranges of settings: how they are read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.config.ranges import KINDS, Range, read_ranges
from manygate.errors import InputError


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        (3, "expected a range.*found 3"),
        ({}, "expected a range"),
        ({"log": [1, 2], "int": [1, 2]}, "expected a range"),
        ({"lgo": [1, 2]}, "'lgo' is no kind of range. Did you mean 'log'"),
        ({"log": 3}, "log takes a list of two numbers; found 3"),
        ({"choice": "abc"}, "choice takes a list of values; found 'abc'"),
        ({"log": [0, 1]}, "log needs ends above 0"),
        ({"log_int": [0, 8]}, "log_int needs ends above 0"),
        ({"int": [4, 4]}, "int is empty"),
        ({"uniform": [2, 1]}, "uniform is empty"),
        ({"int": [1.5, 3]}, "int takes whole numbers.*Choose uniform"),
        ({"uniform": [1, 2, 3]}, "two numbers"),
        ({"uniform": [True, 2]}, "two numbers"),
        ({"uniform": [1, "x"]}, "two numbers"),
        ({"uniform": [1, float("inf")]}, "two numbers"),
        ({"choice": ["a"]}, "two values or more"),
        ({"ordered": [8, 16, 8]}, "lists 8 twice"),
    ],
)
def test_what_is_no_range_is_refused_by_name(tree: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"setting x: .*{problem}"):
        read_ranges({"x": tree}, lambda name: f"setting {name}")


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(InputError) as error:
        read_ranges({"a": 3, "b": {"int": [1, 2]}, "c": {"int": [2, 1]}}, str)
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["a", "c"]


def test_yaml_reads_1e_4_as_a_text_and_a_range_as_a_number() -> None:
    assert Range.model_validate({"log": ["1e-4", "1e-2"]}).ends == (1e-4, 1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_range_survives_writing(kind: str) -> None:
    values = Range.model_validate({kind: [1, 8]})
    assert Range.model_validate(values.model_dump(mode="json")) == values


@given(st.sampled_from(["uniform", "log", "int", "log_int"]), st.integers(1, 50), st.integers(1, 50))
def test_the_samples_lie_in_the_range(kind: str, low: int, width: int) -> None:
    values = Range.model_validate({kind: [low, low + width]})
    assert all(map(values.holds, values.samples()))
    assert not values.holds(low - 1)
    assert not values.holds(low + width + 1)
    assert values.holds(low + 0.5) == (not values.is_whole)


def test_a_number_between_the_ends_is_no_whole_number() -> None:
    """Otherwise a range of fractions for a setting of whole numbers would pass."""
    assert Range.model_validate({"uniform": [2, 16]}).samples()[1] % 1 > 0
    assert not Range.model_validate({"ordered": [[8], [16]]}).holds([9])
    assert not Range.model_validate({"int": [0, 2]}).holds(True)
