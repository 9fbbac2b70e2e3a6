"""What users of other libraries pass is understood, or refused with the remedy."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import manygate as mg
from manygate.errors import InputError
from manygate.ranker import arguments
from manygate.ranker.arguments import build_config, progress_mode, read_schema, refuse_arguments, refuse_arrays
from manygate.schema import Feature, Schema, Task


def test_random_state_is_the_seed():
    assert build_config({"random_state": 7}).seed == 7
    assert build_config({"random_state": np.int64(7), "seed": 7}).seed == 7
    assert build_config({"random_state": None, "seed": 5}).seed == 5


@pytest.mark.parametrize("state", [True, 1.5, "3", np.random.RandomState(0)])
def test_another_random_state_is_refused(state):
    with pytest.raises(InputError, match="give a whole number"):
        build_config({"random_state": state})


def test_two_seeds_are_refused():
    with pytest.raises(InputError, match="random_state=3 and seed=4"):
        build_config({"random_state": 3, "seed": 4})


def test_parameters_at_their_default_are_not_given():
    config = build_config({"experts": 8, "dim": 4, "expert_hidden": (64,), "log": None})
    assert config.model_fields_set == {"dim"}


def test_a_path_becomes_the_log():
    assert build_config({}, "a.parquet").log == "a.parquet"
    assert build_config({}, pd.DataFrame()).log is None


@pytest.mark.parametrize(("given", "mode"), [(True, "auto"), (False, "none"), (None, "none"), ("bar", "bar"), ("none", "none")])
def test_progress(given, mode):
    assert progress_mode(given) == mode


def test_a_schema_is_an_object_or_a_file(tmp_path):
    schema = Schema(features=(Feature(name="item", kind="sparse"),), tasks=(Task(name="click"),))
    (tmp_path / "schema.yaml").write_text(schema.to_yaml(), encoding="utf-8")
    assert read_schema(None) is None
    assert read_schema(schema) is schema
    assert read_schema(tmp_path / "schema.yaml") == read_schema(str(tmp_path / "schema.yaml")) == schema


@pytest.mark.parametrize("labels", [np.zeros(3), pd.Series([0, 1, 0]), [0, 1, 0], (0.5, 1.0)])
def test_labels_beside_the_table_are_refused_with_the_remedy(labels):
    with pytest.raises(InputError, match=r"fit\(X\.assign\(click=y\)\)"):
        refuse_arrays(pd.DataFrame({"a": [1, 2, 3]}), labels)


def test_an_array_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"no column names.*pd\.DataFrame\(X, columns="):
        refuse_arrays(np.zeros((3, 2)))


@pytest.mark.parametrize("valid", [None, "valid.parquet", ["a.parquet", "b.parquet"], pd.DataFrame({"a": [1]})])
def test_tables_and_paths_pass(valid):
    refuse_arrays(pd.DataFrame({"a": [1]}), valid)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("verbose", "Give progress=True or progress=False."),
        ("sample_weight", r"Name the column of the weights: Ranker\(weight='...'\)."),
        ("epochs", r"It is a parameter of Ranker: Ranker\(epochs=\.\.\.\)."),
        ("random_state", r"It is a parameter of Ranker: Ranker\(random_state=\.\.\.\)."),
        ("overwite", "Did you mean 'overwrite'?"),
        ("sheet", "It has log, valid, test, schema, out, resume, overwrite, progress, on_epoch;"),
    ],
)
def test_an_argument_that_fit_lacks_is_refused_with_the_remedy(name, remedy):
    with pytest.raises(InputError, match=f"{name}: no argument of fit. {remedy}"):
        mg.Ranker(task="click").fit(pd.DataFrame({"click": [0, 1]}), **{name: 1})


def test_the_remedies_name_arguments_of_fit():
    parameters = list(inspect.signature(mg.Ranker.fit).parameters)
    assert tuple(parameters[1:-1]) == arguments._FIT
    assert not set(arguments._REMEDIES) & set(parameters)
    refuse_arguments({})
