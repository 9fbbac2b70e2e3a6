"""One column's values as ids or numbers, with errors that name the location and the column."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.types import numbers_as_bool
from manygate.errors import InputError


def type_family(kind: pa.DataType) -> str:
    """A type's family; columns of one family may stand in for each other.

    >>> type_family(pa.int8()), type_family(pa.large_string()), type_family(pa.list_(pa.int64()))
    ('int', 'string', 'list of int')
    """
    if pt.is_dictionary(kind):
        return type_family(kind.value_type)
    if pt.is_list(kind) or pt.is_large_list(kind):
        return f"list of {type_family(kind.value_type)}"
    if pt.is_integer(kind):
        return "int"
    if pt.is_floating(kind) or pt.is_decimal(kind):
        return "float"
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return "string"
    return "bool" if pt.is_boolean(kind) else str(kind)


def type_problem(name: str, feature_kind: str, kind: pa.DataType, location: str) -> str | None:
    """The problem of a column's type for its feature kind, or None."""
    family = type_family(kind)
    ids = ("int", "string", "bool", "float")
    allowed = {"sparse": ids, "bag": tuple(f"list of {f}" for f in ids), "dense": ("int", "float", "bool")}[feature_kind]
    if family in allowed:
        return None
    better = next((k for k, f in (("bag", "list of"), ("sparse", "string")) if family.startswith(f)), None)
    advice = f"Make it '{better}' in the schema" if better else "Move it to 'ignored' in the schema"
    return f"{location}: column {name!r} is {kind}, which cannot be a {feature_kind} feature. {advice}, or change its type."


def type_change(name: str, given: pa.DataType, fitted: pa.DataType, ids: pa.Array | None, location: str) -> str | None:
    """The problem of a column whose type is not the one of training, or None where the values may stay the same.

    ``ids``: the ids that training knows, for a sparse feature or a bag; None where the column holds numbers. True and false may
    stand for ids of numbers only where these are 0 and 1.

    >>> type_change("a", pa.string(), pa.int64(), pa.array([7]), "log"), type_change("a", pa.bool_(), pa.int8(), None, "log")
    (None, None)
    """
    given_family, fitted_family = type_family(given), type_family(fitted)
    if given_family.startswith("list of ") and fitted_family.startswith("list of "):
        given_family, fitted_family = given_family.removeprefix("list of "), fitted_family.removeprefix("list of ")
    pair = (given_family, fitted_family)
    if given_family == fitted_family or "null" in pair:
        return None
    if ids is None and set(pair) <= {"int", "float", "bool"}:
        return None
    flags_for_ids = ids is not None and given_family == "bool" and not set(ids.slice(0, 3).to_pylist()) <= {0, 1}
    if ids is not None and pair in _CONVERSIONS and not flags_for_ids:
        return None
    return _type_change(name, given, fitted, location)


def numbers_for_text(name: str, given: pa.DataType, fitted: pa.DataType, reason: str, location: str) -> str | None:
    """The problem of a column that was text in training if its type is one of numbers; ``reason`` says why they are no ids.

    >>> numbers_for_text("a", pa.int8(), pa.string(), "no id of training is a number", "log")
    "log: column 'a' is int8, but was string in training: no id of training is a number. Write it as text."
    """
    if type_family(given).removeprefix("list of ") not in ("int", "float"):
        return None
    return f"{location}: column {name!r} is {given}, but was {fitted} in training: {reason}. Write it as text."


def _type_change(name: str, given: pa.DataType, fitted: pa.DataType, location: str) -> str:
    families = {type_family(given), type_family(fitted)}
    reason = "" if "bool" not in families else " True and false stand for 1 and 0 alone."
    return f"{location}: column {name!r} is {given}, but was {fitted} in training.{reason} Write it with its old type."


def as_ids(values: pa.Array, fitted: pa.DataType, name: str, location: str) -> tuple[pa.Array, np.ndarray | None]:
    """Ids in the type that the vocabulary was fitted on (int64, uint64, string, bool or float64), and a mask of the values that
    training cannot have seen, or None. Masked ids are null.

    A value keeps its id whatever its type: 7, 7.0, "7" and Decimal("7") are one id. "07" is another.

    >>> as_ids(pa.array(["7", "07"]), pa.int32(), "item", "log")[0].to_pylist()
    [7, None]
    >>> as_ids(pa.array([7.0, 7.5]), pa.string(), "item", "log")[0].to_pylist()
    ['7', '7.5']
    """
    if pt.is_null(values.type):
        return pa.nulls(len(values), id_type(fitted)), None
    given, family = type_family(values.type), type_family(fitted)
    convert = _CONVERSIONS.get((given, family))
    if convert is None and given != family:
        raise InputError(_type_change(name, values.type, fitted, location))
    try:
        ids, unseen = convert(values, fitted) if convert else (values.cast(id_type(fitted)), None)
    except pa.ArrowInvalid as error:
        remedy = "Write whole numbers (int64, or their digits as text)" if family == "int" else "Write them"
        raise InputError(
            f"{location}: column {name!r} holds ids that do not fit {id_type(fitted)}: {error}. {remedy}, as in training."
        ) from None
    unseen_N = None if unseen is None else pc.fill_null(unseen, False).to_numpy(zero_copy_only=False)
    return ids, unseen_N if unseen_N is not None and unseen_N.any() else None


def id_type(fitted: pa.DataType) -> pa.DataType:
    """The type of the ids of a vocabulary that was fitted on a type."""
    family = type_family(fitted)
    if family == "int":
        return pa.uint64() if fitted == pa.uint64() else pa.int64()
    return {"string": pa.string(), "bool": pa.bool_(), "float": pa.float64()}[family]


def rounded_id(values: pa.Array) -> float | None:
    """The first value so large that its type does not hold every whole number of that size; None where there is none.

    >>> rounded_id(pa.array([7.0, 2.0**53])), rounded_id(pa.array([7.0, 2.0**24], pa.float32())), rounded_id(pa.array([2**53]))
    (9007199254740992.0, 16777216.0, None)
    """
    if not pt.is_floating(values.type):
        return None
    large = values.filter(pc.and_(pc.is_finite(values), pc.greater_equal(pc.abs(values), _exact_below(values.type))))
    return large[0].as_py() if len(large) else None


def rounding_warning(name: str, kind: pa.DataType, example: float) -> str:
    """A warning about ids that were fitted on floating-point numbers of such a size."""
    return (
        f"column {name!r} holds ids as {kind}, for example {example:.0f}. From {_exact_below(kind):,.0f} on, {kind} does not hold "
        "every whole number, so different ids may have become one. Write the ids as int64 or as text."
    )


def _exact_below(kind: pa.DataType) -> float:
    return {pa.float16(): 2.0**11, pa.float32(): 2.0**24}.get(kind, 2.0**53)


def _refuse_rounded(values: pa.Array, limit: float, because: str) -> None:
    large = values.filter(pc.or_(pc.greater_equal(values, limit), pc.less_equal(values, -limit)))
    if len(large):
        raise pa.ArrowInvalid(f"{large[0].as_py():.0f} may stand for several ids, since {because}")


def _plain(values: pa.Array) -> pa.Array:
    """Null for NaN (dataframe libraries store missing whole numbers as NaN), and 0 for -0."""
    if not pt.is_floating(values.type):
        return values
    return pc.add(pc.if_else(pc.is_nan(values), None, values), pa.scalar(0.0, values.type))


def _in_range(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Whole numbers of any type as the ids that they are, and a mask of those beyond the range."""
    target = id_type(fitted)
    low, high = (0, 2**64 - 1) if target == pa.uint64() else (-(2**63), 2**63 - 1)
    wide = values.cast(pa.decimal128(38, 0))
    beyond = pc.or_(pc.less(wide, pa.scalar(Decimal(low), wide.type)), pc.greater(wide, pa.scalar(Decimal(high), wide.type)))
    return pc.if_else(beyond, None, wide).cast(target), beyond


def _int_to_int(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    target = id_type(fitted)
    wide = pa.uint64() if values.type == pa.uint64() else pa.int64()
    if wide == target:
        return values.cast(target), None
    beyond = pc.less(values, 0) if target == pa.uint64() else pc.greater(values, pa.scalar(2**63 - 1, pa.uint64()))
    return pc.if_else(beyond, None, values).cast(target), beyond


def _float_to_int(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    target = id_type(fitted)
    low, high = (0.0, 2.0**64) if target == pa.uint64() else (-(2.0**63), 2.0**63)
    values = _plain(values)
    beyond = pc.or_(pc.less(values, low), pc.greater_equal(values, high))
    values = pc.if_else(beyond, None, values)
    _refuse_rounded(values, _exact_below(values.type), f"{values.type} does not hold every whole number of this size")
    return values.cast(target), beyond


def _float_to_float(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    values = _plain(values)
    narrow = min(values.type, fitted, key=_exact_below)
    if values.type != fitted:
        _refuse_rounded(values, _exact_below(narrow), f"{narrow} does not hold every whole number of this size")
    return values.cast(pa.float64()), None


def _int_to_float(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    limit = int(_exact_below(fitted))
    large = values.filter(_at_least(values, limit))
    if len(large):
        raise pa.ArrowInvalid(f"{large[0]} may stand for several ids, since {fitted} does not hold every whole number of this size")
    return values.cast(pa.float64()), None


def _at_least(values: pa.Array, limit: int) -> pa.Array:
    """Where a whole number, or its opposite, is at least the limit."""
    wide = values.cast(pa.uint64()) if values.type == pa.uint64() else values.cast(pa.int64())
    large = pc.greater_equal(wide, pa.scalar(limit, wide.type))
    return large if wide.type == pa.uint64() else pc.or_(large, pc.less_equal(wide, pa.scalar(-limit, wide.type)))


def _refuse_words(values: pa.Array, number: str, kind: str) -> None:
    words = values.filter(pc.invert(pc.match_substring_regex(values, number)))
    if len(words):
        raise pa.ArrowInvalid(f"{words[0].as_py()[:40]!r} is no {kind}")


def _text_to_int(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, pa.Array]:
    _refuse_words(values, r"\A-?[0-9]+\z", "whole number")
    written = pc.match_substring_regex(values, r"\A(0|-?[1-9][0-9]{0,19})\z")
    ids, beyond = _in_range(pc.if_else(written, values, None), fitted)
    return ids, pc.or_kleene(pc.invert(written), beyond)


def _text_to_float(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, pa.Array]:
    _refuse_words(values, r"\A-?[0-9]*\.?[0-9]+\z", "number")
    written = pc.match_substring_regex(values, r"\A(0(\.0)?|-?([1-9][0-9]*(\.0)?|(0|[1-9][0-9]*)\.[0-9]*[1-9]))\z")
    numbers = pc.if_else(written, values, None).cast(pa.float64())
    _refuse_rounded(numbers, _exact_below(fitted), f"{fitted} does not hold every whole number of this size")
    return numbers, pc.invert(written)


def _float_to_text(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    values = _plain(values)
    _refuse_rounded(values, _exact_below(values.type), f"{values.type} does not hold every whole number of this size")
    whole = pc.equal(values, pc.trunc(values))
    return pc.if_else(whole, pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.string()), values.cast(pa.string())), None


def _to_bool(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    return numbers_as_bool(values), None


def _bool_to_number(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    return values.cast(pa.int8()).cast(id_type(fitted)), None


def _to_text(values: pa.Array, fitted: pa.DataType) -> tuple[pa.Array, None]:
    return values.cast(pa.string()), None


_CONVERSIONS: dict[tuple[str, str], Callable[[pa.Array, pa.DataType], tuple[pa.Array, pa.Array | None]]] = {
    ("int", "int"): _int_to_int,
    ("float", "int"): _float_to_int,
    ("string", "int"): _text_to_int,
    ("float", "float"): _float_to_float,
    ("int", "float"): _int_to_float,
    ("string", "float"): _text_to_float,
    ("int", "string"): _to_text,
    ("float", "string"): _float_to_text,
    ("date32[day]", "string"): _to_text,
    ("int", "bool"): _to_bool,
    ("float", "bool"): _to_bool,
    ("bool", "int"): _bool_to_number,
    ("bool", "float"): _bool_to_number,
}
"""How a value of the first family becomes an id of the second; each gives the ids and a mask of values that are none."""


def as_numbers(values: pa.Array, name: str, location: str) -> np.ndarray:
    """Numbers as float64, NaN for null. Whole numbers beyond 2**53 are rounded, by less than 1 in 10**15."""
    if type_family(values.type) not in ("int", "float", "bool") and not pt.is_null(values.type):
        example = next((v for v in values.to_pylist() if v is not None), None)
        raise InputError(f"{location}: column {name!r} must hold numbers; it is {values.type}, for example {example!r}.")
    number_B = (values.cast(pa.int8()) if pt.is_boolean(values.type) else values).cast(pa.float64(), safe=False)
    return pc.fill_null(number_B, np.nan).to_numpy(zero_copy_only=False)
