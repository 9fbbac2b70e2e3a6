"""Logs of several experiments, which need this folder on PYTHONPATH: each is three tables (train, valid, test) and a schema."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

import manygate as mg
from manygate.schema import Feature, Schema, Task

PARTS = ("train", "valid", "test")
EARLIER_CUTS = (0.5, 0.6, 0.7)
"""Cuts of MovieLens by time before the usual one."""
CUTS = (0.4, 0.5, 0.6, 0.7, 0.8)
TURNOVERS = (0.0, 0.3, 0.6)
IMPRESSIONS, LARGE = 60_000, 400_000
REGRESSIONS = ("stars", "watch_time")
MEAN = "mean of the binary tasks"
WHEEL = "recbole-1.2.1-py3-none-any.whl"


@dataclass(frozen=True)
class Log:
    """The three parts of a log and its schema."""

    name: str
    parts: dict[str, pa.Table]
    schema: Schema


def made_up(turnover: float, seed: int = 100, rows: int = IMPRESSIONS) -> Log:
    """The made-up log with a turnover of its items."""
    with tempfile.TemporaryDirectory() as folder:
        written = mg.datasets.impressions(Path(folder) / "log", rows=rows, turnover=turnover, seed=seed)
        parts = {part: pq.read_table(path) for part, path in written.parts.items()}
        name = "made-up" if rows == IMPRESSIONS else "made-up-large"
        return Log(f"{name}-{turnover:g}", parts, Schema.load(written.schema))


def movielens(wheel: Path, by_time: bool, cut: float = 0.8) -> Log:
    """MovieLens-100K, read from the wheel of RecBole: stars as a number, a like of 4 and more, a love of 5.

    The first ``cut`` of its rows are for training, a tenth for validation, the next tenth for the test.
    """
    rating = _tokens(wheel, "inter")
    user, item = _tokens(wheel, "user"), _tokens(wheel, "item")
    table = rating.join(user, "user_id").join(item, "item_id").sort_by([("timestamp", "ascending"), ("user_id", "ascending")])
    time = pc.cast(pc.cast(table["timestamp"], pa.int64()), pa.timestamp("s"))
    stars = pc.cast(table["rating"], pa.float32())
    columns = {
        "user_id": table["user_id"],
        "item_id": table["item_id"],
        "hour": pc.hour(time),
        "weekday": pc.day_of_week(time),
        "age": pc.cast(table["age"], pa.float32()),
        "gender": table["gender"],
        "occupation": table["occupation"],
        "region": pc.utf8_slice_codeunits(table["zip_code"], 0, 1),
        "release_year": pc.cast(
            pc.if_else(pc.match_substring_regex(table["release_year"], r"^\d+$"), table["release_year"], None), pa.float32()
        ),
        "genres": pc.split_pattern(table["class"], " "),
        "time": time,
        "stars": stars,
        "like": pc.cast(pc.greater_equal(stars, 4), pa.int8()),
        "love": pc.cast(pc.equal(stars, 5), pa.int8()),
    }
    kinds = dict.fromkeys(("age", "release_year"), "dense") | {"genres": "bag"}
    names = list(columns)[: list(columns).index("time")]
    tasks = (Task(name="stars", kind="regression"), Task(name="like"), Task(name="love"))
    schema = Schema(features=tuple(Feature(name=name, kind=kinds.get(name, "sparse")) for name in names), tasks=tasks, time="time")
    table = pa.table(columns)
    if not by_time:
        table = table.take(np.random.Generator(np.random.PCG64(0)).permutation(len(table)))
    name = "movielens-random" if not by_time else "movielens-time" if cut == 0.8 else f"movielens-time-{cut:g}"
    return Log(name, _three(table, cut, 0.1), schema)


def _tokens(wheel: Path, ending: str) -> pa.Table:
    """A table of RecBole: tab separated, ``name:type`` in the head, here all read as text."""
    with zipfile.ZipFile(wheel) as archive, archive.open(f"recbole/dataset_example/ml-100k/ml-100k.{ending}") as file:
        head = file.readline().decode().rstrip("\n").split("\t")
        names = [name.split(":")[0] for name in head]
        options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        parsed = csv.ParseOptions(delimiter="\t", quote_char=False)
        return csv.read_csv(pa.BufferReader(file.read()), csv.ReadOptions(column_names=names), parsed, options)


def short_video(path: Path, cut: float) -> Log:
    """The short-video log: the first ``cut`` of its rows for training, a tenth for validation, the next tenth for the test."""
    log = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t")).sort_by(
        [("time_ms", "ascending"), ("user_id", "ascending")]
    )
    time = pc.cast(log["time_ms"], pa.timestamp("ms"))
    labels = {"click": "is_click", "long_view": "long_view", "like": "label", "profile_enter": "is_profile_enter"}
    columns = {
        "user_id": log["user_id"],
        "video_id": log["video_id"],
        "hour": pc.hour(time),
        "duration": pc.divide(pc.cast(log["duration_ms"], pa.float32()), 1000.0),
        "time": time,
        **{name: log[column] for name, column in labels.items()},
    }
    features = (
        *(Feature(name=name, kind="sparse") for name in ("user_id", "video_id", "hour")),
        Feature(name="duration", kind="dense"),
    )
    schema = Schema(features=features, tasks=tuple(Task(name=name) for name in labels), time="time")
    return Log(f"short-video-{cut:g}", _three(pa.table(columns), cut, 0.1), schema)


def census(folder: Path, group: str) -> Log:
    """UCI Census-Income, one of the two groups of tasks."""
    with tempfile.TemporaryDirectory() as out:
        written = mg.datasets.census(group, Path(out) / "log", data_dir=folder)
        parts = {part: pq.read_table(path) for part, path in written.parts.items()}
        return Log(f"census-{group}", parts, Schema.load(written.schema))


def _three(table: pa.Table, train: float, share: float) -> dict[str, pa.Table]:
    edges = [0, *(round(len(table) * at) for at in (train, train + share, train + 2 * share))]
    return {part: table.slice(start, end - start) for part, start, end in zip(PARTS, edges, edges[1:], strict=False)}


def names(wheel: bool = True, video: bool = True, census_folder: bool = False) -> Iterator[str]:
    """The names of the logs whose files are at hand."""
    if wheel:
        yield from ("movielens-random", "movielens-time", *(f"movielens-time-{cut:g}" for cut in EARLIER_CUTS))
    yield from (f"made-up-{turnover:g}" for turnover in TURNOVERS)
    if video:
        yield from (f"short-video-{cut:g}" for cut in CUTS)
    if census_folder:
        yield from ("census-income", "census-education")


def find_log(name: str, wheel: Path | None, video: Path | None, census_folder: Path | None) -> Log:
    """Read or make the log of a name."""
    kind, _, rest = name.rpartition("-")
    if kind.startswith("movielens"):
        assert wheel is not None
        return movielens(wheel, rest != "random") if kind == "movielens" else movielens(wheel, True, float(rest))
    if kind.startswith("made-up"):
        return made_up(float(rest), rows=LARGE if kind == "made-up-large" else IMPRESSIONS)
    if kind == "short-video":
        assert video is not None
        return short_video(video, float(rest))
    return census(census_folder or Path(), rest)
