"""Infers a first schema from a log, and notes the reason for each choice for the person who edits it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.config import CsvConfig
from manygate.data.infer_tasks import infer_tasks
from manygate.data.look_of_text import look_of_text
from manygate.data.part_paths import training_part
from manygate.data.role_words import AMOUNTS, CODES, POSITIONS, REQUESTS, TIMES, USERS, WEIGHTS
from manygate.data.sampled_column import SampledColumn
from manygate.data.table import Table, open_table
from manygate.errors import InputError, raise_all, setting
from manygate.schema import Feature, Schema, Task
from manygate.schema.reading import validated
from manygate.text import count_of

IGNORED_BY_USER = ("asked for", "ignored by the settings")
"""The reasons of columns that a user wants to be left out."""
MOST_CODES = 20
"""Whole numbers of at most so many values are codes, unless their name says otherwise."""


def infer_schema(
    source: Any,
    tasks: str | Task | Iterable[str | Task],
    *,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    bias: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    rows: int = 200_000,
    csv: CsvConfig | None = None,
) -> Schema:
    """Infer what each column means from its name, its type and about ``rows`` rows spread over the log.

    Roles first. Time: the only timestamp or date, or the one named like time; also whole numbers so named that are at least
    10,000,000 (seconds since 1970, or 20240131). Group: the first name of ``USERS``, then of ``REQUESTS``; a user stays a
    feature too, other request ids are ignored. Names of ``POSITIONS`` are bias features, names of ``WEIGHTS`` are ignored.

    Ignored, with the reason: one value or none, a column equal to a label or known only where a label is 1, columns of a task's
    ``where``, text and ids that differ in nearly every row, row numbers, further times, and types that no feature can have.

    The rest: text, true or false and categories are sparse; lists are bags; decimals are dense. Whole numbers are sparse if
    their name ends like an id (``item_id``, ``sku``), if they are two values, if they spread over 2**31 (hashed ids), or if
    their name ends like a code (``country``, ``hour``) or they are at most 20 values, and no word of the name says amount
    (``age``, ``num_items``); else dense. Decimals that are all whole and named like an id are sparse: pandas stores ids with
    nulls so.

    A task without a kind is binary if its labels are 0 and 1, regression if they are other numbers; whole numbers of at most three
    values (-1 and 1, say) must be given a kind. Raises one :class:`InputError` that lists all unknown columns, or all labels that
    are neither.

    >>> import pyarrow as pa
    >>> log = pa.table({"user_id": ["u1", "u2", "u1"], "price": [9.5, 3.25, 4.0], "click": [0, 1, 0]})
    >>> schema = infer_schema(log, "click")
    >>> [(feature.name, feature.kind, feature.note) for feature in schema.features]
    [('user_id', 'sparse', 'strings, 2 values; the group'), ('price', 'dense', 'decimals from 3.25 to 9.5')]
    >>> schema.group, schema.tasks[0].kind, schema.tasks[0].note
    ('user_id', 'binary', '0 and 1, 33 % ones')
    """
    table = open_table(training_part(source), csv=csv)
    parsed = Task.parse_all([tasks] if isinstance(tasks, (str, Task)) else tasks)
    bias, ignore = ([names] if isinstance(names, str) else list(names) for names in (bias, ignore))
    _check_columns(table, parsed, {"weight": weight, "group": group, "time": time}, bias, ignore)
    table.require_rows()
    sample = table.sample(rows)
    columns = {
        name: SampledColumn(name, sample.column(name), name in table.categorical, table.remarks.get(name, ""))
        for name in table.column_names
    }
    labelled = infer_tasks(parsed, sample, weight, table.name)
    choice = _Choice(columns, labelled, sample.num_rows == table.count())
    choice.ignored |= dict.fromkeys(ignore, IGNORED_BY_USER[0])
    choice.set_roles(weight, group, time, table.name)
    return choice.schema(bias, table)


def asked_about(schema: Schema, table: Table) -> list[str]:
    """The columns of a table whose warnings matter: all but those that the user ignores."""
    return [name for name in table.column_names if schema.ignored.get(name) not in IGNORED_BY_USER]


def _check_columns(table: Table, tasks: Sequence[Task], roles: dict[str, str | None], bias: list[str], ignore: list[str]) -> None:
    problems = [] if tasks else [f"no task is named. Add at least one label, for example {setting('task', 'click')}."]
    for task in tasks:
        for column, purpose in sorted(task.purposes.items(), key=lambda item: item[0] != task.column):
            problems += table.missing([column], purpose)
    for role, name in roles.items():
        problems += table.missing([name] if name else [], role)
    problems += table.missing(bias, "bias feature") + table.missing(ignore, "to ignore")
    labels = {task.column for task in tasks}
    used = [*((role, name) for role, name in roles.items()), *(("bias", n) for n in bias), *(("ignore", n) for n in ignore)]
    problems += [f"column {name!r} is a label, so it cannot be {role} too; choose one." for role, name in used if name in labels]
    if weight_and_bias := [name for name in bias if name == roles["weight"]]:
        problems.append(f"column {weight_and_bias[0]!r} is weight and bias feature; choose one.")
    needed = {name: role for role, name in used if role != "ignore"}
    problems += [f"column {name!r} is {needed[name]} and to be ignored; choose one." for name in ignore if name in needed]
    raise_all(problems)


class _Choice:
    """The roles of a log, and the kind of each remaining column or the reason to leave it out."""

    def __init__(self, columns: dict[str, SampledColumn], tasks: Sequence[Task], whole: bool):
        self.columns, self.tasks, self.whole = columns, tasks, whole
        self.labels = {task.column for task in tasks}
        self.ignored: dict[str, str] = {}
        self.time: str | None = None
        self.group: str | None = None
        self.weight: str | None = None

    def set_roles(self, weight: str | None, group: str | None, time: str | None, table: str) -> None:
        if weight is not None and (self.columns[weight].numbers is None or self.columns[weight].distinct == 0):
            raise InputError(f"{table}: weight column {weight!r} is {self.columns[weight].values.type}; it must hold numbers.")
        if group is not None and pt.is_nested(self.columns[group].values.type):
            raise InputError(f"{table}: group column {group!r} is {self.columns[group].values.type}; it must hold one value a row.")
        self.weight = weight
        for task in self.tasks:
            for name in task.space_columns:
                if name not in self.labels:
                    self.ignored[name] = (
                        f"in the sample space of task {task.name!r}, so probably known only after the impression; "
                        "make it a feature if it is known before"
                    )
        taken = self.labels | {weight} | set(self.ignored)
        free = [c for c in self.columns.values() if c.name not in taken and len(c.known)]
        self.time = time or _time_of(free)
        self.group = group
        for name in (*USERS, *REQUESTS):
            fits = [c.name for c in free if c.plain == name and c.is_plain and not self._differs(c)]
            self.group = self.group or (fits[0] if fits else None)

    def schema(self, bias: Sequence[str], table: Table) -> Schema:
        features = [f for column in self.columns.values() if (f := self.feature(column, column.name in bias))]
        if not features:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.ignored.items())
            raise InputError(f"{table.name}: no column is left to learn from. {reasons or 'There are only labels'}. Add columns.")
        ignored = {name: self.ignored[name] for name in table.column_names if name in self.ignored}
        tree = {"tasks": tuple(self.tasks), "features": tuple(features), "ignored": ignored}
        schema: Schema = validated(Schema, tree | {"group": self.group, "time": self.time, "weight": self.weight}, table.name)
        return schema

    def feature(self, column: SampledColumn, bias: bool) -> Feature | None:
        """The column as a feature; None where it has another role or is ignored."""
        name = column.name
        request_only = name == self.group and column.plain in REQUESTS
        if name in self.labels or name in self.ignored or name in (self.weight, self.time) or request_only:
            return None
        reason = (
            _unfit(column)
            or self._copy_of_label(column)
            or self._outcome(column)
            or (None if bias else self._reason_to_ignore(column))
        )
        if reason:
            if bias:
                raise InputError(f"column {name!r} cannot be a bias feature: {reason}.")
            self.ignored[name] = reason
            return None
        bias = bias or (column.plain in POSITIONS and not pt.is_list(column.values.type))
        kind, note = ("sparse", _ids_note(column)) if bias and column.is_plain and column.is_whole else _kind(column)
        note += "; the group" if name == self.group else ""
        note += "; bias: known while training, absent at serving" if bias else ""
        feature: Feature = validated(Feature, {"name": name, "kind": kind, "bias": bias, "note": note}, f"column {name!r}")
        return feature

    def _copy_of_label(self, column: SampledColumn) -> str | None:
        for label in (self.columns[name] for name in sorted(self.labels)):
            numbers, answers = column.numbers, label.numbers
            if numbers is None or answers is None or label.distinct < 2:
                continue
            if np.array_equal(numbers, answers, equal_nan=True):
                return f"identical to label {label.name!r}"
        return None

    def _outcome(self, column: SampledColumn) -> str | None:
        """A column that is known exactly where a label is 1 is an outcome too: it would give the label away."""
        if not column.values.null_count:
            return None
        known_N = column.values.is_valid().to_numpy()
        for label in (self.columns[name] for name in sorted(self.labels) if self.columns[name].distinct == 2):
            if label.numbers is not None and np.array_equal(known_N, label.numbers == 1):
                spec = quote(f"{column.name}:where={label.name}==1")
                return f"known only where {label.name!r} is 1, so an outcome; --task {spec} predicts it"
        return None

    def _reason_to_ignore(self, column: SampledColumn) -> str | None:
        name = column.name
        if _is_time(column):
            return f"a time; the log's time is {self.time!r}" if self.time else "one of several times; --time NAME uses it"
        if column.plain in REQUESTS:
            return f"names one request or session; --group {quote(name)} groups by it"
        if column.plain in WEIGHTS and column.is_number and self.weight is None:
            return f"looks like a row weight; --weight {quote(name)} uses it"
        if not column.is_plain:
            return None
        if column.distinct == 1 and len(column.known) == len(column.values):
            return f"constant: {column.known[0].as_py()!r} in every row looked at"
        if self._differs(column) and name != self.group:
            hint = look_of_text(column.known, name)
            return f"a row key or free text: {count_of(column.distinct, 'value')} in {count_of(len(column.known), 'row')}{hint}"
        return None

    def _differs(self, column: SampledColumn) -> bool:
        """True where a value does little more than name its row. A user may well be rare in a sample."""
        rows = len(column.known)
        if rows < 50:
            return False
        if column.plain in USERS:
            return self.whole and column.distinct == rows
        if not column.is_number:
            return column.distinct > 0.95 * rows
        if not column.is_whole:
            return False
        with np.errstate(all="ignore"):
            steps = np.diff(column.numbers) if column.numbers is not None else np.zeros(1)
        return (column.like_id and column.distinct == rows) or float((steps == 1).mean()) > 0.95


def _unfit(column: SampledColumn) -> str | None:
    """The reason that no feature can have the column's type; None where a feature can."""
    kind = column.values.type
    if not len(column.known):
        return "null in every row looked at"
    if pt.is_list(kind):
        inner = SampledColumn(column.name, pc.list_flatten(column.known), False)
        if not len(inner.known):
            return "an empty list in every row looked at"
        if inner.is_plain and (inner.is_whole or not pt.is_floating(kind.value_type)):
            return None
        return f"lists of {kind.value_type}; a bag holds ids, so give an embedding a column for each number"
    if column.is_plain or _is_time(column):
        return None
    return f"{str(kind).partition('<')[0].partition('[')[0]} values; a feature is an id, a list of ids or a number"


def _is_time(column: SampledColumn) -> bool:
    kind = column.values.type
    if pt.is_timestamp(kind) or pt.is_date(kind):
        return True
    named = column.is_number and not column.categorical and not TIMES.isdisjoint(column.words)
    return named and len(column.known) > 0 and column.is_whole and column.extent[0] >= 1e7


def _time_of(columns: Sequence[SampledColumn]) -> str | None:
    times = [column for column in columns if _is_time(column)]
    named = [c for c in times if c.plain in TIMES] or [c for c in times if not TIMES.isdisjoint(c.words)]
    chosen = times if len(times) == 1 else named
    return max(chosen, key=lambda c: c.distinct).name if chosen else None


def _ids_note(column: SampledColumn) -> str:
    if column.categorical or not column.is_number:
        return column.note
    return f"whole numbers, {count_of(column.distinct, 'value')}: ids"


def _kind(column: SampledColumn) -> tuple[str, str]:
    """Kind of a feature and the reason; the rules are in :func:`infer_schema`."""
    if pt.is_list(column.values.type):
        return "bag", column.note
    if not column.is_number or column.categorical:
        return "sparse", column.note
    if column.is_whole and column.like_id:
        return "sparse", _ids_note(column)
    if not pt.is_integer(column.values.type):
        return "dense", column.note
    low, high = column.extent
    amount = not AMOUNTS.isdisjoint(column.words)
    moments = any(unit <= low and high <= 3 * unit for unit in (10**9, 10**12, 10**15, 10**18))
    if column.distinct <= 2 or (not amount and (column.words[-1] in CODES or column.distinct <= MOST_CODES)):
        return "sparse", f"whole numbers, {count_of(column.distinct, 'value')}: codes"
    if high - low >= 2**31 and not amount and not moments:
        return "sparse", f"whole numbers, {count_of(column.distinct, 'value')} over a wide range: hashed ids"
    return "dense", column.note
