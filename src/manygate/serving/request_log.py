"""Keeps a sample of requests and their predictions as Parquet files, in a thread of its own.

A row is a row of a request: its features in the types of training, the predictions beside them as ``predicted.NAME``, and
``request_id``, ``request_time``, ``candidate_id`` and ``model_version``. Once labels are joined to it, ``manygate evaluate`` reads
it as any other log.

Shape suffixes: B rows, L places of a list.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manygate.errors import InputError
from manygate.files import sync, writing
from manygate.scoring.exported_model import ARROW, NULL_ID, PLACE
from manygate.serving.batching import Columns
from manygate.serving.feeds import Feed, Inputs
from manygate.serving.log import Log
from manygate.serving.versions import Version

FILE_ROWS, FILE_SECONDS = 50_000, 60.0
"""A file is written when it has so many rows, or when its first row is so old."""
WAITING = 64
"""The most requests that wait to be written. More are dropped, and the log says how many."""


@dataclass(frozen=True)
class Kept:
    """A request that is kept."""

    id: str
    time: datetime
    version: Version
    feed: Feed
    columns: Columns
    ids: Sequence[Any] | None


class RequestLog:
    """Writes sampled requests.

    Args:
        folder: Where the files go. It is made if it is missing.
        share: The share of requests that are kept.
        log: Where lines of the log go.

    Raises:
        InputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, share: float, log: Log):
        self.folder, self.share, self.log = folder, share, log
        self._random = Random()
        self._waiting: queue.Queue[Kept | None] = queue.Queue(WAITING)
        self._dropped = 0
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied", str(folder))
        self._thread = threading.Thread(target=self._work, name="request log", daemon=True)
        self._thread.start()

    def offer(self, id_: str, version: Version, feed: Feed, columns: Columns, ids: Sequence[Any] | None) -> None:
        """Keep a request with the probability ``share``. It never waits: a request is dropped if too many wait to be written."""
        if feed.rows == 0 or self._random.random() >= self.share:
            return
        try:
            self._waiting.put_nowait(Kept(id_, datetime.now(UTC), version, feed, columns, ids))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        """Collect rows, and write a file when there are enough of them or when they are old enough."""
        batches: list[pa.RecordBatch] = []
        oldest, version = 0.0, ""
        more = True
        while more:
            try:
                kept = self._waiting.get(timeout=1.0)
                more = kept is not None
            except queue.Empty:
                kept = None
            other = kept is not None and kept.version.model_version != version
            rows = sum(batch.num_rows for batch in batches)
            if batches and (not more or other or rows >= FILE_ROWS or time.monotonic() - oldest > FILE_SECONDS):
                self._write(batches)
                batches = []
            if kept is not None:
                oldest = oldest if batches else time.monotonic()
                version = kept.version.model_version
                batches.append(as_rows(kept))

    def _write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Write a file under a temporary name, and rename it. A disk that is full costs the rows, not the server."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path = self.folder / f"requests-{stamp}-{os.getpid()}.parquet"
        draft = path.with_name(f".{path.name}.tmp")
        try:
            with writing(path, draft):
                pq.write_table(pa.Table.from_batches(batches), draft)
                sync(draft)
                draft.replace(path)
        except InputError as error:
            self.log.write("error", "requests not kept", error=str(error))
        if self._dropped:
            self.log.write("warning", "requests dropped", count=self._dropped, reason="the disk is slower than they come")
            self._dropped = 0


def as_rows(kept: Kept) -> pa.RecordBatch:
    """Return the rows of a request as a table has them."""
    inputs, feed = kept.version.inputs, kept.feed
    columns: dict[str, pa.Array] = {name: feature_column(name, entry, feed, inputs) for name, entry in inputs.entries.items()}
    ids = range(feed.rows) if kept.ids is None else kept.ids
    about = {
        "request_id": pa.array([kept.id] * feed.rows, pa.string()),
        "request_time": pa.array([kept.time] * feed.rows, pa.timestamp("us", "UTC")),
        "candidate_id": pa.array([str(id_) for id_ in ids], pa.string()),
        "model_version": pa.array([kept.version.model_version] * feed.rows, pa.string()),
    }
    predicted = {f"predicted.{name}": pa.array(value_B) for name, value_B in kept.columns.items()}
    return pa.record_batch(columns | {name: column for name, column in (about | predicted).items() if name not in columns})


def feature_column(name: str, entry: Mapping[str, Any], feed: Feed, inputs: Inputs) -> pa.Array:
    """Return a feature's values, one for each row, null where they are missing."""
    of_context = bool(entry.get("context"))
    kind = ARROW[entry["type"]]
    value_N = feed.arrays[entry["name"]]
    if entry["kind"] == "bag":
        column = _lists(value_N, feed.arrays[entry["mask"]], kind)
    else:
        null_N = np.isnan(value_N) if entry["type"] == "double" else np.zeros(len(value_N), dtype=bool)
        if "missing" in entry:
            missing, features = inputs.null_columns[of_context]
            null_N = null_N | feed.arrays[str(missing)][:, features.index(name)]
        column = pa.array(value_N.tolist(), kind, mask=null_N) if kind == pa.string() else pa.array(value_N, kind, mask=null_N)
    return column.take(pa.array(feed.arrays[str(inputs.context_row)])) if of_context else column


def _lists(id_BL: np.ndarray, mask_BL: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return padded lists as lists."""
    length_B = (mask_BL != PLACE).sum(axis=1)
    there = mask_BL != PLACE
    ids = pa.array(id_BL[there].tolist(), kind, mask=mask_BL[there] == NULL_ID)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(length_B)]), pa.int32()), ids)
