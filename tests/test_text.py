"""Numbers, intervals, shares and lists as words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.text import (
    arguments,
    count_of,
    decimals,
    duration,
    finite,
    flags,
    half_width,
    interval,
    listed,
    number,
    plus_minus,
    share,
    whole,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0000"),
        (0.81234, "0.8123"),
        (-0.81234, "−0.8123"),
        (-0.0, "−0.0000"),
        (0.00004, "0.000040"),
        (0.0000499, "0.000050"),
        (-0.00001234, "−0.000012"),
        (9.97e-6, "0.000010"),
        (1.2e-7, "0.0000001"),
        (1.2e-8, "1.2e−08"),
        (1.2e-9, "1.2e−09"),
        (0.00005, "0.0001"),
        (9.99999, "10.0000"),
        (10, "10.00"),
        (999.994, "999.99"),
        (1000, "1,000"),
        (1234.5, "1,234"),
        (1234567.8, "1,234,568"),
        (NAN, "undefined"),
        (INF, "undefined"),
        (None, "undefined"),
        (True, "undefined"),
    ],
)
def test_a_number_has_four_decimals_or_fewer_or_two_digits(value: Any, text: str) -> None:
    assert number(value) == text


def test_a_signed_number_has_its_sign_but_zero_has_none() -> None:
    assert (number(0.01, signed=True), number(-0.01, signed=True), number(0, signed=True)) == ("+0.0100", "−0.0100", "0.0000")


@pytest.mark.parametrize(("value", "expected"), [(0, True), (-1.5, True), (NAN, False), (INF, False), (True, False), ("1", False)])
def test_ordinary_numbers(value: Any, expected: bool) -> None:
    assert finite(value) is expected


@pytest.mark.parametrize(
    ("mean", "bounds", "text"),
    [
        (0.8, (0.79, 0.81), "0.8000 ± 0.0100"),
        (0.8, (0.8 - 1e-6, 0.8 + 1e-6), "0.8000 ± 0.0000010"),
        (0.99, (0.97, 1.0), "0.9900 (0.9700 to 1.0000)"),
        (0.8, None, "0.8000"),
        (None, None, "undefined"),
    ],
)
def test_a_mean_with_half_of_its_interval(mean: float | None, bounds: tuple[float, float] | None, text: str) -> None:
    assert plus_minus(mean, bounds) == text


@pytest.mark.parametrize(
    ("bounds", "expected"), [((0.5, 0.5), 0.0), ((0.4, 0.7), None), ((0.4, 0.6 + 1e-7), 0.1), ((0.4, 0.6 + 1e-6), None)]
)
def test_an_interval_lies_evenly_to_a_millionth_of_its_width(bounds: tuple[float, float], expected: float | None) -> None:
    assert half_width(0.5, bounds) == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_half_of_an_interval_that_is_cut_off_on_one_side_is_not_known() -> None:
    assert half_width(0.5, (0.25, 0.75)) == 0.25
    assert half_width(0.9, (0.75, 1.0)) is half_width(0.5, None) is half_width(None, (0.0, 1.0)) is None


def test_an_interval_or_none() -> None:
    assert interval([-0.001, 0.02]) == "−0.0010 to +0.0200"
    assert interval([-0.001, NAN]) == interval(None) == "no interval"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"),
        (0.00123, "0.12 %"),
        (0.0123, "1.23 %"),
        (0.0999, "9.99 %"),
        (0.1, "10.0 %"),
        (0.1234, "12.3 %"),
        (1, "100.0 %"),
        (-0.25, "-25.0 %"),
        (0.0000123, "0.0012 %"),
        (None, "–"),
        (NAN, "–"),
    ],
)
def test_shares(value: Any, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (119.6, "2 min 0 s"),
        (192, "3 min 12 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (3600, "1 h 0 min"),
        (7320, "2 h 2 min"),
        (90_000, "25 h 0 min"),
        (NAN, "–"),
    ],
)
def test_durations(seconds: Any, text: str) -> None:
    assert duration(seconds) == text


def test_lists_and_counts() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert listed(["a", "b"], "or") == "a or b"
    assert [count_of(n, "task") for n in (0, 1, 2, 1000)] == ["0 tasks", "1 task", "2 tasks", "1,000 tasks"]
    assert (whole(1234567.4), whole(None)) == ("1,234,567", "–")


def test_flags_are_code_and_the_rest_is_escaped() -> None:
    assert flags("Try --dropout 0.1 & <b>.") == "Try <code>--dropout 0.1</code> &amp; &lt;b&gt;."
    assert flags("a -- b, --Upper, -x") == "a -- b, --Upper, -x"
    assert flags("Use --seed.") == "Use <code>--seed</code>."


@pytest.mark.parametrize(
    ("flags", "python"),
    [
        ("Train with fewer --experts.", "Train with fewer experts."),
        ("--gate-dropout 0.1, or a --temperature of 2 or more.", "gate_dropout=0.1, or a temperature of 2 or more."),
        ("(--architecture ple)", "(architecture ple)"),
        ("a - b -- c", "a - b -- c"),
    ],
)
def test_flags_as_arguments_of_python(flags: str, python: str) -> None:
    assert arguments(flags) == python


@given(st.floats(min_value=1e-7, max_value=1e6), st.integers(1, 6))
def test_decimals_keep_so_many_digits_without_an_exponent(size: float, digits: int) -> None:
    shown = format(size, decimals(size, digits))
    assert "e" not in shown
    assert abs(float(shown) - size) <= 0.5000001 * 10.0 ** max(math.floor(math.log10(size)) + 1 - digits, -7) or "." not in shown
