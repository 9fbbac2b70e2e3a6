"""A log, from its source to encoded rows in three parts: train, valid, test.

Only training rows reach the encoder; bias features are absent from validation and test rows, as they are at serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from manygate.config import DataConfig
from manygate.data.alarms import by_severity, data_alarms, unseen_shares
from manygate.data.column import type_family
from manygate.data.encode import Encoder
from manygate.data.equal_labels import equal_label_warnings
from manygate.data.fingerprint import TableFingerprint, type_word
from manygate.data.fit import fit_encoder
from manygate.data.growth import grow_encoder
from manygate.data.in_order import in_order
from manygate.data.inference.infer import asked_about
from manygate.data.label_counts import LabelCounts, count_labels
from manygate.data.labels import LabelScale
from manygate.data.leaks import LeakScan, Separation, leak_warnings
from manygate.data.log_rows import LogRows, groupless_warnings
from manygate.data.memory import enough_memory, free_memory, gigabytes, memory_size
from manygate.data.part_alarms import part_alarms
from manygate.data.row_store import RowStore
from manygate.data.rows import Rows
from manygate.data.sources import Sources
from manygate.data.split import PARTS, split_log
from manygate.data.statistics import Bag
from manygate.data.target_statistics import chosen_features, fit_target_statistics
from manygate.errors import InputError, raise_all, setting
from manygate.results.evaluation import DataSummary, DataWarning, FeatureSummary, LabelSummary
from manygate.results.log_record import LogRecord
from manygate.schema import Schema, Task
from manygate.text import count_of

IDS_AT_ONCE = 65_536
FINGERPRINT_VERSION = "rows-2"
"""How a fingerprint is computed. Version 1, without a prefix, read a million rows of each part."""
WHILE_ENCODING = 2.0
"""The peak of memory while rows are encoded, in sizes of the encoded rows (benchmarks/fingerprint.py)."""
FEWER_ROWS = (
    f"Give the encoded rows less memory ({setting('memory', '1GiB')}), so that they go to files, use fewer rows, or leave out "
    f"columns with {setting('ignore', 'COLUMN')}."
)
NUMBERS = dict.fromkeys(("whole number", "fraction"), "number")
"""The words of types that may stand for each other: pandas makes fractions of whole numbers where one is null."""
Located: TypeAlias = tuple[str, str, pa.RecordBatch]
"""A part, the location of a batch, and the batch."""
Observe = Callable[[str, pa.RecordBatch], None]
"""Called with a part and each batch of its table."""


@dataclass
class EncodedLog:
    """A fitted encoder and the encoded rows of the three parts."""

    source: str
    encoder: Encoder
    parts: dict[str, LogRows]
    warnings: list[str | DataWarning] = field(default_factory=list)
    record: LogRecord = field(default_factory=partial(LogRecord.of, ()))
    separations: list[Separation] = field(default_factory=list)
    new_ids: dict[str, int] = field(default_factory=dict)
    """The ids that got a row, by feature, if the encoder of a trained network has grown."""

    @property
    def schema(self) -> Schema:
        return self.encoder.schema

    @property
    def in_files(self) -> bool:
        """True if encoded rows are in files."""
        return any(rows.files is not None for rows in self.parts.values())

    def loaded(self) -> EncodedLog:
        """Return the log with all rows in memory. Raises :class:`InputError` if they do not fit."""
        return replace(self, parts={part: rows.loaded() for part, rows in self.parts.items()}) if self.in_files else self

    def fingerprint(self, settings: str) -> str:
        """A digest of settings, schema, encoder and every row that was read, to know a run's data again.

        Rows alone do not suffice: a task's weight or loss, a feature's dim or pooling and the unit of a label leave them as they
        are. Notes and ignored columns are for people, and
        the context of a request is for exported models; they change nothing.
        """
        digest = blake2b(settings.encode(), digest_size=16)
        for text in _schema_and_encoder(self.encoder):
            digest.update(text.encode())
        digest.update(repr((self.record.contents(), {part: len(rows) for part, rows in self.parts.items()})).encode())
        return f"{FINGERPRINT_VERSION}:{digest.hexdigest()}"

    def summary(self) -> DataSummary:
        """Counts for people: rows, labels and features."""
        schema, encoder = self.schema, self.encoder
        counts = {part: count_labels(rows, self.scales) for part, rows in self.parts.items()}
        tasks = {
            task.name: {part: _label_summary(of_tasks[t], task) for part, of_tasks in counts.items()}
            for t, task in enumerate(schema.tasks)
        }
        unseen = {part: unseen_shares(schema, rows) for part, rows in self.parts.items()}
        features = [
            FeatureSummary(
                name=feature.name,
                kind=feature.kind,
                bias=feature.bias,
                rows=encoder.table_rows.get(feature.name),
                columns=encoder.scales[feature.name].units if feature.name in encoder.scales else None,
                null_share=encoder.null_share[feature.name],
                unknown_share=unseen["test"].get(feature.name) if feature.kind == "sparse" else None,
                unknown_shares={part: shares[feature.name] for part, shares in unseen.items() if feature.name in shares},
                note=feature.note,
            )
            for feature in schema.features
        ]
        rows = {part: len(rows) for part, rows in self.parts.items()}
        summary = DataSummary(log=self.source, rows=rows, tasks=tasks, features=features, warnings=[])
        return summary.model_copy(update={"warnings": by_severity([*self.warnings, *data_alarms(summary)])})

    @property
    def scales(self) -> list[LabelScale]:
        """The scales of the labels, in the order of the tasks."""
        return [self.encoder.labels[name] for name in self.schema.task_names]


def _label_summary(counts: LabelCounts, task: Task) -> LabelSummary:
    return LabelSummary(rows=counts.rows, mean=counts.mean, positives=counts.positives if task.kind == "binary" else None)


def _schema_and_encoder(encoder: Encoder) -> Iterator[str]:
    """The schema and all that was fitted, as text: types, scales, labels and the ids of each vocabulary."""
    notes: Any = {"tasks": {"__all__": {"note"}}, "features": {"__all__": {"note", "context"}}, "ignored": True}
    yield encoder.schema.model_dump_json(exclude=notes)
    for scales in (encoder.scales, encoder.labels):
        yield repr({name: asdict(scale) for name, scale in scales.items()})
    yield repr({name: NUMBERS.get(word := type_word(kind), word) for name, kind in encoder.types.items()})
    for name, ids in encoder.number_ids.items():
        yield repr((name, ids.values))
    for name, vocabulary in encoder.vocabularies.items():
        yield repr((name, vocabulary.buckets, len(vocabulary.values)))
        if vocabulary.buckets:
            yield repr((vocabulary.hash, type_family(encoder.types[name])))  # 7 and 7.0 have different hashes
        for first in range(0, len(vocabulary.values), IDS_AT_ONCE):
            yield repr(vocabulary.values.slice(first, IDS_AT_ONCE).to_pylist())


class Shown(Protocol):
    """Shows how far a pass over the rows is."""

    def start(self, title: str, total: int, done: int = 0) -> None:
        """Begin a pass over ``total`` rows."""

    def advance(self, rows: int) -> None:
        """Count further rows."""

    def finish(self) -> None:
        """End the pass."""


def encode_log(
    sources: Sources,
    schema: Schema,
    config: DataConfig,
    threads: int | None = None,
    progress: Shown | None = None,
    known: Encoder | None = None,
) -> EncodedLog:
    """Fit the encoder on the training rows in one pass, and encode every part in a second.

    ``threads`` work on several batches at once (None: one a core). The result does not depend on their number.

    With ``known``, the encoder of a trained network, none is fitted: it grows by the ids of the training rows
    (:mod:`manygate.data.growth`).

    Rows that do not fit in memory go to files: see :mod:`manygate.data.row_store`. Raises :class:`InputError` if the disk has too
    little space for them, or if memory runs out.
    """
    check_columns(sources, schema)
    store = open_store(sources, schema, config)
    with enough_memory(sources.name, FEWER_ROWS):
        return _encode(sources, schema, config, store, threads, progress, known)


def encoded_bytes(schema: Schema, rows: int, number_ids: bool = False, statistics: bool = False) -> int:
    """Estimate the memory that some rows take once they are encoded. A bag counts as one id, as its length is not known.

    With ``number_ids`` every number counts as an id, too. With ``statistics`` there is a number for each feature of ids and task.

    >>> from manygate.schema import Feature, Task
    >>> features = (Feature(name="item", kind="sparse"), Feature(name="age", kind="dense"))
    >>> encoded_bytes(Schema(features=features, tasks=(Task(name="click"),)), 1_000_000)
    16000000
    """
    bags = sum(feature.kind == "bag" for feature in schema.features)
    numbers = sum(feature.kind == "dense" and not feature.bias for feature in schema.features) if number_ids else 0
    features, tasks = len(schema.features) - bags + numbers, len(schema.tasks)
    ids = sum(feature.kind != "dense" and not feature.bias for feature in schema.features) + numbers
    return rows * (4 * features + 12 * bags + 8 * tasks + (8 if schema.group else 0) + 4 * ids * tasks * statistics)


def open_store(sources: Sources, schema: Schema, config: DataConfig) -> RowStore:
    """Return the place for the encoded rows: files from the start if the rows are known not to fit in memory.

    CSV files do not tell how many rows they hold. Then rows go to files once they take too much memory.
    """
    rows = sum(table.count() or 0 for _, table in sources.named())
    needed = encoded_bytes(schema, rows, bool(config.number_ids), bool(config.target_statistics))
    limit = free_memory() / WHILE_ENCODING if config.memory is None else memory_size(config.memory)
    store = RowStore(PARTS, limit, Path(config.rows_folder) if config.rows_folder else None)
    if needed > limit:
        store.spill(needed)
    return store


def _shown(batches: Iterator[Located], title: str, progress: Shown | None, rows: int | None) -> Iterator[Located]:
    """Show how far the batches are. Without a number of ``rows``, as of CSV files, nothing is shown."""
    if progress is None or not rows:
        yield from batches
        return
    progress.start(title, rows)
    for located in batches:
        yield located
        progress.advance(located[-1].num_rows)
    progress.finish()


def _encode(
    sources: Sources,
    schema: Schema,
    config: DataConfig,
    store: RowStore,
    threads: int | None,
    progress: Shown | None,
    known: Encoder | None,
) -> EncodedLog:
    for part, table in sources.named() if known else ():
        known.check(table.arrow_schema, table.name, part_columns(schema, part), table.mismatches)  # type: ignore[union-attr]
    counts = [table.count() for _, table in sources.named()]
    total = None if None in counts else sum(count for count in counts if count is not None)
    batches = _shown(log_batches(sources, schema, config), "fitting the encoder", progress, total)
    training = ((location, batch) for part, location, batch in batches if part == "train")
    new: dict[str, int] = {}
    if known is None:
        encoder = fit_encoder(schema, config, training, config.shuffle_seed, threads)
    else:
        encoder, new = grow_encoder(known, config, training)
    for part, table in sources.named()[1:]:
        encoder.check(table.arrow_schema, table.name, part_columns(schema, part), table.mismatches)
    fingerprints = {part: TableFingerprint() for part, _ in sources.named()}
    scan = LeakScan(encoder)

    def encode(located: tuple[str, str, pa.RecordBatch]) -> tuple[str, Rows]:
        part, location, batch = located
        return part, encoder.encode(batch, location, bias=part == "train")

    read = log_batches(sources, schema, config, lambda part, batch: fingerprints[part].add(batch))
    for part, rows in in_order(encode, _shown(read, "encoding", progress, total), threads):
        store.add(part, rows)
        if part == "train":
            scan.add(rows)
    locations = dict.fromkeys(PARTS, sources.train.name) | {part: table.name for part, table in sources.named()}
    raise_all(f"{locations[part]}: there are no {part} rows. Check what wrote it." for part in PARTS if not store.counts[part])
    log = EncodedLog(sources.name, encoder, store.rows(), new_ids=new)
    log.record = LogRecord.of([fingerprints[part].record(part, table) for part, table in sources.named()])
    labels = {part: count_labels(rows, log.scales) for part, rows in log.parts.items()}
    raise_all(label_problems(schema, {part: len(rows) for part, rows in log.parts.items()}, labels, locations))
    log.separations = scan.results()
    if known is None:
        _add_target_statistics(log, config)
    log.warnings += [*leak_warnings(log.separations), *sources.questions, *equal_label_warnings(schema, log.parts["train"])]
    column = {"time": schema.time, "group": schema.group}.get(config.split)
    log.warnings += part_alarms(schema, log.parts, split_shares(sources, config), column)
    log.warnings += sources.unread
    for _, table in sources.named():
        log.warnings += table.warnings_of(asked_about(schema, table))
    log.warnings += encoder.warnings + groupless_warnings(schema.group, {part: log.parts[part] for part in ("valid", "test")})
    return log


def _add_target_statistics(log: EncodedLog, config: DataConfig) -> None:
    """Fit target statistics on the training rows, and append them to the numbers of all rows. Not every log has some."""
    encoder, train, tasks = log.encoder, log.parts["train"], log.schema.tasks

    def bags_of(rows: Rows) -> dict[str, Bag]:
        return encoder.bags_of(rows.id_BS, rows.bags)

    sizes = {name: encoder.table_rows[name] for name in bags_of(train.part(0, 1))}
    chosen = chosen_features(train, bags_of, sizes, len(tasks), config.target_statistics)
    if not chosen:
        return
    _check_room_for_statistics(log, len(chosen) * len(tasks))
    fitted = fit_target_statistics(train, bags_of, {name: sizes[name] for name in chosen}, tasks, config.shuffle_seed)
    encoder.statistics = fitted.statistics
    for part, rows in log.parts.items():

        def widened(start: int, chunk: Rows, training: bool = part == "train") -> Rows:
            bags, count = bags_of(chunk), len(chunk)
            added = fitted.columns(start, bags, count) if training else fitted.statistics.columns(bags, count)
            return replace(chunk, number_BM=np.concatenate([chunk.number_BM, added], axis=1))

        log.parts[part] = rows.changed(widened)


def _check_room_for_statistics(log: EncodedLog, columns: int) -> None:
    """Raise an :class:`InputError` if rows in memory leave no room for target statistics."""
    held = [rows for rows in log.parts.values() if rows.files is None]
    total = sum(map(len, held))
    size, free = sum(4 * len(rows) * (rows.part(0, 1).number_BM.shape[1] + 2 * columns) for rows in held), free_memory()
    if size > free:
        raise InputError(
            f"{setting('target_statistics')}: the mean labels of ids need about {gigabytes(size)} of memory for {total:,} rows, "
            f"and {gigabytes(free)} are free. Give {setting('target_statistics', False)}, fewer rows, or less memory for the rows "
            f"({setting('memory')}), so that they go to files."
        )


def part_columns(schema: Schema, part: str) -> list[str]:
    """Columns to read of a part's own table; validation and test rows may lack the bias features."""
    columns = schema.columns if part == "train" else schema.evaluated_columns
    return [column for column in columns if column != schema.time]


def check_columns(sources: Sources, schema: Schema) -> None:
    purposes = {column: purpose for task in schema.tasks for column, purpose in task.purposes.items()}
    purposes |= dict.fromkeys(schema.label_columns, "a label")
    problems = []
    for part, table in sources.named():
        for column in part_columns(schema, part):
            problems += table.missing([column], purposes.get(column, "named in the schema"))
    raise_all(problems)


def log_batches(sources: Sources, schema: Schema, config: DataConfig, observe: Observe | None = None) -> Iterator[Located]:
    """Every row of the log, as (part, location, batch). ``observe`` is called with each batch before it is divided into parts."""
    for part, table in sources.named()[1:]:
        for location, batch in table.batches(part_columns(schema, part)):
            if observe is not None:
                observe(part, batch)
            yield part, location, batch
    shares = split_shares(sources, config)
    if shares and config.split == "progressive":
        raise InputError(
            f"{setting('split', 'progressive')}: such a run trains on every day of the log but the last, so there are no "
            f"validation rows. Give labelled rows that trained nothing, or another {setting('split')}."
        )
    if not shares:
        for location, batch in sources.train.batches(part_columns(schema, "train")):
            if observe is not None:
                observe("train", batch)
            yield "train", location, batch
        return
    raise_all(
        f"there are no {part} rows: its share in {setting('fractions')} is 0. Give "
        f"it a share, or rows of its own with {setting(part)}."
        for part, share in shares.items()
        if not share
    )
    assert config.split != "progressive"
    columns = part_columns(schema, "train")
    whole = None if observe is None else partial(observe, "train")
    fractions = [shares.get(part, 0.0) for part in PARTS]
    parts = split_log(sources.train, config.split, fractions, config.shuffle_seed, schema, columns, observe=whole)
    for location, batch, part_B in parts:
        for index in np.unique(part_B):
            yield PARTS[index], location, batch.filter(pa.array(part_B == index))


def split_shares(sources: Sources, config: DataConfig) -> dict[str, float]:
    """The shares by which the training table is divided, of the parts without a table; empty if every part has one."""
    given = {"train": None, "valid": sources.valid, "test": sources.test}
    absent = {part: share for part, share in zip(PARTS, config.fractions, strict=True) if given[part] is None}
    return {} if list(absent) == ["train"] else {part: share / sum(absent.values()) for part, share in absent.items()}


def label_problems(
    schema: Schema, rows: Mapping[str, int], counts: Mapping[str, Sequence[LabelCounts]], locations: Mapping[str, str]
) -> list[str]:
    """Tasks that cannot be learned or judged, with the part and the remedy.

    Of each part, ``rows`` is the number of rows, ``counts`` has those of the tasks' labels, and ``locations`` the place.
    """
    problems = []
    for t, task in enumerate(schema.tasks):
        space = f" where {task.where}" if task.where else ""
        space = f" after {task.after}{space}" if task.after else space
        for part in counts:
            count = counts[part][t]
            if not count.rows:
                problems.append(
                    f"{locations[part]}: task {task.name!r} has no labelled row{space} in {part} ({count_of(rows[part], 'row')}): "
                    f"label {task.column!r} is null there, outside the sample space, or of weight 0. Check 'where' and 'weight', "
                    f"or give {part} more rows."
                )
            elif task.kind == "binary" and count.constant:
                problems.append(
                    f"{locations[part]}: label {task.column!r} of task {task.name!r} is always {count.smallest:g} in {part} "
                    f"({count.rows:,} labelled rows), so it can be neither learned nor judged. "
                    f"Give {part} more rows, split otherwise ({setting('split')}, {setting('fractions')}), or drop the task."
                )
            elif task.kind == "regression" and count.constant:
                problems.append(
                    f"{locations[part]}: label {task.column!r} of task {task.name!r} is constant in {part} "
                    f"({count.rows:,} labelled rows). Give {part} more rows, or drop the task."
                )
    return problems
