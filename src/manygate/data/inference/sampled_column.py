"""One column of a sample: its values, its name in words, and facts about both."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.inference.look_of_text import look_of_text
from manygate.data.inference.role_words import AMOUNTS, CODE_ENDING, ENTITIES, GLUED_ID, IDS, SAID_KIND, USERS
from manygate.text import count_of


@dataclass(frozen=True)
class SampledColumn:
    """One column of the sample, with facts about its values and its name."""

    name: str
    values: pa.ChunkedArray
    categorical: bool
    remark: str = ""

    @cached_property
    def known(self) -> pa.ChunkedArray:
        """The values without null and NaN."""
        values = self.values
        if pt.is_floating(values.type):
            values = values.filter(pc.invert(pc.fill_null(pc.is_nan(values), True)))
        return values.drop_null()

    @cached_property
    def plain(self) -> str:
        """The name in snake_case: ``userId``, ``User ID`` and RecBole's ``user_id:token`` are ``user_id``."""
        name = SAID_KIND.sub("", self.name)
        return "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()

    @property
    def said_kind(self) -> str:
        """``token`` or ``float`` where the name ends in RecBole's word for the kind; else empty."""
        said = SAID_KIND.search(self.name)
        return said[1].partition("_")[0] if said else ""

    @property
    def words(self) -> list[str]:
        """The words of the name."""
        return self.plain.split("_")

    @property
    def last_word(self) -> str:
        """The last word of the name that is no number: ``store`` of ``store9``."""
        return next((word for word in reversed(self.words) if not word.isdigit()), "")

    @property
    def like_id(self) -> bool:
        """True where the name ends like that of an id or a code, or names a thing."""
        last = self.last_word
        is_glued = GLUED_ID.fullmatch(last) is not None or CODE_ENDING.fullmatch(last) is not None
        return last in IDS or is_glued or self.plain in USERS or (last in ENTITIES and AMOUNTS.isdisjoint(self.words))

    @property
    def says_amount(self) -> bool:
        """True where a word of the name says amount; ``account_number`` names a thing, ``number_of_accounts`` does not."""
        counted = self.words[:-1] if len(self.words) > 1 and self.last_word in ("number", "num") else self.words
        return not AMOUNTS.isdisjoint(counted)

    @cached_property
    def distinct(self) -> int:
        """The number of different values."""
        return int(pc.count_distinct(self.known).as_py())

    @cached_property
    def codes(self) -> np.ndarray:
        """A code for each row by its value, from 0 on; null has one, too. Codes of numbers are in their order."""
        return self._coded[0]

    @property
    def code_count(self) -> int:
        """The number of different codes."""
        return self._coded[1]

    @cached_property
    def _coded(self) -> tuple[np.ndarray, int]:
        if self.numbers is not None:
            unique, code_N = np.unique(self.numbers, return_inverse=True)  # NaN is the last
            return code_N.astype(np.int64), len(unique)
        encoded = pc.dictionary_encode(pa.concat_arrays(self.values.chunks), null_encoding="encode")
        return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)

    @property
    def is_yes_or_no(self) -> bool:
        """True where the known values are two, true and false, 0 and 1 or two words, or one of them."""
        if self.numbers is not None:
            return bool(np.isin(self.numbers[~np.isnan(self.numbers)], (0, 1)).all())
        return pt.is_string(self.values.type) and self.distinct == 2

    @property
    def is_plain(self) -> bool:
        """True where each row holds one id or one number."""
        return self.is_number or pt.is_boolean(self.values.type) or pt.is_string(self.values.type)

    @property
    def is_number(self) -> bool:
        return pt.is_integer(self.values.type) or pt.is_floating(self.values.type)

    @cached_property
    def is_whole(self) -> bool:
        """True where all values are whole numbers, whatever their type."""
        kind = self.values.type
        return pt.is_integer(kind) or (pt.is_floating(kind) and bool(pc.all(pc.equal(self.known, pc.round(self.known))).as_py()))

    @cached_property
    def extent(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        ends = pc.min_max(self.known).as_py()
        return ends["min"], ends["max"]

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """Numbers and truth values as float64, NaN for null; else None."""
        if not (self.is_number or pt.is_boolean(self.values.type)):
            return None
        values = self.values.cast(pa.int8()) if pt.is_boolean(self.values.type) else self.values
        return values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()

    @cached_property
    def note(self) -> str:
        """A description of the values, for people."""
        return f"{self._note}; {self.remark}" if self.remark else self._note

    @property
    def _note(self) -> str:
        kind = self.values.type
        missing = 1 - len(self.known) / len(self.values)
        nulls = f", {percent(missing)} missing" if missing else ""
        if pt.is_boolean(kind):
            return f"true or false, {percent(pc.mean(self.known.cast(pa.int8())).as_py())} true{nulls}"
        if pt.is_list(kind):
            words = {"str": "strings", "int": "whole numbers"}.get(str(kind.value_type)[:3].removeprefix("u"), str(kind.value_type))
            length = pc.mean(pc.list_value_length(self.known)).as_py()
            return f"lists of {words}, {length:.1f} on average{nulls}"
        if self.is_number and not self.categorical:
            low, high = (number(end) for end in self.extent)
            zeros = int(pc.sum(pc.equal(self.known, 0)).as_py()) / len(self.known)
            many = f", {percent(zeros)} zeros" if zeros >= 0.2 else ""
            return f"{'whole numbers' if self.is_whole else 'decimals'} from {low} to {high}{many}{nulls}"
        words = "categories" if self.categorical else "strings"
        return f"{words}, {count_of(self.distinct, 'value')}{nulls}{look_of_text(self.known, self.name)}"


def percent(share: float) -> str:
    """A share in per cent, with two digits near 0 and one decimal near 1, where it is rounded down: 100 % means all.

    >>> percent(0.333), percent(0.001), percent(0.99999), percent(1)
    ('33 %', '0.1 %', '99.9 %', '100 %')
    """
    if 0.995 <= share < 1:
        return f"{math.floor(1000 * share) / 10:.1f} %"
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"


def number(value: float) -> str:
    """A number with thousands separated, and four digits where it is no whole number.

    >>> number(1234567.0), number(0.123456)
    ('1,234,567', '0.1235')
    """
    return f"{value:,.0f}" if (float(value).is_integer() or abs(value) >= 1000) and abs(value) < 1e15 else f"{value:,.4g}"
