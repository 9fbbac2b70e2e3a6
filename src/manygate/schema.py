"""Feature, Task, Schema: the one contract that every layer reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manygate.errors import InputError, did_you_mean, raise_all

OPERATORS = ("==", "!=", ">=", "<=", ">", "<")
LOSSES = {"binary": ("cross_entropy", "pairwise"), "regression": ("squared", "huber", "log", "quantile", "ordinal")}
"""What each kind of task can be trained by; the first unless told otherwise."""
_CLAUSE = re.compile(r"^\s*(?P<column>.+?)\s*(?P<operator>==|!=|>=|<=|>|<)\s*(?P<value>.+?)\s*$")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clause(_Frozen):
    """One comparison of a sample space: ``column operator value``."""

    column: str
    operator: Literal["==", "!=", ">=", "<=", ">", "<"]
    value: bool | int | float | str

    def __str__(self) -> str:
        value = f"'{self.value}'" if isinstance(self.value, str) else self.value
        return f"{self.column} {self.operator} {value}"


def parse_where(text: str) -> tuple[Clause, ...]:
    """Read a sample space: comparisons joined by ``and``.

    >>> [str(clause) for clause in parse_where("click==1 and country == 'CH'")]
    ['click == 1', "country == 'CH'"]
    """
    clauses = []
    for part in re.split(r"\s+and\s+|&", text):
        match = _CLAUSE.match(part)
        if match is None:
            raise InputError(
                f"where = {text!r}: {part.strip()!r} is not a comparison. Write for example 'click == 1', with one of "
                f"{', '.join(OPERATORS)}; join several with 'and'."
            )
        clauses.append(Clause(column=match["column"], operator=match["operator"], value=_literal(match["value"])))
    return tuple(clauses)


def _literal(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("'\"")


class Feature(_Frozen):
    """One input column.

    Kinds: ``sparse`` (one id), ``bag`` (a list of ids, pooled), ``dense`` (a number). Settings left at None follow the run's
    configuration. A ``bias`` feature (a position, say) helps to explain the log while training and is absent at serving.

    >>> Feature(name="item_id", kind="sparse", min_count=5).kind
    'sparse'
    """

    name: str
    kind: Literal["sparse", "bag", "dense"]
    bias: bool = Field(False, description="Used in training, absent at serving (a position, say).")
    dim: int | None = Field(None, ge=1, description="Width of the embedding.")
    vocabulary: Literal["ids", "hash"] = Field("ids", description="Learn a row for each id, or hash ids into buckets.")
    min_count: int | None = Field(None, ge=1, description="Rarer ids share the out-of-vocabulary row.")
    buckets: int | None = Field(None, ge=2, le=2**30, description="Rows of a hashed vocabulary.")
    pooling: Literal["mean", "sum"] = Field("mean", description="How the ids of a bag are combined.")
    encoding: Literal["piecewise", "minmax", "standard", "log1p"] | None = Field(None, description="How a dense number is scaled.")
    note: str = Field("", description="Why this kind was chosen; for people, ignored by the program.")

    @model_validator(mode="after")
    def _settings_fit_the_kind(self) -> Feature:
        needs = {
            "dim": ("sparse", "bag"),
            "min_count": ("sparse", "bag"),
            "buckets": ("sparse", "bag"),
            "pooling": ("bag",),
            "encoding": ("dense",),
        }
        problems = [
            f"feature {self.name!r}: {setting} is for {' and '.join(kinds)} features, this one is {self.kind}."
            for setting, kinds in needs.items()
            if getattr(self, setting) != Feature.model_fields[setting].default and self.kind not in kinds
        ]
        if self.vocabulary == "hash" and self.kind == "dense":
            problems.append(f"feature {self.name!r}: a dense feature has no vocabulary to hash.")
        if self.bias and self.kind == "bag":
            problems.append(f"feature {self.name!r}: a bag cannot be a bias feature; use a sparse or a dense one.")
        raise_all(problems)
        return self


class Task(_Frozen):
    """One label to predict.

    ``where`` is the sample space: the rows on which the label means something (``click == 1`` for a conversion). Rows outside it,
    and rows whose label is null, are masked in the loss, the metrics, the calibration and the report alike.

    ``after`` names another, binary task that must have happened first. Its sample space is then the rows on which that task's
    label is 1, and the two form a funnel (see :mod:`manygate.funnel`).

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
    def _is_whole(self) -> Task:
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
    def columns(self) -> tuple[str, ...]:
        """Columns needed to know this task's label and mask."""
        return tuple(dict.fromkeys([self.column, *(clause.column for clause in self.clauses)]))

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
                problems += error.problems
        raise_all(problems)
        return tasks


def joint_name(task: Task, tasks: Sequence[Task]) -> str:
    """The name of a task's joint event: the names of the steps up to it.

    >>> joint_name(Task(name="buy", after="click"), [Task(name="click")])
    'click_buy'
    """
    before = next((other for other in tasks if other.name == task.after), None)
    return task.name if before is None else f"{joint_name(before, tasks)}_{task.name}"


class Schema(_Frozen):
    """What each column of a log means.

    Shapes that follow from it: ``T = len(tasks)`` and one input per feature. ``group`` (a user or a query) serves GAUC, splits
    and honest intervals; ``time`` serves splits; ``weight`` is a row's weight in losses and metrics.

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
            problems.append("tasks: the schema names no task. Add at least one, for example --task click.")
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
        return cls.from_yaml(read_text(path), str(path))

    @classmethod
    def infer(cls, source: Any, tasks: Any, **roles: Any) -> Schema:
        """Infer the schema of a log; see :func:`manygate.data.infer.infer_schema`."""
        from manygate.data.infer import infer_schema

        return infer_schema(source, tasks, **roles)

    def _repr_html_(self) -> str:
        from html import escape

        rows: list[tuple[str, str, str, str]] = [(f.name, f.kind, "bias" if f.bias else "", f.note) for f in self.features]
        rows += [(t.name, f"task, {t.kind}", t.where or "", t.note) for t in self.tasks]
        cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><tr><th>column</th><th>kind</th><th>role</th><th>why</th></tr>{cells}</table>"


def read_text(path: str | Path) -> str:
    """A text file's content, or an :class:`InputError` that names the file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"file {str(path)!r} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"file {str(path)!r} cannot be read as text: {error}.") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a name that is given twice is an error; the last one would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping, or an :class:`InputError` with file, line and column."""
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise InputError(f"{place}: not valid YAML: {getattr(error, 'problem', None) or error}.") from None
    if not isinstance(tree, dict):
        raise InputError(f"{where}: expected 'name: value' lines, found {type(tree).__name__}.")
    return tree


def validated(model: type[Any], tree: Any, where: str) -> Any:
    """Build a pydantic model; every problem becomes one line with its path, value and remedy."""
    try:
        return model.model_validate(tree)
    except InputError as error:
        raise InputError(f"{where}: {problem}" for problem in error.problems) from None
    except ValidationError as error:
        raise InputError(line for detail in _causes(error) for line in _explain(model, detail, where)) from None


def _causes(error: ValidationError) -> list[Any]:
    """The errors without those that only follow: a list is called too short when its parts were refused."""
    details = error.errors()
    places = [detail["loc"] for detail in details]

    def follows(detail: Any) -> bool:
        size = len(detail["loc"])
        return detail["type"] == "too_short" and any(len(place) > size and place[:size] == detail["loc"] for place in places)

    return [detail for detail in details if not follows(detail)]


def _explain(model: type[BaseModel], detail: Any, where: str) -> list[str]:
    path = ".".join(str(step) for step in detail["loc"])
    place = f"{where}: {path}" if path else where
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        options = _options(model, detail["loc"])
        hint = did_you_mean(name, options) or f" Known names: {', '.join(sorted(options))}."
        return [f"{place}: unknown name.{hint}"]
    if detail["type"] == "missing":
        return [f"{place}: required, and absent."]
    if detail["type"] in ("tuple_type", "list_type"):
        return [f"{place}: expected a list; found {detail['input']!r}."]
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, InputError):
        return [f"{where}: {problem}" for problem in cause.problems]
    return [f"{place}: {detail['msg']}; found {detail['input']!r}."]


def _options(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    parts: dict[str, Any] = {"features": Feature, "tasks": Task}
    inner = parts.get(str(location[0]), model) if len(location) > 1 else model
    return list(inner.model_fields)
