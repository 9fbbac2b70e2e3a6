"""Turns values of JSON into the inputs of the graph.

A value must have the type of training: text, a whole number, a number, true or false, or a list of one of them. null is a missing
value. ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` stand for numbers that JSON does not have, as in the JSON form of protocol
buffers. No message repeats a value, because a value may be private.

Shape suffixes: N values, B rows, L places of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manygate.scoring.exported_model import FILL, ID, NULL_ID, PLACE
from manygate.serving.feeds import DTYPES

EXPECTED = {"string": "text", "int64": "a whole number", "bool": "true or false", "double": "a number"}
FOUND = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "an object"}
SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
LARGEST_EXACT = 2.0**53
"""Up to here, a floating-point number stands for one whole number."""
MOST_PLACES = 4_000_000
"""The most places of all lists of a feature together, filled up to the longest one."""
MOST_CHARACTERS = 64_000_000
"""The most characters that the texts of a context feature take, repeated for each row that needs its own."""


class Unreadable(ValueError):  # noqa: N818
    """A value that cannot be of a feature. The message names no value."""


def single(values: Sequence[Any], entry: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return values (N,) in the type of the input, and where they are null (None if nowhere).

    ``entry`` is the feature's entry of the manifest. Raises :class:`Unreadable` if a value is of another type.

    >>> single([3, None], {"type": "int64"})
    (array([3, 0]), array([False,  True]))
    """
    kind = entry["type"]
    types = set(map(type, values))
    null_N = None
    if type(None) in types:
        types.discard(type(None))
        null_N = np.fromiter((value is None for value in values), bool, len(values))
        fill = FILL[kind]
        values = [fill if value is None else value for value in values]
    if not types <= _PLAIN[kind]:
        values = [_converted(value, kind, entry) for value in values]
    try:
        return np.array(values, DTYPES[kind]), null_N
    except OverflowError:
        raise Unreadable("a whole number is beyond int64") from None


_PLAIN: dict[str, frozenset[type]] = {
    "string": frozenset([str]),
    "int64": frozenset([int]),
    "bool": frozenset([bool]),
    "double": frozenset([int, float]),
}
"""The types of values that NumPy converts as they are."""


def _converted(value: Any, kind: str, entry: Mapping[str, Any]) -> Any:
    """Return a value of another type that means the same as one of the type of training."""
    found = type(value)
    if found in _PLAIN[kind]:
        return value
    if kind == "double" and found is str and value in SPECIAL:
        return SPECIAL[value]
    if kind == "double" and found is bool and entry.get("fitted") == "bool":
        return float(value)
    if kind == "int64" and found is bool and entry.get("true_and_false"):
        return int(value)
    if kind == "int64" and found is float and value.is_integer() and abs(value) <= LARGEST_EXACT:
        return int(value)
    if kind == "string" and found is int and value >= 0 and entry.get("fitted") == "uint64":
        return str(value)
    raise Unreadable(f"expected {EXPECTED[kind]}, found {_name(value)}")


def _name(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return "a whole number beyond what a floating-point number holds exactly"
    return FOUND.get(type(value), "a value of another type")


def repeated(value: np.ndarray, count: int) -> np.ndarray:
    """Return what one row holds ``count`` times.

    Raises :class:`Unreadable` if it is so large that the copies would take much more memory than the request.

    >>> repeated(np.array([3]), 2)
    array([3, 3])
    """
    if count == 1:
        return value
    if value.size * count > MOST_PLACES:
        raise Unreadable(f"the list has more than {MOST_PLACES:,} places, all repeated for each row")
    if value.dtype == object and sum(map(len, value.flat)) * count > MOST_CHARACTERS:
        raise Unreadable(f"the text has more than {MOST_CHARACTERS:,} characters, all repeated for each row")
    return np.repeat(value, count, axis=0)


def lists(values: Sequence[Any], entry: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of lists, filled up to the longest one, and the mask; both (B, L). A null list is an empty one.

    Raises :class:`Unreadable` if a value is no list, an id is of another type, or the lists have too many places.

    >>> lists([["a"], None], {"type": "string"})
    (array([['a'],
           ['']], dtype=object), array([[1],
           [0]], dtype=uint8))
    """
    other = next((value for value in values if value is not None and not isinstance(value, list)), None)
    if other is not None:
        raise Unreadable(f"expected a list, found {_name(other)}")
    length_B = np.fromiter((len(value or ()) for value in values), np.int64, len(values))
    width = int(length_B.max(initial=0))
    if width * len(values) > MOST_PLACES:
        raise Unreadable(f"the lists have more than {MOST_PLACES:,} places, all filled up to the longest one")
    id_n, null_n = single([id_ for value in values for id_ in value or ()], entry)
    if entry["type"] == "double":
        null_n = np.isnan(id_n)
    place_BL = np.arange(width) < length_B[:, None]
    id_BL = np.full(place_BL.shape, FILL[entry["type"]], DTYPES[entry["type"]])
    mask_BL = np.full(place_BL.shape, PLACE, np.uint8)
    id_BL[place_BL] = id_n
    mask_BL[place_BL] = ID if null_n is None else np.where(null_n, NULL_ID, ID)
    return id_BL, mask_BL
