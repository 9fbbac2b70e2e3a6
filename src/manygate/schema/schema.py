"""Schema: the meaning of each column of a log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from manygate.errors import did_you_mean, raise_all
from manygate.files import read_text
from manygate.schema.feature import Feature
from manygate.schema.reading import Frozen, read_yaml, validated
from manygate.schema.task import Task, joint_name


class Schema(Frozen):
    """The meaning of each column of a log.

    Shapes that follow from it: ``T = len(tasks)`` and one input per feature. ``group`` (a user or a query) serves GAUC, splits
    and intervals that count a user once; ``time`` serves splits; ``weight`` is a row's weight in losses and metrics.

    >>> schema = Schema(features=(Feature(name="item", kind="sparse"),), tasks=(Task(name="click"),))
    >>> schema.task_names
    ('click',)
    """

    schema_version: Literal[1] = 1
    tasks: tuple[Task, ...]
    features: tuple[Feature, ...]
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    ignored: dict[str, str] = Field(default_factory=dict, description="Columns not used, each with the reason.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Schema:
        raise_all(self._problems())
        return self

    def _problems(self) -> list[str]:
        problems = []
        features, tasks = self.feature_names, self.task_names
        if not tasks:
            problems.append("tasks: the schema names no task. Name at least one label to predict.")
        if not features:
            problems.append("features: the schema names no feature, so there is nothing to learn from.")
        for kind, names in (("feature", features), ("task", tasks)):
            problems += [f"{kind} {name!r} is named twice." for name in sorted({n for n in names if names.count(n) > 1})]
        problems += [
            f"feature {name!r} is also a label: the model would read the answer. Take it out of the features."
            for name in features
            if name in self.label_columns
        ]
        problems += [f"column {name!r} is both a feature and ignored." for name in features if name in self.ignored]
        if self.weight in features:
            problems.append(f"column {self.weight!r} is both a feature and the row weight; choose one.")
        if self.weight in self.label_columns:
            problems.append(f"column {self.weight!r} is both a label and the row weight; choose one.")
        if features and not self.served_features:
            problems.append("features: all are bias features, which are absent at serving; add one that a request carries.")
        problems += [
            f"task {task.name!r}: positive is {task.positive!r}, and negative is missing. Name the word for 0, too."
            for task in self.tasks
            if task.positive is not None and task.negative is None
        ]
        if self.group is None:
            problems += [
                f"task {task.name!r}: the loss pairwise compares rows of one group, and the schema names no group. Add group."
                for task in self.tasks
                if task.loss == "pairwise"
            ]
        return problems + self._funnel_problems()

    def _funnel_problems(self) -> list[str]:
        by_name = {task.name: task for task in self.tasks}
        problems = []
        for task in self.tasks:
            parent = by_name.get(task.after or "")
            if task.after is not None and parent is None:
                problems.append(
                    f"task {task.name!r} comes after {task.after!r}, which is no task.{did_you_mean(task.after, by_name)}"
                )
            elif parent is not None and parent.kind != "binary":
                problems.append(
                    f"task {task.name!r} comes after {parent.name!r}, which is a regression. A step of a funnel is binary."
                )
        problems = list(dict.fromkeys(problems))
        for task in self.tasks:
            seen = [task.name]
            while (after := by_name[seen[-1]].after) in by_name and after not in seen:
                seen.append(str(after))
            if after == task.name and task.name == min(seen):
                problems.append(f"tasks: {' after '.join([*seen, task.name])} is a circle. Take one 'after' out.")
        joint = {name for name in self.joint_names if name} if not problems else set()
        return problems + [
            f"task {name!r} has the name of a funnel's joint column. Rename it." for name in sorted(joint & set(by_name))
        ]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def parents(self) -> tuple[int | None, ...]:
        """For each task the index of the task that it comes after.

        >>> buy = Task(name="buy", after="click")
        >>> Schema(features=(Feature(name="item", kind="sparse"),), tasks=(Task(name="click"), buy)).parents
        (None, 0)
        """
        return tuple(None if task.after is None else self.task_names.index(task.after) for task in self.tasks)

    @property
    def joint_names(self) -> tuple[str | None, ...]:
        """For each task of a funnel but the first the name of what it predicts on every row: ``click_buy`` for click and buy."""
        return tuple(joint_name(task, self.tasks) if task.after else None for task in self.tasks)

    @property
    def predicted_names(self) -> tuple[str, ...]:
        """The columns of a prediction: the tasks', then the joint ones."""
        return (*self.task_names, *filter(None, self.joint_names))

    @property
    def served_features(self) -> tuple[Feature, ...]:
        """The features that a request must carry: all but the bias features."""
        return tuple(feature for feature in self.features if not feature.bias)

    def with_context(self, names: Iterable[str], where: str = "context") -> Schema:
        """Return the schema with these features as context, beside those that are context already.

        Raises :class:`InputError` that lists each name that is no feature or a bias feature. ``where`` names the setting.

        >>> schema = Schema(features=(Feature(name="user", kind="sparse"),), tasks=(Task(name="click"),))
        >>> schema.with_context(["user"]).features[0].context
        True
        """
        names, bias = dict.fromkeys(names), {feature.name for feature in self.features if feature.bias}
        served = [feature.name for feature in self.served_features]
        problems = []
        for name in names:
            if name in bias:
                problems.append(f"{where}: {name!r} is a bias feature, which is absent at serving, so it cannot be context.")
            elif name in self.ignored:
                problems.append(f"{where}: {name!r} is not used ({self.ignored[name]}), so it cannot be context.")
            elif name not in served:
                problems.append(f"{where}: {name!r} is no feature.{did_you_mean(name, served)} Choose from {', '.join(served)}.")
        raise_all(problems)
        marked = tuple(f.model_copy(update={"context": True}) if f.name in names else f for f in self.features)
        return self.model_copy(update={"features": marked})

    @property
    def label_columns(self) -> frozenset[str]:
        """Columns known only after the impression."""
        return frozenset(task.column for task in self.tasks)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that training reads."""
        outcomes = [column for task in self.tasks for column in task.columns]
        roles = [role for role in (self.group, self.time, self.weight) if role]
        return tuple(dict.fromkeys([*self.feature_names, *outcomes, *roles]))

    @property
    def evaluated_columns(self) -> tuple[str, ...]:
        """Every column that evaluation reads: no time, and bias features only where a sample space needs them."""
        outcomes = {column for task in self.tasks for column in task.columns}
        absent = {feature.name for feature in self.features if feature.bias} - outcomes
        return tuple(column for column in self.columns if column not in absent and column != self.time)

    def to_yaml(self) -> str:
        """The schema as YAML that a person can edit."""
        tree = self.model_dump(mode="json", exclude_defaults=True)
        ordered = {"schema_version": self.schema_version} | {
            key: tree[key] for key in ("tasks", "group", "time", "weight", "features", "ignored") if key in tree
        }
        return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)

    @classmethod
    def from_yaml(cls, text: str, where: str = "schema") -> Schema:
        """Read :meth:`to_yaml`'s form; ``where`` names the file in errors."""
        return validated(cls, read_yaml(text, where), where)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema from a YAML file."""
        return cls.from_yaml(read_text(Path(path)), str(path))

    def _repr_html_(self) -> str:
        from html import escape

        rows: list[tuple[str, str, str, str]] = [(f.name, f.kind, f.role, f.note) for f in self.features]
        rows += [(t.name, f"task, {t.kind}", t.where or "", t.note) for t in self.tasks]
        cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><tr><th>column</th><th>kind</th><th>role</th><th>why</th></tr>{cells}</table>"
