"""The settings of a search, and a configuration file that holds them beside those of a run."""

from __future__ import annotations

import re

import pytest

from manygate.config import RunConfig, TuneConfig
from manygate.config.tune_settings import TUNABLE, split_tree
from manygate.errors import InputError
from manygate.schema.reading import read_yaml, validated

FILE = """
log: a.parquet
experts: {int: [2, 8]}
trials: 9
epochs: 3
space:
  learning_rate: {log: [1e-4, 1e-2]}
"""


def test_a_file_is_divided_into_run_search_and_ranges() -> None:
    run, search = split_tree(read_yaml(FILE, "run.yaml"), "run.yaml")
    assert run == {"log": "a.parquet", "epochs": 3}
    assert search["trials"] == 9
    assert {name: values.model_dump() for name, values in search["space"].items()} == {  # type: ignore[attr-defined]
        "learning_rate": {"log": [1e-4, 1e-2]},
        "experts": {"int": [2, 8]},
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("log: a\nexperts: {itn: [2, 8]}", "run.yaml:2: experts: 'itn' is no kind of range"),
        ("space:\n  dim: {int: [2, 1]}", "run.yaml:2: dim: int is empty"),
        ("space: 3", "run.yaml:1: space: expected ranges"),
        ("dim: {int: [1, 2]}\nspace: {dim: {int: [1, 2]}}", "run.yaml:1: dim: it has a range in 'space', too"),
    ],
)
def test_problems_name_file_and_line(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        split_tree(read_yaml(text, "run.yaml"), "run.yaml")


def test_a_task_is_no_range() -> None:
    run, search = split_tree({"task": {"name": "click"}, "types": {"int": "text"}}, "")
    assert set(run) == {"task", "types"}
    assert search == {}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"objective": "click,click"}, "'click' is named twice"),
        ({"objective": "click,buy", "pruning": "median"}, "with several objectives"),
        ({"trials": 4, "pick": 4}, "the trials 0 to 3"),
        ({"trials": 0}, "trials"),
        ({"space": {"dim": 3}}, "space: dim: expected a range"),
        ({"space": 3}, "space: expected ranges"),
        ({"trials": True}, "trials: expected a number"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        validated(TuneConfig, given, "")


def test_commas_separate_objectives() -> None:
    for given in ("click,buy/auc", ["click", "buy/auc"], ("click,buy/auc",)):
        assert TuneConfig.model_validate({"objective": given}).objective == ("click", "buy/auc")


def test_the_sampler_follows_the_number_of_trials() -> None:
    assert [TuneConfig(trials=n).chosen_sampler for n in (1, 300, 301)] == ["gp", "gp", "tpe"]
    assert TuneConfig(trials=500, sampler="gp").chosen_sampler == "gp"


def test_no_setting_has_two_meanings() -> None:
    assert not set(TuneConfig.model_fields) & set(RunConfig.model_fields)
    assert set(TUNABLE) <= set(RunConfig.model_fields)
    assert not set(TUNABLE) & {"replicas", "seed", "architecture", "bins", "keep", "monitor", "device"}
