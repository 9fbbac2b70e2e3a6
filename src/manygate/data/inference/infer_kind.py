"""Infers the kind of a feature from the name and the values of its column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.types as pt

from manygate.data.inference.id_or_number import once_each, why_ids
from manygate.data.inference.role_words import CALENDAR, CODES, TIMES
from manygate.data.inference.sampled_column import SampledColumn
from manygate.text import count_of

MOST_CODES = 20
"""Whole numbers of at most so many values are codes, unless their name says otherwise."""


@dataclass(frozen=True)
class Kind:
    """The kind of a feature, the reason, and a question to the user where values and name leave it open."""

    kind: str
    note: str
    question: str = ""


def infer_kind(column: SampledColumn, entities: Sequence[SampledColumn] = ()) -> Kind:
    """The kind of a column that a feature can have; the rules are in :func:`manygate.data.inference.infer.infer_schema`.

    ``entities`` are the columns of ids: where each id has one number, the numbers are counted once for each id.
    """
    if pt.is_list(column.values.type):
        return Kind("bag", column.note)
    if not column.is_number or column.categorical:
        return Kind("sparse", column.note)
    if column.is_whole and (column.like_id or column.said_kind == "token"):
        return Kind("sparse", ids_note(column))
    if not column.is_whole or column.said_kind == "float":
        return Kind("dense", column.note)
    return _whole_numbers(column, entities)


def ids_note(column: SampledColumn) -> str:
    """The note of a column of ids."""
    if column.categorical or not column.is_number:
        return column.note
    return f"whole numbers, {count_of(column.distinct, 'value')}: ids"


def _whole_numbers(column: SampledColumn, entities: Sequence[SampledColumn]) -> Kind:
    """The kind of whole numbers with a name that is not that of an id; decimals that are all whole are codes by values alone."""
    low, high = column.extent
    amount = column.says_amount
    if pt.is_integer(column.values.type):
        moments = any(unit <= low and high <= 3 * unit for unit in (10**9, 10**12, 10**15, 10**18))
        if column.distinct <= 2 or (not amount and (column.words[-1] in CODES or column.distinct <= MOST_CODES)):
            return Kind("sparse", f"whole numbers, {count_of(column.distinct, 'value')}: codes")
        if high - low >= 2**31 and not amount and not moments:
            return Kind("sparse", f"whole numbers, {count_of(column.distinct, 'value')} over a wide range: hashed ids")
        if moments:
            return Kind("dense", column.note)
    if amount or not (TIMES | CALENDAR).isdisjoint(column.words):
        return Kind("dense", column.note)
    why = _why_ids(column, entities)
    if why is None:
        return Kind("dense", column.note)
    values = count_of(column.distinct, "value")
    note = f"whole numbers, {values}: ids or amounts? Taken as ids, for {why}; if they are amounts, write kind: dense"
    question = (
        f"column {column.name!r} holds whole numbers ({values}) that may be ids or amounts. It is taken as ids, for {why}. "
        "Write its kind in a schema: manygate schema makes one to edit"
    )
    return Kind("sparse", note, question)


def _why_ids(column: SampledColumn, entities: Sequence[SampledColumn]) -> str | None:
    assert column.numbers is not None
    numbers = column.numbers
    for entity in entities:
        if entity.name == column.name or not column.distinct < entity.distinct < len(numbers):
            continue
        known_N = ~np.isnan(numbers)
        single = once_each(numbers[known_N], entity.codes[known_N])
        if single is not None:
            return why_ids(single)
    return why_ids(numbers)
