"""Reads the short forms of settings: ``64,32``, ``2,1/1,1``, ``all``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from manygate.config.names import ARCHITECTURES, BASELINES, WEIGHTINGS
from manygate.errors import InputError, did_you_mean, raise_all, setting
from manygate.schema import Task
from manygate.schema.reading import validated


def is_misused_bool(annotation: object, value: object) -> bool:
    """Return whether a value is or holds true or false although its setting takes numbers.

    >>> is_misused_bool(int | None, True), is_misused_bool(bool, True), is_misused_bool(tuple[int, ...], [8, True])
    (True, False, True)
    """
    types = _types(annotation)
    return bool(types & {int, float}) and bool not in types and _holds_bool(value)


def _types(annotation: object) -> set[object]:
    """List the types in an annotation such as ``tuple[int, ...] | None``."""
    parts = get_args(annotation)
    return set().union(*map(_types, parts)) if parts else {annotation}


def _holds_bool(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_holds_bool, value)))


def _widths(value: Any) -> Any:
    """Accept 64, "64,32", "64-32" and [64, 32]."""
    if isinstance(value, str):
        value = [part for part in re.sub(r"(?<=\d)\s*-\s*(?=\d)", ",", value).split(",") if part.strip()]
        return tuple(int(part) if part.strip().isdigit() else part for part in value)
    return (value,) if isinstance(value, int) else value


def _rows(value: Any) -> Any:
    """Accept 2, "2,3/1,1" and [[2, 3], [1, 1]]: rows separated by a slash, numbers by a comma."""
    if isinstance(value, str):
        return tuple(_widths(row) for row in value.split("/"))
    if isinstance(value, int):
        return ((value,),)
    if isinstance(value, list | tuple) and value and all(isinstance(part, int) for part in value):
        return (tuple(value),)
    return value


def _numbers(value: Any) -> Any:
    """Accept 1, "0.1,1" and [0.1, 1]; no gaps, and no true for 1."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",")) if value.strip() else ()
    value = (value,) if isinstance(value, int | float) else value
    return tuple(str(v) if isinstance(v, bool) else v for v in value) if isinstance(value, list | tuple) else value


def _number_rows(value: Any) -> Any:
    """Accept "1,1/1,2" and [[1, 1], [1, 2]]: rows separated by a slash, numbers by a comma; and a single row, [1, 2]."""
    if isinstance(value, str):
        return tuple(_numbers(row) for row in value.split("/")) if value.strip() else ()
    if isinstance(value, list | tuple) and value and all(isinstance(part, int | float) for part in value):
        return (_numbers(value),)
    return tuple(map(_numbers, value)) if isinstance(value, list | tuple) else value


def _names(value: Any) -> Any:
    """Accept "a,b" and ["a", "b"]."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def class_name(value: Any) -> Any:
    """Accept a class where its name is expected, also among others."""
    if isinstance(value, list | tuple):
        return tuple(class_name(part) for part in value)
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    return _names(value) if isinstance(value, str) and "," in value else value


def _class_names(value: Any, table: Mapping[str, str]) -> Any:
    """Accept "all", "a,b", ["a", "b"] and classes among them."""
    value = class_name(value)
    names = tuple(filter(None, (value.strip(),))) if isinstance(value, str) else value
    if isinstance(names, tuple) and "all" in names:
        return (*table, *(name for name in names if name not in table and name != "all"))
    return names


def scheme_names(value: Any) -> Any:
    """Accept "all", "a,b", ["a", "b"] and classes of schemes among them."""
    return _class_names(value, ARCHITECTURES)


def weighting_names(value: Any) -> Any:
    """Accept "all", "a,b", ["a", "b"] and classes of weightings among them."""
    return _class_names(value, WEIGHTINGS)


def baseline_names(value: Any) -> Any:
    """Accept "none", "all", "a,b" and ["a", "b"]."""
    if isinstance(value, str) and not value.strip():
        raise InputError(f"{setting('baselines')}: it is empty. Name {', '.join(BASELINES)}, or none.")
    names = _names(value)
    names = ("none",) if names == () else names
    if not isinstance(names, list | tuple):
        return names
    if "all" in names:
        return tuple(BASELINES)
    return () if tuple(names) == ("none",) else tuple(names)


def _known_baselines(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Raise :class:`InputError` for a name that is unknown, one that is there twice, and none beside others."""
    if names is None:
        return None
    at, known = setting("baselines"), ", ".join(BASELINES)
    problems = [
        f"{at}: no baseline {name!r}.{did_you_mean(name, BASELINES)} Choose {known}, or none."
        for name in dict.fromkeys(names)
        if name not in BASELINES and name != "none"
    ]
    problems += [f"{at}: {name!r} is named twice. Name it once." for name in dict.fromkeys(names) if names.count(name) > 1]
    raise_all(problems + ([f"{at}: none leaves all baselines out. Give it alone, or leave it out."] if "none" in names else []))
    return names


def _specs(value: Any) -> Any:
    """Accept "click", "buy:where=click==1", a :class:`Task`, its mapping, and lists of them; a comma is part of a task."""
    specs = (value,) if isinstance(value, str | Task | Mapping) else value
    if not isinstance(specs, list | tuple):
        return specs
    return tuple(validated(Task, dict(spec), f"task {n}") if isinstance(spec, Mapping) else spec for n, spec in enumerate(specs, 1))


Specs = Annotated[tuple[str | Task, ...], BeforeValidator(_specs)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Baselines = Annotated[tuple[str, ...] | None, BeforeValidator(baseline_names), AfterValidator(_known_baselines)]
WIDEST = 65_536
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...], BeforeValidator(_widths)]
Counts = Annotated[tuple[Annotated[int, Field(ge=0, le=4096)], ...], BeforeValidator(_widths), Field(min_length=1)]
CountRows = Annotated[tuple[Counts, ...], BeforeValidator(_rows), Field(min_length=1)]
WidthRows = Annotated[
    tuple[Annotated[tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...], Field(min_length=1)], ...],
    BeforeValidator(_rows),
    Field(min_length=1),
]
Factors = Annotated[tuple[Annotated[float, Field(gt=0, le=1e6)], ...], BeforeValidator(_numbers)]
NonNegatives = Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], BeforeValidator(_numbers)]
FactorRows = Annotated[
    tuple[Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(min_length=1)], ...], BeforeValidator(_number_rows)
]
Counted = Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], BeforeValidator(_widths)]
LARGEST_SEED = 2**63 - 1


def divides_an_epoch(share: float) -> float:
    """Refuse a share of an epoch that is not 1 divided by a whole number, because an epoch ends with an evaluation.

    >>> divides_an_epoch(0.25), divides_an_epoch(0.3333)
    (0.25, 0.3333)
    """
    if share > 0 and abs(round(1 / share) * share - 1) > 1e-3:
        raise InputError(
            f"{setting('evaluate_every')}: expected 1 divided by a whole number, such as 1, 0.5 or 0.25; found {share:g}."
        )
    return share
