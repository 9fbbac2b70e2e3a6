"""Warnings about how a log is divided: planted faults are named, and logs that repeat rows by nature are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from manygate.config import RunConfig
from manygate.data import part_alarms as module
from manygate.data.encoded import encode_log
from manygate.data.sources import find_schema, open_sources
from manygate.results.evaluation import DataWarning

PHRASES = ("exact copies of", "holds every row several times", "to hold every row", "other shares", "all the weight")


def log(rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": random.choice([f"u{k}" for k in range(40)], rows),
            "item": random.choice([f"i{k}" for k in range(60)], rows),
            "price": random.gamma(2, 10, rows),
            "click": random.integers(0, 2, rows),
            "day": random.integers(0, 30, rows),
        }
    )


def alarms(tmp_path: Any, train: pd.DataFrame, parts: dict[str, pd.DataFrame] | None = None, **settings: Any) -> list[DataWarning]:
    """The warnings of this file about a log."""
    paths = {}
    for name, frame in {"train": train, **(parts or {})}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        paths[name] = str(tmp_path / f"{name}.parquet")
    config = RunConfig.build({"task": ["click"], "ignore": [] if "time" in settings else ["day"], **settings})
    sources = open_sources(paths["train"], config, paths.get("valid"), paths.get("test"))
    encoded = encode_log(sources, find_schema(sources, config, None), config)
    return [warning for warning in encoded.summary().warnings if any(phrase in warning.text for phrase in PHRASES)]


HONEST: dict[str, Any] = {
    "numbers and ids": (log(), {}),
    "ids alone, which repeat by nature": (log().drop(columns="price"), {}),
    "one id": (log()[["user", "click", "day"]], {}),
    "80 different rows": (log().assign(price=np.arange(2000) % 8, item=(np.arange(2000) % 10).astype(str)), {}),
    "a split by time": (log(), {"split": "time", "time": "day"}),
    "a split by group": (log(), {"split": "group", "group": "user"}),
    "weights of a sample": (log().assign(w=np.where(np.arange(2000) % 10 == 0, 1.0, 10.0)), {"weight": "w"}),
    "weights, many of them 0": (log().assign(w=(np.arange(2000) % 10 == 0) * 1.0), {"weight": "w"}),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_logs_give_no_alarm(tmp_path: Any, name: str) -> None:
    frame, settings = HONEST[name]
    assert alarms(tmp_path, frame, **settings) == []


def some_copies(share: float) -> pd.DataFrame:
    """New test rows, of which a share is taken from the training rows."""
    count = int(400 * share)
    return pd.concat([log(400 - count, seed=9), log().head(count)])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_copies_of_training_rows_in_test_are_serious(tmp_path: Any, share: float) -> None:
    (warning,) = alarms(tmp_path, log(), {"valid": log(300, seed=5), "test": some_copies(share)})
    assert warning.level == "serious"
    assert f"{100 * share:.1f} % of the test rows are exact copies of training rows, with their labels" in warning.text
    assert "Training rows repeat among themselves in 0 %" in warning.text


def test_a_few_copies_may_be_chance(tmp_path: Any) -> None:
    assert alarms(tmp_path, log(), {"valid": log(300, seed=5), "test": some_copies(0.04)}) == []


@pytest.mark.parametrize(("count", "level"), [(60, "warning"), (300, "serious")])
def test_copies_in_validation_are_serious_if_most_rows_are_copies(tmp_path: Any, count: int, level: str) -> None:
    valid = pd.concat([log(400 - count, seed=9), log().tail(count)])
    (warning,) = alarms(tmp_path, log(), {"valid": valid, "test": log(300, seed=5)})
    assert warning.level == level
    assert f"{count / 4:.1f} % of the validation rows" in warning.text


def test_test_rows_that_are_validation_rows_are_serious(tmp_path: Any) -> None:
    rows = log(300, seed=5)
    (warning,) = alarms(tmp_path, log(), {"valid": rows, "test": rows})
    assert warning.level == "serious"
    assert "100.0 % of the test rows are exact copies of validation rows, with their labels" in warning.text
    few = pd.concat([log(290, seed=6), rows.head(10)])
    assert alarms(tmp_path, log(), {"valid": rows, "test": few}) == []


def test_rows_with_another_label_are_no_copies(tmp_path: Any) -> None:
    other = log().tail(400).assign(click=lambda frame: 1 - frame.click)
    assert alarms(tmp_path, log(), {"valid": log(300, seed=5), "test": other}) == []


@pytest.mark.parametrize("times", [2, 3])
def test_a_log_that_holds_every_row_several_times_is_named(tmp_path: Any, times: int) -> None:
    (warning,) = alarms(tmp_path, pd.concat([log(600)] * times))
    assert warning.level == "serious"
    assert "100.0 % of the different rows occur more than once" in warning.text


def test_one_instant_with_most_rows_leaves_few_training_rows(tmp_path: Any) -> None:
    day = np.where(np.arange(2000) < 1900, 5, np.arange(2000) % 30)
    (warning,) = alarms(tmp_path, log().assign(day=day), split="time", time="day")
    assert warning.level == "serious"
    assert warning.column == "day"
    assert "train 0.75 % (80.0 %)" in warning.text


def test_one_group_with_most_rows_leaves_few_test_rows(tmp_path: Any) -> None:
    user = np.where(np.arange(2000) < 1800, "big", log().user)
    (warning,) = alarms(tmp_path, log().assign(user=user), split="group", group="user")
    assert "the split by column 'user' gives other shares than asked for" in warning.text


def test_one_row_with_all_the_weight_is_serious(tmp_path: Any) -> None:
    (warning,) = alarms(tmp_path, log().assign(w=np.where(np.arange(2000) == 7, 1e9, 1.0)), weight="w")
    assert warning.level == "serious"
    assert warning.column == "w"
    assert "count as 1.0" in warning.text


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_sample_of_rows_finds_the_same_shares(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """All copies of a row are sampled or none, in every part."""
    monkeypatch.setattr(module, "SAMPLED", 700)
    found = alarms(
        tmp_path,
        log(4000),
        {"valid": log(300, seed=5), "test": pd.concat([log(int(800 * (1 - share)), seed=9), log(4000).head(int(800 * share))])},
    )
    assert bool(found) == (share > 0)
    for warning in found:
        percent = float(warning.text.partition(" %")[0])
        assert 40 < percent < 60
