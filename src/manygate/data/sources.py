"""Opens the parts of a log and finds its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from manygate.config import CsvConfig, DataConfig
from manygate.data.formats.part_paths import part_paths, unread_data
from manygate.data.inference.infer import IGNORED_BY_USER, infer_with_questions
from manygate.data.split import PARTS
from manygate.data.table import Table, open_table
from manygate.errors import InputError, did_you_mean, raise_all, setting
from manygate.results.evaluation import DataWarning
from manygate.schema import Feature, Schema, Task
from manygate.schema.reading import validated


@dataclass
class Sources:
    """The tables of a log: ``train`` may be the whole of it, to be split."""

    train: Table
    valid: Table | None = None
    test: Table | None = None
    schema_file: Path | None = None
    folder: Path | None = None
    unread: list[str] = field(default_factory=list)
    """What of the folder is not read."""
    questions: list[DataWarning] = field(default_factory=list)
    """What the schema that was inferred leaves to someone who knows the log."""

    @property
    def name(self) -> str:
        """The log as people know it."""
        return str(self.folder) if self.folder else self.train.name

    def named(self) -> list[tuple[str, Table]]:
        """(part, table) of the tables there are."""
        pairs = zip(PARTS, (self.train, self.valid, self.test), strict=True)
        return [(part, table) for part, table in pairs if table is not None]


def open_sources(
    log: Any, config: DataConfig, valid: Any = None, test: Any = None, types: Mapping[str, pa.DataType] | None = None
) -> Sources:
    """Find a log's tables. A folder with train, valid (val, validation, dev) and test in it is read as these parts.

    ``types`` are those of training; without them CSV files of the other parts are read in the types of the training part.

    >>> import pyarrow as pa
    >>> open_sources(pa.table({"a": [1]}), DataConfig()).train.name
    'Table (pyarrow)'
    """
    valid, test = valid if valid is not None else config.valid, test if test is not None else config.test
    parts: dict[str, list[Path]] = {}
    schema_file = None
    warnings: list[str] = []
    if isinstance(log, str | Path) and Path(log).is_dir():
        parts = part_paths(Path(log), [part for part, table in (("valid", valid), ("test", test)) if table is not None])
        warnings = unread_data(Path(log), parts) if parts else []
        schema_file = Path(log) / "schema.yaml" if (Path(log) / "schema.yaml").is_file() else None
    tables: dict[str, Table | None] = {}
    problems: list[str] = []
    for part, source in (("train", parts.get("train", log)), ("valid", valid), ("test", test)):
        chosen = source if source is not None else parts.get(part)
        try:
            tables[part] = None if chosen is None else open_table(chosen, types, config)
            if types is None and part == "train" and (table := tables[part]) is not None:
                types = {field.name: field.type for field in table.arrow_schema}
                problems += table.missing(config.kinds, f"named by {setting('types')}")
        except InputError as error:
            problems += error.marked
    raise_all(problems)
    train = tables["train"]
    if train is None:
        raise InputError("no log is given. Give a path (a file, folder or glob) or a dataframe.")
    return Sources(train, tables["valid"], tables["test"], schema_file, Path(log) if parts else None, warnings)


def unused_settings(csv: CsvConfig, tables: Sequence[Table]) -> list[str]:
    """The problems of settings of CSV files for tables that are none; ``types`` holds for every table.

    A trained model keeps its settings for logs of every format; they are a problem where they are given for this log.
    """
    given = {name: getattr(csv, name) for name in CsvConfig.model_fields if name != "types"}
    if any(table.is_csv for table in tables):
        return []
    return [
        f"{setting(name)}: a setting of CSV files, and the log has none. Leave it out."
        for name, value in given.items()
        if value not in (None, ())
    ]


def find_schema(sources: Sources, config: DataConfig, schema: Schema | str | Path | None = None) -> Schema:
    """The schema given, or of ``config.schema_file``, or beside the log, or inferred; ``config.task`` chooses its tasks.

    What an inferred schema leaves open goes to ``sources.questions``.
    """
    if isinstance(schema, str | Path):
        schema = Schema.load(schema)
    if schema is not None and not isinstance(schema, Schema):
        raise InputError(f"schema: expected a Schema or the path of its YAML, found {type(schema).__name__}.")
    if schema is None and (config.schema_file or sources.schema_file):
        schema = Schema.load(config.schema_file or sources.schema_file)  # type: ignore[arg-type]
    if schema is None:
        if not config.task:
            known = ", ".join(sources.train.column_names[:30])
            raise InputError(f"no label to predict is named. Name at least one with {setting('task', 'NAME')}. Columns: {known}.")
        inferred = infer_with_questions(sources.train, list(config.task), **_roles(config))
        sources.questions = inferred.questions
        return inferred.schema
    schema = _with_tasks(schema, config.task) if config.task else schema
    return _with_roles(schema, config, sources.train)


def _roles(config: DataConfig) -> dict[str, Any]:
    return {role: getattr(config, role) for role in ("weight", "group", "time", "bias", "context", "ignore")}


def _with_roles(schema: Schema, config: DataConfig, table: Table) -> Schema:
    """The settings' roles over those of a schema file."""
    given = {role: column for role, column in _roles(config).items() if column and role not in ("bias", "context", "ignore")}
    table.require([*given.values(), *config.bias, *config.context, *config.ignore], "named in the settings")
    dropped = {*config.ignore, given.get("weight")}
    features = tuple(
        validated(Feature, {**dict(feature), "bias": feature.bias or feature.name in config.bias}, "schema")
        for feature in schema.features
        if feature.name not in dropped
    )
    ignored = schema.ignored | dict.fromkeys(config.ignore, IGNORED_BY_USER[1])
    with_roles: Schema = validated(Schema, {**dict(schema), **given, "features": features, "ignored": ignored}, "schema")
    return with_roles.with_context(config.context, setting("context"))


def _with_tasks(schema: Schema, specs: tuple[str | Task, ...]) -> Schema:
    tasks: list[Task] = []
    problems: list[str] = []
    for spec in specs:
        if isinstance(spec, Task):
            tasks.append(spec)
        elif spec in schema.task_names:
            tasks.append(schema.tasks[schema.task_names.index(spec)])
        elif ":" in spec:
            try:
                tasks.append(Task.parse(spec))
            except InputError as error:
                problems += error.marked
        else:
            problems.append(
                f"task {spec!r} is not in the schema.{did_you_mean(spec, schema.task_names)} Its tasks: "
                f"{', '.join(schema.task_names)}; add others there, or write them out as {spec}:kind=binary."
            )
    raise_all(problems)
    labels = {task.column for task in tasks}
    features = tuple(feature for feature in schema.features if feature.name not in labels)
    chosen: Schema = validated(Schema, {**dict(schema), "tasks": tuple(tasks), "features": features}, setting("task"))
    return chosen
