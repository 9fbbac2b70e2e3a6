"""Values of JSON: what is read, what is refused, and that no message repeats a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manygate.serving.values import MOST_CHARACTERS, MOST_PLACES, Unreadable, lists, repeated, single


@pytest.mark.parametrize(
    ("values", "entry", "expected"),
    [
        (["a", "", "a\0"], {"type": "string"}, ["a", "", "a\0"]),
        ([3, -(2**63), 2**63 - 1], {"type": "int64"}, [3, -(2**63), 2**63 - 1]),
        ([3.0, -(2.0**53)], {"type": "int64"}, [3, -(2**53)]),
        ([True, False], {"type": "bool"}, [True, False]),
        ([1, 0.5, "Infinity", "-Infinity"], {"type": "double"}, [1.0, 0.5, np.inf, -np.inf]),
        ([True, 0], {"type": "int64", "true_and_false": True}, [1, 0]),
        ([True, 0.5], {"type": "double", "fitted": "bool"}, [1.0, 0.5]),
        ([2**64 - 1, "7"], {"type": "string", "fitted": "uint64"}, ["18446744073709551615", "7"]),
        ([], {"type": "double"}, []),
    ],
)
def test_values_of_the_type_of_training(values: list[Any], entry: dict[str, Any], expected: list[Any]) -> None:
    value_N, null_N = single(values, entry)
    assert value_N.tolist() == expected
    assert null_N is None


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        (1, {"type": "string"}),
        (-1, {"type": "string", "fitted": "uint64"}),
        ("7", {"type": "int64"}),
        (0.5, {"type": "int64"}),
        (2.0**54, {"type": "int64"}),
        (2**63, {"type": "int64"}),
        (True, {"type": "int64"}),
        (1, {"type": "bool"}),
        ("1.5", {"type": "double"}),
        (True, {"type": "double"}),
        ([987], {"type": "int64"}),
        ({"secret": 987}, {"type": "string"}),
    ],
)
def test_values_of_other_types_are_refused_without_the_value(value: Any, entry: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        single([value], entry)
    assert not any(part in str(caught.value) for part in ("7", "987", "secret", "1.5", str(2**54), str(2**63)))


@pytest.mark.parametrize(("kind", "fill"), [("string", ""), ("int64", 0), ("bool", False)])
def test_nulls_are_filled_and_named(kind: str, fill: Any) -> None:
    value_N, null_N = single([None, fill, None], {"type": kind})
    assert value_N.tolist() == [fill] * 3
    assert null_N is not None
    assert null_N.tolist() == [True, False, True]


def test_a_missing_number_is_nan() -> None:
    value_N, null_N = single([None, "NaN", 2], {"type": "double"})
    assert np.isnan(value_N).tolist() == [True, True, False]
    assert null_N is not None
    assert null_N.tolist() == [True, False, False]


def test_lists_are_filled_up_to_the_longest() -> None:
    id_BL, mask_BL = lists([[5, None], None, [], [7, 8, 9]], {"type": "int64"})
    assert id_BL.tolist() == [[5, 0, 0], [0, 0, 0], [0, 0, 0], [7, 8, 9]]
    assert mask_BL.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_a_number_in_a_list_that_is_none_is_null() -> None:
    id_BL, mask_BL = lists([[1.5, "NaN", None]], {"type": "double"})
    assert np.isnan(id_BL).tolist() == [[False, True, True]]
    assert mask_BL.tolist() == [[1, 2, 2]]


def test_no_lists_have_no_places() -> None:
    id_BL, mask_BL = lists([], {"type": "string"})
    assert id_BL.shape == mask_BL.shape == (0, 0)


def test_a_value_that_is_no_list_is_refused() -> None:
    with pytest.raises(Unreadable, match="expected a list, found text"):
        lists([[1], "x"], {"type": "int64"})


def test_one_long_list_does_not_fill_all_others_up() -> None:
    """Few bytes could take much memory: each list is filled up to the longest."""
    with pytest.raises(Unreadable, match="4,000,000 places"):
        lists([[1] * 4000, *([[]] * (MOST_PLACES // 4000))], {"type": "int64"})


def test_a_context_that_would_fill_the_memory_is_refused() -> None:
    assert repeated(np.array(["ab"], dtype=object), 3).tolist() == ["ab"] * 3
    with pytest.raises(Unreadable, match="places"):
        repeated(np.zeros((1, 1000)), MOST_PLACES // 1000 + 1)
    with pytest.raises(Unreadable, match="characters"):
        repeated(np.array(["x" * 1000], dtype=object), MOST_CHARACTERS // 1000 + 1)
    assert len(repeated(np.array(["x" * 1000], dtype=object), 1)) == 1
