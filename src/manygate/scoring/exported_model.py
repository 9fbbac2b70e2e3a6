"""A model that was exported: a folder with a graph for ONNX Runtime, which takes raw features. Nothing here needs torch.

The folder holds ``model.onnx``, ``weights.bin`` (the large tensors, which ONNX Runtime maps into memory) and ``manifest.json`` with
the sha256 of both, the inputs, the outputs and the schema. :mod:`manygate.export` writes it, and says what the inputs are.

Shape suffixes: B rows, X rows or contexts, S ids, L places of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.config import CsvConfig
from manygate.data.column import as_ids, as_numbers, numbers_for_text, type_change
from manygate.data.formats.part_paths import refuse_parts
from manygate.data.table import Table, open_table
from manygate.data.type_names import type_named
from manygate.data.types import cast, normal_field
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.files import check_manifest, read_json

EXPORT_VERSION = 2
MODEL_FILE, WEIGHTS_FILE = "model.onnx", "weights.bin"
INSTALL = "an exported model needs ONNX Runtime. Install it with: pip install 'manygate[export]'"
PLACE, ID, NULL_ID = 0, 1, 2
"""The values of a list's mask: a place that is filled up, an id, and a null id."""
FILL: dict[str, Any] = {"string": "", "int64": 0, "bool": False, "double": np.nan}
"""The value of each type of input that stands where there is none."""
MOST_ROWS = 1024
"""The rows that are predicted at once. More need memory for all their intermediate results, and for longer lists."""
ARROW: dict[str, pa.DataType] = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_(), "double": pa.float64()}


class ExportedModel:
    """Predicts raw rows with ONNX Runtime.

    ``manifest`` is the content of ``manifest.json``. ``output_names`` are the columns that :meth:`columns` returns.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], session: Any):
        self.folder, self.manifest, self.session = folder, manifest, session
        self.csv: CsvConfig | None = None
        self._checked: tuple[pa.Schema, ...] = ()
        self.output_names: list[str] = [output["name"] for output in manifest["outputs"]]

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> ExportedModel:
        """Read a folder after checking every file against the manifest. ``threads`` is the number of CPU threads of a prediction.

        Raises :class:`InputError` if the folder is not an exported model, is of another version, or has changed.
        """
        folder = Path(path)
        if not (folder / "manifest.json").is_file():
            raise InputError(
                f"{folder}: no exported model here (no manifest.json). Make one with: manygate export RUN --out {folder}"
            )
        manifest = check_manifest(folder)
        version = manifest.get("export_version")
        if version != EXPORT_VERSION:
            what = "not an exported model" if version is None else f"export version {version!r}"
            raise InputError(
                f"{folder}: {what}, and this manygate reads export version {EXPORT_VERSION}. "
                "Export the run again with: manygate export RUN"
            )
        return cls(folder, manifest, open_session(folder / MODEL_FILE, threads))

    @cached_property
    def features(self) -> list[str]:
        """The columns that the rows must have."""
        return [entry["feature"] for entry in self.manifest["inputs"]]

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks."""
        return [output["name"] for output in self.manifest["outputs"] if output["kind"] in ("binary", "regression")]

    @property
    def csv_settings(self) -> CsvConfig:
        """The settings with which CSV files were read in training. ``csv`` holds those that are given over them."""
        trained = CsvConfig.model_validate(self.manifest["csv"])
        return self.csv.over(trained) if self.csv else trained

    def open(self, source: Any) -> Table:
        """Open a table to score: CSV files in the types and with the settings of training."""
        if isinstance(source, str | Path):
            refuse_parts(source)
        types = {name: type_named(kind) for name, kind in self.manifest["types"].items()}
        return open_table(source, types, self.csv_settings)

    def score(
        self, table: Table, keep: Sequence[str] = (), observe: Callable[[pa.RecordBatch, Any], None] | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (location in the source, predictions) for each batch of a table, with the columns ``keep`` before them.

        ``observe`` is never called, because the rows are encoded inside the graph.
        """
        raise_all(table.missing(dict.fromkeys([*self.features, *keep]), "needed to predict"))
        for location, batch in table.batches(list(dict.fromkeys([*self.features, *keep]))):
            kept = {name: batch.column(name) for name in keep}
            yield location, pa.record_batch(kept | {name: pa.array(v) for name, v in self.columns(batch, location).items()})

    def columns(
        self,
        batch: pa.RecordBatch,
        location: str = "rows",
        context: pa.RecordBatch | None = None,
        context_row: Sequence[int] | np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Predict a batch: one column (B,) float64 for each output. ``context`` and ``context_row`` as in :meth:`feed`.

        Raises :class:`InputError` that names ``location`` and the column if a column or a value cannot be read.
        """
        parts = [
            self._predicted(self._inputs(part), location) for part in self._read(batch, location, context, context_row).parts()
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.output_names}

    def _predicted(self, feed: Mapping[str, np.ndarray], location: str) -> dict[str, np.ndarray]:
        try:
            values = self.session.run(self.output_names, feed)
        except Exception as error:  # the library has errors of many kinds, without a common class of its own
            raise InputError(f"{location}: ONNX Runtime cannot predict them ({_in_one_line(error)}).") from error
        return dict(zip(self.output_names, values, strict=True))

    def feed(
        self,
        batch: pa.RecordBatch,
        location: str = "rows",
        context: pa.RecordBatch | None = None,
        context_row: Sequence[int] | np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Turn a batch into the inputs of the graph.

        Args:
            batch: The candidates. Without ``context``, it has the context features, too, and each row has a context of its own.
            location: What errors call the batch.
            context: The context features, one row for each context.
            context_row: The row of ``context`` that each candidate belongs to. It may be left out if there is one context.

        Raises:
            InputError: Columns are missing, or their values cannot be those of training (one error lists them all). Or the rows of
                the context are none.
        """
        return self._inputs(self._read(batch, location, context, context_row))

    def _read(self, batch: pa.RecordBatch, location: str, context: pa.RecordBatch | None, context_row: Any) -> _Request:
        """Check the columns of a request, and return them in the types that stand for all encodings of their values."""
        own, shared = self._entries
        if context is not None and self.manifest["context"] is None:
            raise InputError(
                f"{location}: this model has no context features. Export it again with: manygate export --context NAME"
            )
        if self.manifest["context"] is None:
            row_B = None
        else:
            row_B = np.arange(batch.num_rows) if context is None else _context_row(batch, context, context_row, location)
        source, where = (batch, location) if context is None else (context, f"{location}, context")
        self._check(((own, batch, location), (shared, source, where)))
        return _Request(_plain(batch, own, location), _plain(source, shared, where), row_B, location, where)

    @cached_property
    def _entries(self) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """The inputs that rows hold, and those that contexts hold."""
        entries = self.manifest["inputs"]
        return [entry for entry in entries if not entry.get("context")], [entry for entry in entries if entry.get("context")]

    def _check(self, sides: Sequence[tuple[Sequence[Mapping[str, Any]], pa.RecordBatch, str]]) -> None:
        """Raise an :class:`InputError` with the problems of all columns. The columns of the last request are not checked again."""
        schemas = tuple(batch.schema for _, batch, _ in sides)
        if len(self._checked) == len(schemas) and all(
            schema.equals(checked, check_metadata=True) for schema, checked in zip(schemas, self._checked, strict=True)
        ):
            return
        raise_all(
            problem
            for entries, batch, location in sides
            for entry in entries
            if (problem := _column_problem(batch.schema, entry, location))
        )
        self._checked = schemas

    def _inputs(self, request: _Request) -> dict[str, np.ndarray]:
        """Return the inputs of the graph."""
        (own, shared), context = self._entries, self.manifest["context"]
        feed = _filled(self.manifest["missing"], own, request.rows, request.location)
        if context is not None and request.context_row is not None:
            missing = {"name": context["missing"], "features": context["features"]}
            feed |= _filled(missing, shared, request.contexts, request.where)
            feed[context["row"]] = request.context_row
        return feed


@dataclass(frozen=True)
class _Request:
    """Columns that were checked: those of the candidates, and those of their contexts."""

    rows: pa.RecordBatch
    contexts: pa.RecordBatch
    context_row: np.ndarray | None
    """The context of each row, or None if the model has no context features."""
    location: str
    where: str
    """What errors call the contexts."""

    def parts(self) -> Iterator[_Request]:
        """Yield the request in parts of :data:`MOST_ROWS` rows, each with the contexts of its rows."""
        if self.rows.num_rows <= MOST_ROWS:
            yield self
            return
        for start in range(0, self.rows.num_rows, MOST_ROWS):
            rows = self.rows.slice(start, MOST_ROWS)
            if self.context_row is None:
                yield replace(self, rows=rows)
                continue
            read_C, row_B = np.unique(self.context_row[start : start + MOST_ROWS], return_inverse=True)
            yield replace(self, rows=rows, contexts=self.contexts.take(pa.array(read_C)), context_row=row_B)


def is_exported(path: Path) -> bool:
    """Return whether a path is the folder of an exported model, of any version. A manifest that cannot be read says nothing."""
    try:
        tree = read_json(path / "manifest.json")
    except InputError:
        return False
    return isinstance(tree, dict) and "export_version" in tree


def open_session(path: Path, threads: int | None = None) -> Any:
    """Return a session of ONNX Runtime. Without the library, raise an :class:`InputError` with the install command."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError(INSTALL) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, too
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has errors of many kinds, without a common class of its own
        raise InputError(f"{path}: ONNX Runtime cannot load it ({_in_one_line(error)}). Export the run again.") from None


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _column_problem(schema: pa.Schema, entry: Mapping[str, Any], location: str) -> str | None:
    """Return the problem of an input's column: it is missing or there twice, or its type is unlike that of training."""
    name, times = entry["feature"], schema.names.count(entry["feature"])
    if times != 1:
        hint = f"is missing.{did_you_mean(name, schema.names)}" if not times else "is there twice. Rename or drop one."
        return f"{location}: column {name!r} (needed to predict) {hint}"
    if entry["kind"] == "fused":
        return None
    given, fitted = normal_field(schema.field(name)), type_named(entry["fitted"])
    fitted = pa.list_(fitted) if entry["kind"] == "bag" else fitted
    ids = None if entry["kind"] == "dense" else pa.array([0 if entry["true_and_false"] else 2])
    problem = type_change(name, given, fitted, ids, location)
    if problem is None and "unlike_numbers" in entry:
        return numbers_for_text(name, given, fitted, entry["unlike_numbers"], location)
    return problem


def _column(batch: pa.RecordBatch, name: str, location: str) -> pa.Array:
    """Return a column in the type that stands for all encodings of its values, as a table has it."""
    field, column = batch.schema.field(name), batch.column(name)
    try:
        column.validate(full=True)
        return cast(column, normal_field(field), field)
    except pa.ArrowException as error:
        raise InputError(f"{location}: column {name!r} ({column.type}) cannot be read: {error}. Write it again.") from None


def _plain(batch: pa.RecordBatch, entries: Sequence[Mapping[str, Any]], location: str) -> pa.RecordBatch:
    """Return the columns of some inputs in the types that stand for all encodings of their values. Each row stays."""
    names = [entry["feature"] for entry in entries]
    columns = [_column(batch, name, location) for name in names]
    return pa.RecordBatch.from_arrays(columns, names) if names else batch.select([])


def _filled(
    missing: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], batch: pa.RecordBatch, location: str
) -> dict[str, np.ndarray]:
    """Return the inputs of some features, and their input for nulls."""
    feed: dict[str, np.ndarray] = {}
    missing_XS = np.zeros((batch.num_rows, len(missing["features"])), dtype=bool)
    for entry in entries:
        name, column = entry["name"], batch.column(entry["feature"])
        if entry["kind"] in ("dense", "fused"):
            feed[name] = as_numbers(column, entry["feature"], location)
        elif entry["kind"] == "bag":
            feed[name], feed[entry["mask"]] = _padded(column, entry, location)
        else:
            feed[name], null_X = _ids(column, entry, location)
            if "missing" in entry:
                missing_XS[:, entry["missing"]] = null_X
    return feed | ({missing["name"]: missing_XS} if missing["features"] else {})


def _context_row(batch: pa.RecordBatch, context: pa.RecordBatch, row: Any, location: str) -> np.ndarray:
    """Return the context of each candidate, (B,) int64."""
    contexts = context.num_rows
    if row is None and contexts != 1:
        raise InputError(f"{location}: {contexts} contexts are given. Give context_row, too: the context of each candidate.")
    row_B = np.zeros(batch.num_rows, dtype=np.int64) if row is None else np.asarray(row)
    if row_B.shape != (batch.num_rows,) or row_B.dtype.kind not in "iu":
        raise InputError(
            f"{location}: context_row must be {batch.num_rows} whole numbers, one for each candidate; found {row_B.dtype} of the "
            f"shape {row_B.shape}."
        )
    if len(row_B) and not 0 <= row_B.min() <= row_B.max() < contexts:
        raise InputError(f"{location}: context_row must lie between 0 and {contexts - 1}; found {row_B.min()} to {row_B.max()}.")
    return row_B.astype(np.int64)


def _ids(values: pa.Array, entry: Mapping[str, Any], location: str) -> tuple[np.ndarray, np.ndarray]:
    """Return ids in the type of the input, and where they are null."""
    ids, unseen_N = as_ids(values, type_named(entry["fitted"]), entry["feature"], location)
    null_N = pc.is_null(ids).to_numpy(zero_copy_only=False)
    if unseen_N is not None:
        null_N &= ~unseen_N
    kind = entry["type"]
    fill = pa.scalar(FILL[kind], ARROW[kind])
    array_N = pc.fill_null(ids.cast(ARROW[kind]), fill).to_numpy(zero_copy_only=False)
    if unseen_N is not None:
        if "unseen" not in entry:
            raise InputError(
                f"{location}: column {entry['feature']!r} holds {values.type}, of which some values cannot be ids of "
                f"{entry['fitted']}. Write the ids with the type of training."
            )
        array_N = np.where(unseen_N, np.array(entry["unseen"], array_N.dtype), array_N)
    return array_N, null_N


def _padded(lists: pa.Array, entry: Mapping[str, Any], location: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of lists, filled up to the longest one, and the mask; both (B, L)."""
    if pa.types.is_null(lists.type):
        lists = lists.cast(pa.list_(ARROW[entry["type"]]))
    id_n, null_n = _ids(pc.list_flatten(lists), entry, location)
    length_B = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    place_BL = np.arange(int(length_B.max(initial=0))) < length_B[:, None]
    id_BL = np.full(place_BL.shape, FILL[entry["type"]], id_n.dtype)
    mask_BL = np.full(place_BL.shape, PLACE, np.uint8)
    id_BL[place_BL], mask_BL[place_BL] = id_n, np.where(null_n, NULL_ID, ID)
    return id_BL, mask_BL


def ids_unlike(known: Sequence[Any], kind: str) -> Any:
    """Return a value that is no known id.

    >>> ids_unlike([0, 1, 3], "int64"), ids_unlike(["", "-"], "string")
    (2, '--')
    """
    taken = set(known)
    if kind == "string":
        return next(text for n in range(len(taken) + 1) if (text := "-" * n) not in taken)
    return next(number for number in range(len(taken) + 1) if number not in taken)
