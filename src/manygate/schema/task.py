"""Task: one label to predict, its sample space and the step of a funnel that it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from manygate.errors import InputError, did_you_mean, raise_all
from manygate.schema.expression import Expression
from manygate.schema.reading import Frozen, validated
from manygate.schema.where import parse_where


def funnel_order(parents: Sequence[int | None]) -> list[tuple[int, int]]:
    """Pairs of a task and the task that it comes after, in an order in which each task stands before those after it.

    >>> funnel_order([1, 2, None])
    [(1, 2), (0, 1)]
    """
    steps: list[tuple[int, int]] = []
    ready = {t for t, after in enumerate(parents) if after is None}
    while len(ready) < len(parents):
        next_steps = [(t, after) for t, after in enumerate(parents) if after is not None and t not in ready and after in ready]
        assert next_steps, "a funnel has a first task"
        steps += next_steps
        ready |= {t for t, _ in next_steps}
    return steps


def _split_options(text: str, spec: str) -> Iterator[str]:
    """Split at commas that are neither in quotes nor in parentheses."""
    first, depth, quote = 0, 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character in "()":
            depth = max(depth + (1 if character == "(" else -1), 0)
        elif character == "," and not depth:
            yield text[first:position]
            first = position + 1
    if quote:
        raise InputError(
            f"task {spec!r}: a quote ({quote}) is not closed. Close it, or put the name that holds it in other quotes."
        )
    yield text[first:]


def _unquoted(value: str) -> str:
    """A value without the quotes around it; a quote within is written twice."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
        return value[1:-1].replace(value[0] * 2, value[0])
    return value


BinaryLoss = Literal["cross_entropy", "pairwise"]
RegressionLoss = Literal["squared", "huber", "log", "quantile", "ordinal"]
LOSSES: dict[str, tuple[str, ...]] = {"binary": get_args(BinaryLoss), "regression": get_args(RegressionLoss)}
"""The losses of each kind of task; the first is the default."""


class Task(Frozen):
    """One label to predict.

    ``where`` is the sample space: the rows on which the label means something (``click == 1`` for a conversion). Rows outside it,
    and rows whose label is null, are masked in the loss, the metrics, the calibration and the report alike.

    ``after`` names another, binary task that must have happened first. Its sample space is then the rows on which that task's
    label is 1, and the two form a funnel (see :mod:`manygate.objective.funnel`).

    A binary label is 0 or 1 of any type, true or false, or one of two words: ``positive`` is the word for 1, ``negative`` the word
    for 0. ``unknown`` is a value that stands for a label that is not known.

    >>> task = Task(name="buy", where="click == 1")
    >>> task.column, task.columns
    ('buy', ('buy', 'click'))
    >>> Task(name="watch", kind="regression").trained_by
    'squared'
    """

    name: str
    kind: Literal["binary", "regression"] = "binary"
    label: str | None = Field(None, description="Column of the label; the task's name where absent.")
    where: str | None = Field(None, description="Sample space, for example 'click == 1'.")
    unknown: str | None = Field(None, description="A value of the label that means unknown, for example -1.")
    positive: str | None = Field(None, description="The value of the label that means 1, where a label has two words.")
    negative: str | None = Field(None, description="The value of the label that means 0, where a label has two words.")
    after: str | None = Field(None, description="The binary task that must have happened first: 'click' for a purchase.")
    loss: Literal[BinaryLoss, RegressionLoss] | None = Field(
        None, description="What it is trained by. Default: cross_entropy for binary tasks, squared for regression."
    )
    quantile: float = Field(0.5, gt=0, lt=1, description="The quantile that the loss quantile predicts.")
    levels: int = Field(10, ge=2, le=100, description="Into how many levels the loss ordinal cuts the label, at most.")
    weight: float = Field(1.0, ge=0, le=1e6, description="Weight of this task's loss.")
    decay: float = Field(
        1.0,
        gt=0,
        le=1e3,
        description="What the weight is multiplied by after each epoch with --weighting schedule (PLE section 4.3).",
    )
    note: str = ""

    @field_validator("unknown", "positive", "negative", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Keep the text of a number. YAML reads the word ``yes`` as true, so true and false are no words."""
        if isinstance(value, bool):
            raise InputError(f"found {value}. YAML reads yes, no, on and off as true and false; put the word in quotes: 'yes'.")
        return str(value) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Task:
        problems = [] if self.name else ["a task needs a name; its label may be another column, as in buy:label=purchased."]
        if self.loss is not None and self.loss not in LOSSES[self.kind]:
            problems.append(
                f"task {self.name!r}: loss {self.loss!r} is not for {self.kind} tasks. Choose {' or '.join(LOSSES[self.kind])}."
            )
        if self.quantile != 0.5 and self.loss != "quantile":
            problems.append(f"task {self.name!r}: quantile is for the loss quantile. Add loss=quantile, or leave it out.")
        if self.levels != 10 and self.loss != "ordinal":
            problems.append(f"task {self.name!r}: levels are for the loss ordinal. Add loss=ordinal, or leave them out.")
        raise_all([*problems, *self._word_problems()])
        if self.where is not None:
            parse_where(self.where)
        return self

    def _word_problems(self) -> Iterator[str]:
        words = [word for word in (self.positive, self.negative, self.unknown) if word is not None]
        if self.kind != "binary" and (self.positive or self.negative) is not None:
            yield f"task {self.name!r}: positive and negative are for binary tasks. Leave them out, or make it binary."
        if self.positive is None and self.negative is not None:
            yield f"task {self.name!r}: negative is {self.negative!r}, and positive is missing. Name the word for 1, too."
        if len(set(words)) < len(words):
            yield f"task {self.name!r}: positive, negative and unknown must be different values; found {', '.join(words)}."

    @property
    def trained_by(self) -> str:
        """The loss."""
        return self.loss or LOSSES[self.kind][0]

    @property
    def column(self) -> str:
        """The label's column."""
        return self.label or self.name

    @property
    def condition(self) -> Expression | None:
        """The sample space as a tree; None when it is every row."""
        return None if self.where is None else parse_where(self.where)

    @property
    def space(self) -> str:
        """The sample space in words.

        >>> Task(name="buy", after="click", where="price > 0").space, Task(name="click").space
        ('after click and price > 0', 'every row')
        """
        condition = self.condition
        if self.after is None or condition is None or self.where is None:
            return self.where or (f"after {self.after}" if self.after else "every row")
        return f"after {self.after} and " + (self.where if condition.rank else f"({self.where})")

    @property
    def space_columns(self) -> tuple[str, ...]:
        """The columns that the sample space reads, in order."""
        return tuple(dict.fromkeys(column.name for column in self.condition.columns())) if self.condition else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold this task's label and mask."""
        return tuple(dict.fromkeys([self.column, *self.space_columns]))

    @property
    def purposes(self) -> dict[str, str]:
        """The columns, each with what needs it, for an error that says that it is missing."""
        space = f"sample space of task {self.name!r}"
        columns = self.condition.columns() if self.condition else ()
        words = {
            column.name: f"{space}; text stands in quotes: '{column.name}'" if column.may_be_text else space for column in columns
        }
        return words | {self.column: f"label of task {self.name!r}"}

    @classmethod
    def parse(cls, text: str) -> Task:
        """Read the command line's form: ``NAME`` or ``NAME:key=value,key=value``.

        A comma in quotes or in parentheses is part of the value.

        >>> Task.parse("buy:where=click==1,weight=0.5").weight
        0.5
        >>> Task.parse("watch:kind=regression,label=watch_seconds").column
        'watch_seconds'
        >>> Task.parse("like:where=country == 'A,B' and price > 0,positive=yes").where
        "country == 'A,B' and price > 0"
        """
        name, _, rest = text.partition(":")
        options: dict[str, Any] = {"name": name.strip()}
        problems = []
        for part in filter(None, _split_options(rest, text)):
            key, equals, value = part.partition("=")
            if not equals and key.strip() in ("binary", "regression"):
                key, value = "kind", key
            allowed = [field for field in cls.model_fields if field not in ("name", "note")]
            if key.strip() not in allowed:
                problems.append(
                    f"task {text!r}: unknown option {key.strip()!r}.{did_you_mean(key.strip(), allowed)} "
                    f"Options: {', '.join(allowed)}; for example buy:where=click==1,weight=0.5."
                )
            if key.strip() in options:
                problems.append(f"task {text!r}: {key.strip()!r} is given twice. Join conditions with 'and'.")
            options[key.strip()] = value.strip() if key.strip() == "where" else _unquoted(value.strip())
        raise_all(problems)
        if options.get("loss") in LOSSES["regression"]:
            options.setdefault("kind", "regression")
        return validated(cls, options, f"task {text!r}")

    @classmethod
    def parse_all(cls, specs: Iterable[str | Task]) -> list[Task]:
        """Read several tasks, some of them perhaps ready-made; one error lists the problems of all."""
        tasks: list[Task] = []
        problems: list[str] = []
        for spec in specs:
            try:
                tasks.append(spec if isinstance(spec, Task) else cls.parse(spec))
            except InputError as error:
                problems += error.marked
        raise_all(problems)
        return tasks


def joint_name(task: Task, tasks: Sequence[Task]) -> str:
    """The name of a task's joint event: the names of the steps up to it.

    >>> joint_name(Task(name="buy", after="click"), [Task(name="click")])
    'click_buy'
    """
    before = next((other for other in tasks if other.name == task.after), None)
    return task.name if before is None else f"{joint_name(before, tasks)}_{task.name}"
