"""One column's values as ids or numbers, with errors that name the location and the column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

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


def fits(given: pa.DataType, fitted: pa.DataType) -> bool:
    """True where values of a type may stand for those of the type seen in training; a column of nulls always may.

    >>> fits(pa.int8(), pa.float64()), fits(pa.list_(pa.null()), pa.list_(pa.string())), fits(pa.string(), pa.int64())
    (True, True, False)
    """
    given_family, fitted_family = type_family(given), type_family(fitted)
    if given_family.startswith("list of ") and fitted_family.startswith("list of "):
        given_family, fitted_family = given_family.removeprefix("list of "), fitted_family.removeprefix("list of ")
    families = {given_family, fitted_family}
    return len(families) == 1 or "null" in families or families == {"int", "float"}


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


def as_ids(values: pa.Array, fitted: pa.DataType, name: str, location: str) -> pa.Array:
    """Ids in the type that the vocabulary was fitted on: int64, uint64, string, bool or float64."""
    family, target = type_family(fitted), _id_type(fitted)
    given_family = type_family(values.type)
    if given_family == family or {given_family, family} == {"int", "float"}:
        try:
            return _without_nan(values).cast(target)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{location}: column {name!r} holds ids that do not fit {target}: {error}. Write whole numbers, as in training."
            ) from None
    if pt.is_null(values.type):
        return pa.nulls(len(values), target)
    raise InputError(f"{location}: column {name!r} is {values.type}, but was {fitted} in training. Write it with its old type.")


def _id_type(fitted: pa.DataType) -> pa.DataType:
    family = type_family(fitted)
    if family == "int":
        return pa.uint64() if fitted == pa.uint64() else pa.int64()
    return {"string": pa.string(), "bool": pa.bool_(), "float": pa.float64()}.get(family)


def beyond_range(values: pa.Array, fitted: pa.DataType) -> np.ndarray | None:
    """A mask of the numeric ids beyond the range of the fitted type, which training cannot have seen; None where there is none.

    >>> beyond_range(pa.array([7, 2**64 - 1], pa.uint64()), pa.int64()).tolist()
    [False, True]
    """
    target = _id_type(fitted)
    if target not in (pa.int64(), pa.uint64()) or type_family(values.type) not in ("int", "float"):
        return None
    low, high = (0, 2**64) if target == pa.uint64() else (-(2**63), 2**63)
    if pt.is_floating(values.type):
        beyond = pc.or_(pc.less(values, float(low)), pc.greater_equal(values, float(high)))
    elif target == pa.int64() and values.type == pa.uint64():
        beyond = pc.greater(values, pa.scalar(high - 1, pa.uint64()))
    elif target == pa.uint64() and pt.is_signed_integer(values.type):
        beyond = pc.less(values, 0)
    else:
        return None
    beyond_N: np.ndarray = pc.fill_null(beyond, False).to_numpy(zero_copy_only=False)
    return beyond_N if beyond_N.any() else None


def _without_nan(values: pa.Array) -> pa.Array:
    """Nulls for NaN: dataframe libraries store missing whole numbers as NaN."""
    return pc.if_else(pc.is_nan(values), None, values) if pt.is_floating(values.type) else values


def as_numbers(values: pa.Array, name: str, location: str) -> np.ndarray:
    """Numbers as float64, NaN for null."""
    if type_family(values.type) not in ("int", "float", "bool") and not pt.is_null(values.type):
        example = next((v for v in values.to_pylist() if v is not None), None)
        raise InputError(f"{location}: column {name!r} must hold numbers; it is {values.type}, for example {example!r}.")
    number_B = values.cast(pa.float64()) if not pt.is_boolean(values.type) else values.cast(pa.int8()).cast(pa.float64())
    return pc.fill_null(number_B, np.nan).to_numpy(zero_copy_only=False)
