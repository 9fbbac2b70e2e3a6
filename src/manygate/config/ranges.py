"""Ranges: the values from which a search chooses that of a setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import JsonValue, ValidationError, field_validator, model_serializer, model_validator

from manygate.errors import InputError, did_you_mean, raise_all
from manygate.schema.reading import Frozen
from manygate.text import cut

Kind = Literal["uniform", "log", "int", "log_int", "ordered", "choice"]
KINDS: tuple[str, ...] = get_args(Kind)
SPANS = ("uniform", "log", "int", "log_int")
"""The kinds with two ends. The others list their values."""


class Range(Frozen):
    """The values that a search may give to a setting, in YAML ``{KIND: [...]}``.

    The kinds ``uniform`` and ``log`` have two ends and numbers between them, evenly spread on a plain or on a logarithmic scale.
    ``int`` and ``log_int`` are the same for whole numbers. ``ordered`` lists values of which neighbours are alike, such as widths,
    and ``choice`` values in no order. Values must be lists, numbers, texts, true, false or null.

    >>> Range.model_validate({"log": ["1e-4", 1e-2]})
    Range(kind='log', values=(0.0001, 0.01))
    >>> Range.model_validate({"choice": [[64], [128, 64]]}).model_dump()
    {'choice': [[64], [128, 64]]}
    """

    kind: Kind
    values: tuple[JsonValue, ...]
    """The two ends, or all values."""

    @model_validator(mode="before")
    @classmethod
    def _of_tree(cls, tree: Any) -> Any:
        """Read ``{KIND: [...]}``."""
        if isinstance(tree, cls):
            return tree
        known = f"Write for example {{log: [0.0001, 0.01]}}. Kinds: {', '.join(KINDS)}."
        if not isinstance(tree, Mapping) or len(tree) != 1:
            raise InputError(f"expected a range, which is one kind with its values; found {cut(tree)}. {known}")
        ((kind, values),) = tree.items()
        if kind not in KINDS:
            raise InputError(f"{cut(kind)} is no kind of range.{did_you_mean(str(kind)[:80], KINDS)} {known}")
        if not isinstance(values, Sequence) or isinstance(values, str | bytes):
            raise InputError(f"{kind} takes a list of {'two numbers' if kind in SPANS else 'values'}; found {cut(values)}.")
        return {"kind": kind, "values": tuple(map(_number, values)) if kind in SPANS else tuple(values)}

    @field_validator("values")
    @classmethod
    def _are_a_range(cls, values: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        kind = info.data.get("kind")
        if kind in SPANS:
            return _checked_span(kind, values)
        if len(values) < 2:
            raise InputError(f"{kind} needs two values or more; found {cut(list(values))}. Give one value without a range.")
        twice = [value for n, value in enumerate(values) if value in values[:n]]
        if twice:
            raise InputError(f"{kind} lists {cut(twice[0])} twice.")
        return values

    @model_serializer
    def _tree(self) -> dict[str, list[JsonValue]]:
        return {self.kind: list(self.values)}

    @property
    def is_span(self) -> bool:
        """True for a range with two ends."""
        return self.kind in SPANS

    @property
    def is_whole(self) -> bool:
        """True for a span of whole numbers."""
        return self.kind in ("int", "log_int")

    @property
    def is_log(self) -> bool:
        """True for a span on a logarithmic scale."""
        return self.kind in ("log", "log_int")

    @property
    def ends(self) -> tuple[float, float]:
        """The two ends of a span."""
        low, high = self.values
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        return low, high

    def holds(self, value: object) -> bool:
        """Return whether a value lies in the range.

        >>> Range.model_validate({"int": [2, 8]}).holds(8), Range.model_validate({"int": [2, 8]}).holds(2.5)
        (True, False)
        """
        if not self.is_span:
            return value in self.values
        low, high = self.ends
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return low <= value <= high and (not self.is_whole or value == int(value))

    def samples(self) -> tuple[JsonValue, ...]:
        """Return the values to try out before a search: all that are listed, or the ends with a number between them.

        >>> Range.model_validate({"int": [2, 8]}).samples(), Range.model_validate({"log": [0.01, 1]}).samples()
        ((2, 8), (0.01, 0.1, 1.0))
        """
        if not self.is_span or self.is_whole:
            return self.values
        low, high = self.ends
        return low, math.sqrt(low * high) if self.is_log else low + (high - low) / math.pi, high


def read_ranges(trees: Mapping[str, object], named: Callable[[str], str]) -> dict[str, Range]:
    """Read ranges by the names of their settings. Raises one :class:`InputError` with the problems of all.

    ``named`` returns the words for a setting in an error: its name, with file and line if it comes from a file.
    """
    ranges, problems = {}, []
    for name, tree in trees.items():
        try:
            ranges[name] = Range.model_validate(tree)
        except ValidationError as error:
            causes = [(detail.get("ctx") or {}).get("error") for detail in error.errors()]
            problems += [f"{named(name)}: {cause}" for cause in causes if isinstance(cause, InputError)]
            problems += [f"{named(name)}: {cut(tree)} is no range." for cause in causes if not isinstance(cause, InputError)]
    raise_all(problems)
    return ranges


def _number(value: Any) -> Any:
    """Accept "1e-4", which YAML reads as a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _checked_span(kind: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the ends of a span, as whole numbers or as fractions."""
    shown = cut(list(values))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)]
    if len(values) != 2 or len(numbers) != 2:
        raise InputError(f"{kind} takes two numbers, its ends; found {shown}.")
    low, high = numbers
    if low >= high:
        raise InputError(f"{kind} is empty: its first end is not below its second; found {shown}.")
    if kind.startswith("log") and low <= 0:
        raise InputError(f"{kind} needs ends above 0; found {shown}. Choose a larger first end, or another kind.")
    if kind.endswith("int"):
        if low != int(low) or high != int(high):
            other = "log" if kind == "log_int" else "uniform"
            raise InputError(f"{kind} takes whole numbers; found {shown}. Choose {other} for fractions.")
        return int(low), int(high)
    return float(low), float(high)
