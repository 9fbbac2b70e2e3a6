"""Infers a first schema from a log, and notes the reason for each choice for the person who edits it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.config import CsvConfig
from manygate.data.alarms import by_severity
from manygate.data.formats.part_paths import training_part
from manygate.data.inference.id_or_number import names_rows
from manygate.data.inference.infer_kind import Kind, ids_note, infer_kind
from manygate.data.inference.infer_tasks import infer_tasks, labels_that_count
from manygate.data.inference.look_of_text import look_of_text
from manygate.data.inference.outcomes import Outcomes
from manygate.data.inference.role_words import INDEXES, POSITIONS, REQUESTS, TIMES, USERS, WEIGHTS
from manygate.data.inference.sampled_column import SampledColumn
from manygate.data.table import Table, open_table
from manygate.errors import InputError, raise_all, setting
from manygate.results.evaluation import DataWarning
from manygate.schema import Feature, Schema, Task
from manygate.schema.reading import validated
from manygate.text import count_of

IGNORED_BY_USER = ("asked for", "ignored by the settings")
"""The reasons of columns that a user wants to be left out."""


@dataclass(frozen=True)
class Inferred:
    """A schema, and what its author should decide: ids or amounts, outcomes or features."""

    schema: Schema
    questions: list[DataWarning]


def infer_schema(
    source: Any,
    tasks: str | Task | Iterable[str | Task],
    *,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    bias: str | Iterable[str] = (),
    context: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    rows: int = 200_000,
    csv: CsvConfig | None = None,
) -> Schema:
    """Infer what each column means from its name, its type and about ``rows`` rows spread over the log.

    Roles first. Time: the only timestamp or date, or the one named like time; also whole numbers so named that are at least
    10,000,000 (seconds since 1970, or 20240131). Group: the first name of ``USERS``, then of ``REQUESTS``; a user stays a
    feature too, other request ids are ignored. Names of ``POSITIONS`` are bias features, names of ``WEIGHTS`` are ignored.

    Ignored, with the reason: one value or none, columns of a task's ``where``, text and ids that differ in nearly every row, row
    numbers in any order, the index that pandas wrote, further times, and types that no feature can have. Also outcomes: a column
    that alone separates a label, that is null or 0 wherever a label is 0, or that is yes or no and named like an outcome.

    The rest: text, true or false and categories are sparse; lists are bags; decimals are dense. Whole numbers are sparse if
    their name ends like an id (``item_id``, ``sku``, ``movie``), if they are two values, if they spread over 2**31 (hashed ids), or
    if their name ends like a code (``country``, ``hour``) or they are at most 20 values, and no word of the name says amount
    (``age``, ``num_items``). Whole numbers with many values and no order are sparse, too; the note asks whether they are ids or
    amounts (:mod:`manygate.data.inference.id_or_number`). All others are dense. Decimals that are all whole count as whole numbers
    where the name or the values say ids: pandas stores ids with nulls so.

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
    answer = infer_with_questions(
        source,
        tasks,
        weight=weight,
        group=group,
        time=time,
        bias=bias,
        context=context,
        ignore=ignore,
        rows=rows,
        csv=csv,
    )
    return answer.schema


def infer_with_questions(
    source: Any,
    tasks: str | Task | Iterable[str | Task],
    *,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    bias: str | Iterable[str] = (),
    context: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    rows: int = 200_000,
    csv: CsvConfig | None = None,
) -> Inferred:
    """Infer a schema as :func:`infer_schema` does; also return what should be decided by someone who knows the log."""
    table = open_table(training_part(source), csv=csv)
    parsed = Task.parse_all([tasks] if isinstance(tasks, (str, Task)) else tasks)
    bias, context, ignore = ([names] if isinstance(names, str) else list(names) for names in (bias, context, ignore))
    _check_columns(table, parsed, {"weight": weight, "group": group, "time": time}, bias, ignore, context)
    table.require_rows()
    needed = {column for task in parsed for column in task.columns}
    sample = table.sample(rows, [name for name in table.column_names if name not in ignore or name in needed])
    columns = {
        name: SampledColumn(name, sample.column(name), name in table.categorical, table.remarks.get(name, ""))
        for name in sample.column_names
    }
    labelled = infer_tasks(parsed, sample, weight, table.name)
    choice = _Choice(columns, labelled, sample.num_rows == table.count())
    choice.outcomes = Outcomes(labelled, columns, labels_that_count(labelled, sample, table.name))
    choice.ignored |= dict.fromkeys(ignore, IGNORED_BY_USER[0])
    choice.set_roles(weight, group, time, table.name)
    schema = choice.schema(bias, table).with_context(context)
    return Inferred(schema, by_severity(choice.questions))


def asked_about(schema: Schema, table: Table) -> list[str]:
    """The columns of a table whose warnings matter: all but those that the user ignores."""
    return [name for name in table.column_names if schema.ignored.get(name) not in IGNORED_BY_USER]


def _check_columns(
    table: Table,
    tasks: Sequence[Task],
    roles: dict[str, str | None],
    bias: list[str],
    ignore: list[str],
    context: list[str],
) -> None:
    problems = [] if tasks else [f"no task is named. Add at least one label, for example {setting('task', 'click')}."]
    for task in tasks:
        for column, purpose in sorted(task.purposes.items(), key=lambda item: item[0] != task.column):
            problems += table.missing([column], purpose)
    for role, name in roles.items():
        problems += table.missing([name] if name else [], role)
    problems += table.missing(bias, "bias feature") + table.missing(context, "context") + table.missing(ignore, "to ignore")
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
        self.questions: list[DataWarning] = []
        self.outcomes: Outcomes | None = None
        self._entities = [c for c in columns.values() if c.is_plain and c.like_id and c.name not in self.labels and len(c.known)]

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
        reason = _unfit(column) or self._outcome(column, bias) or (None if bias else self._reason_to_ignore(column))
        if reason:
            if bias:
                raise InputError(f"column {name!r} cannot be a bias feature: {reason}.")
            self.ignored[name] = reason
            return None
        bias = bias or (column.plain in POSITIONS and not pt.is_list(column.values.type))
        is_bias_id = bias and column.is_plain and column.is_whole
        kind = Kind("sparse", ids_note(column)) if is_bias_id else infer_kind(column, self._entities)
        if kind.question:
            self.questions.append(DataWarning(level="warning", column=name, text=kind.question + "."))
        note = kind.note + ("; the group" if name == self.group else "")
        note += "; bias: known while training, absent at serving" if bias else ""
        feature: Feature = validated(Feature, {"name": name, "kind": kind.kind, "bias": bias, "note": note}, f"column {name!r}")
        return feature

    def _outcome(self, column: SampledColumn, bias: bool) -> str | None:
        """Why the column looks like an outcome; a bias feature and an index are none."""
        if INDEXES.fullmatch(column.name) or (bias and column.name not in self.labels):
            return None
        if column.name == self.group or (column.like_id and not column.is_yes_or_no and column.distinct > len(column.known) / 2):
            return None
        finding = self.outcomes.find(column) if self.outcomes else None
        if finding is None:
            return None
        self.questions.append(finding.warning(column.name))
        return finding.reason

    def _reason_to_ignore(self, column: SampledColumn) -> str | None:
        name = column.name
        if INDEXES.fullmatch(name):
            return "an index that numbers the rows, and no feature" if name.strip() else "a column without a name"
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
        numbers = column.numbers if column.numbers is not None else np.zeros(1)
        with np.errstate(all="ignore"):
            steps = np.diff(numbers)
        return (column.like_id and column.distinct == rows) or float((steps == 1).mean()) > 0.95 or names_rows(numbers)


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
