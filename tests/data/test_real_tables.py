"""On real tables with honest labels no rule fires; beside them every planted leak does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from manygate.config import DataConfig
from manygate.data.encoded import encode_log
from manygate.data.inference.infer import infer_with_questions
from manygate.data.leaks import leak_warnings
from manygate.data.sources import open_sources
from manygate.datasets.impressions import impressions
from manygate.results.evaluation import DataWarning
from manygate.schema import Feature
from real_tables import movielens


def breast_cancer() -> pd.DataFrame:
    return datasets.load_breast_cancer(as_frame=True).frame


def wine() -> pd.DataFrame:
    frame = datasets.load_wine(as_frame=True).frame
    return frame.assign(target=(frame.target == 1).astype(int))


def digits() -> pd.DataFrame:
    frame = datasets.load_digits(as_frame=True).frame
    return frame.assign(target=(frame.target == 8).astype(int))


def diabetes() -> pd.DataFrame:
    return datasets.load_diabetes(as_frame=True, scaled=False).frame


HONEST = {
    "breast cancer": (breast_cancer, ["target"]),
    "wine": (wine, ["target"]),
    "digits": (digits, ["target"]),
    "diabetes": (diabetes, ["target"]),
    "MovieLens, likes": (lambda: movielens().drop(columns="rating:float"), ["like"]),
    "MovieLens, stars": (lambda: movielens().drop(columns="like"), ["stars:label=rating:float"]),
}


def leaks(frame: pd.DataFrame, tasks: list[str], extra: tuple[Feature, ...] = ()) -> list[DataWarning]:
    """The alarms about features of the inferred schema, and of those that are added to it."""
    config = DataConfig(task=tuple(tasks), min_count=1)
    schema = infer_with_questions(frame, tasks).schema
    schema = schema.model_copy(update={"features": (*schema.features, *extra)})
    return leak_warnings(encode_log(open_sources(frame, config), schema, config).separations)


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_asked_and_nothing_leaks(name: str) -> None:
    make, tasks = HONEST[name]
    frame = make()
    assert infer_with_questions(frame, tasks).questions == []
    assert leaks(frame, tasks) == []


def test_ids_of_movielens_are_ids_by_name_and_by_their_values() -> None:
    frame = movielens().drop(columns="rating:float")
    names = {"user_id:token": "a", "item_id:token": "b", "age:token": "c"}
    for columns in (frame, frame.rename(columns=names)):
        schema = infer_with_questions(columns, "like").schema
        kinds = {feature.name: feature.kind for feature in schema.features}
        assert [kinds.get(name, kinds.get(names[name])) for name in ("user_id:token", "item_id:token")] == ["sparse", "sparse"]
    assert kinds["c"] == "dense", "an age has an order, though few users differ much in how many movies they rate"
    asked = infer_with_questions(frame.rename(columns=names), "like").questions
    assert [question.column for question in asked] == ["a", "b"]


def test_stars_beside_likes_are_a_leak() -> None:
    (asked,) = infer_with_questions(movielens(), "like").questions
    assert (asked.level, asked.column, asked.task) == ("serious", "rating:float", "like")
    (alarm,) = leaks(movielens(), ["like"], (Feature(name="rating:float", kind="dense"),))
    assert (alarm.level, alarm.column, alarm.task) == ("serious", "rating:float", "like")


@pytest.mark.parametrize("name", ["breast cancer", "wine", "digits"])
def test_a_planted_leak_is_found(name: str) -> None:
    make, tasks = HONEST[name]
    label = make().target.to_numpy()
    noise = np.random.default_rng(0).normal(0, 0.2, len(label))
    for planted in (label + 1, np.where(label == 1, "b", "m"), label * 3.5 + 10 + noise):
        frame = make().assign(planted=planted)
        (asked,) = infer_with_questions(frame, tasks).questions
        assert (asked.level, asked.column) == ("serious", "planted")
        kind = "sparse" if isinstance(planted[0], str) else "dense"
        assert [alarm.column for alarm in leaks(frame, tasks, (Feature(name="planted", kind=kind),))] == ["planted"]


def test_the_made_up_log_has_no_leak_and_no_questions(tmp_path: Path) -> None:
    impressions(tmp_path / "log", rows=20_000)
    tasks = ["click", "like:where=click==1", "watch_time:where=click==1", "buy:where=click==1"]
    frame = pd.read_parquet(tmp_path / "log" / "train.parquet")
    assert infer_with_questions(frame, tasks).questions == []
    assert leaks(frame, tasks) == []
    asked = {question.column for question in infer_with_questions(frame, "click").questions}
    assert asked == {"like", "watch_time", "buy"}
