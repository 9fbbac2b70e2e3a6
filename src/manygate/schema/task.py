"""Task: one label to predict, its sample space and the step of a funnel that it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from manygate.errors import InputError, did_you_mean, raise_all
from manygate.schema.reading import Frozen, validated
from manygate.schema.where import Clause, parse_where


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


LOSSES = {"binary": ("cross_entropy", "pairwise"), "regression": ("squared", "huber", "log", "quantile", "ordinal")}
"""The losses of each kind of task; the first is the default."""


class Task(Frozen):
    """One label to predict.

    ``where`` is the sample space: the rows on which the label means something (``click == 1`` for a conversion). Rows outside it,
    and rows whose label is null, are masked in the loss, the metrics, the calibration and the report alike.

    ``after`` names another, binary task that must have happened first. Its sample space is then the rows on which that task's
    label is 1, and the two form a funnel (see :mod:`manygate.objective.funnel`).

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
    after: str | None = Field(None, description="The binary task that must have happened first: 'click' for a purchase.")
    loss: Literal["cross_entropy", "pairwise", "squared", "huber", "log", "quantile", "ordinal"] | None = Field(
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
        raise_all(problems)
        if self.where is not None:
            parse_where(self.where)
        return self

    @property
    def trained_by(self) -> str:
        """The loss."""
        return self.loss or LOSSES[self.kind][0]

    @property
    def column(self) -> str:
        """The label's column."""
        return self.label or self.name

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The sample space as comparisons; empty when it is every row."""
        return parse_where(self.where) if self.where else ()

    @property
    def space(self) -> str:
        """The sample space in words.

        >>> Task(name="buy", after="click", where="price > 0").space, Task(name="click").space
        ('after click and price > 0', 'every row')
        """
        parts = [f"after {self.after}"] if self.after else []
        return " and ".join(parts + ([self.where] if self.where else [])) or "every row"

    @property
    def space_columns(self) -> tuple[str, ...]:
        """The columns that the sample space reads, in order."""
        return tuple(dict.fromkeys(clause.column for clause in self.clauses))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold this task's label and mask."""
        return tuple(dict.fromkeys([self.column, *self.space_columns]))

    @classmethod
    def parse(cls, text: str) -> Task:
        """Read the command line's form: ``NAME`` or ``NAME:key=value,key=value``.

        >>> Task.parse("buy:where=click==1,weight=0.5").weight
        0.5
        >>> Task.parse("watch:kind=regression,label=watch_seconds").column
        'watch_seconds'
        """
        name, _, rest = text.partition(":")
        options: dict[str, Any] = {"name": name.strip()}
        problems = []
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals and key.strip() in ("binary", "regression"):
                key, value = "kind", key
            allowed = [field for field in cls.model_fields if field not in ("name", "note")]
            if key.strip() not in allowed:
                problems.append(
                    f"task {text!r}: unknown option {key.strip()!r}.{did_you_mean(key.strip(), allowed)} "
                    f"Options: {', '.join(allowed)}; for example buy:where=click==1,weight=0.5."
                )
            options[key.strip()] = value.strip()
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
