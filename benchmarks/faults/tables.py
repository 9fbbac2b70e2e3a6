"""Hostile tables: ``manygate train`` and ``predict`` on each. Run: python benchmarks/faults/tables.py

A table that is accepted must give a prediction between 0 and 1 for each of its rows. A table that says the same as the base table
in another form must give its predictions. A table that cannot be right must be refused.
"""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from attempts import TINY, Tally, call, work_folder, write_base
from hostile_files import file_tables
from hostile_tables import BAD, GOOD, SAME, Table, tables

FIELD = 1e-5


def train(log: Path, out: Path, table: Table) -> list[str]:
    """Return the words of a call that trains on a table."""
    ids = ["--types", "user=text"] if table.user_as_text else []
    return ["train", str(log), "--task", table.task, *TINY, "--min-count", "1", "--out", str(out), *ids]


def predictions(path: Path) -> np.ndarray:
    column = pq.read_table(path).column(0)
    return column.to_numpy()


def judge(table: Table, folder: Path, base: np.ndarray) -> tuple[str, list[str]]:
    """Try a table, and return what became of it, and what no table may do."""
    log = table.write(folder)
    beside = folder.with_name(f"{folder.name}-of")  # what is written into the folder of a log is read as a part of it
    beside.mkdir()
    trained = call(*train(log, beside / "run", table))
    problems = trained.problems()
    if not trained.accepted:
        if table.expected in (GOOD, SAME):
            problems.append(f"a sound table is refused: {trained.err.strip()[-300:]}")
        return "refused", problems
    if table.expected == BAD:
        problems.append("a table that cannot be right is accepted")
    scored = call("predict", beside / "run", log, "--out", beside / "s.parquet")
    problems += scored.problems()
    if not scored.accepted:
        return "trained", [*problems, f"trained and not scored: {scored.err.strip()[-300:]}"]
    score_N = predictions(beside / "s.parquet")
    if not np.isfinite(score_N).all() or (table.binary and ((score_N < 0) | (score_N > 1)).any()):
        problems.append("a prediction is no probability")
    if table.rows is not None and len(score_N) != table.rows:
        problems.append(f"{len(score_N)} predictions for {table.rows} rows")
    if table.expected == SAME and (len(score_N) != len(base) or np.abs(score_N - base).max() > FIELD):
        problems.append("the same rows in another form have other predictions")
    return "accepted", problems


def main() -> None:
    tally, work = Tally.from_arguments("hostile tables"), work_folder()
    write_base(work / "base/log.parquet")
    whole = Table("base", GOOD, lambda folder: folder / "log.parquet")
    assert call(*train(work / "base/log.parquet", work / "base/run", whole)).accepted
    assert call("predict", work / "base/run", work / "base/log.parquet", "--out", work / "base/s.parquet").accepted
    base = predictions(work / "base/s.parquet")
    for number, table in enumerate(chain(tables(), file_tables())):
        if tally.chooses(table.name):
            folder = work / f"{number:03d}"
            folder.mkdir()
            tally.add(table.name, *judge(table, folder, base))
            for made in (folder, folder.with_name(f"{folder.name}-of")):
                shutil.rmtree(made, ignore_errors=True)
    tally.finish()


if __name__ == "__main__":
    main()
