"""Ranker has the habits of a scikit-learn estimator, and its answers are those of the rooms below."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import manygate as mg
from manygate.errors import InputError
from manygate.files import put_file
from manygate.scoring.exported_model import ExportedModel

SETTINGS = {
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
    "dim": 3,
    "experts": 2,
    "expert_hidden": 4,
    "tower_hidden": 4,
    "batch_size": 64,
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    age, item = random.normal(40, 12, 600), random.integers(0, 9, 600)
    click = random.random(600) < 1 / (1 + np.exp(-(age - 40) / 6))
    return pd.DataFrame({"item": [f"i{n}" for n in item], "age": age, "click": click * 1, "like": (item % 2) * 1, "stay": age / 10})


@pytest.fixture(scope="module")
def ranker(table) -> mg.Ranker:
    return mg.Ranker(task=["click", "like"], replicas=2, ignore="stay", **SETTINGS).fit(table, progress=False)


def test_parameters_come_back_as_they_were_given():
    task = [mg.Task(name="click")]
    ranker = mg.Ranker(task=task, experts=4, random_state=3)
    parameters = ranker.get_params()
    assert parameters["task"] is task
    assert (parameters["experts"], parameters["random_state"], parameters["epochs"]) == (4, 3, 20)
    assert ranker.config.seed == 3


def test_scikit_learn_clones_it():
    ranker = mg.Ranker(task={"name": "click"}, expert_hidden=[16, 8], random_state=1)
    copy = clone(ranker)
    assert copy is not ranker
    assert copy.get_params() == ranker.get_params()
    assert copy.config == ranker.config


def test_parameters_can_be_set_and_a_wrong_one_changes_nothing():
    ranker = mg.Ranker(experts=4, dim=3)
    assert ranker.set_params(experts=6, random_state=2) is ranker
    assert (ranker.config.experts, ranker.config.dim, ranker.config.seed) == (6, 3, 2)
    with pytest.raises(InputError, match=r"expert: no parameter of Ranker\. Did you mean 'experts'"):
        ranker.set_params(expert=3)
    with pytest.raises(InputError, match="experts"):
        ranker.set_params(experts=-1)
    assert ranker.get_params()["experts"] == ranker.config.experts == 6


def test_a_clone_of_a_trained_ranker_trains_the_same(ranker, table):
    again = clone(ranker).fit(table, progress=False)
    assert again.predict(table).equals(ranker.predict(table))


def test_probabilities_are_those_of_predict(ranker, table):
    scores, (click, like) = ranker.predict(table), ranker.predict_proba(table)
    for pair, name in ((click, "click"), (like, "like")):
        assert pair.shape == (600, 2)
        np.testing.assert_array_equal(pair[:, 1], scores[name].to_numpy())
        np.testing.assert_allclose(pair.sum(axis=1), 1.0)


def test_one_task_gives_one_array(table):
    ranker = mg.Ranker(task="click", ignore=["like", "stay"], **SETTINGS).fit(table, progress=False)
    assert ranker.predict_proba(table).shape == (600, 2)


def test_a_regression_has_no_probabilities(table):
    ranker = mg.Ranker(task=["click", "stay:kind=regression"], ignore="like", **SETTINGS).fit(table, progress=False)
    with pytest.raises(InputError, match="'stay' is a regression"):
        ranker.predict_proba(table)


def test_the_score_is_the_mean_main_metric_of_the_replicas(ranker, table):
    values = [summary.metrics["auc"].mean for summary in ranker.evaluate(table).tasks.values()]
    assert ranker.score(table) == pytest.approx(np.mean(values), abs=1e-12)


def test_a_schema_may_come_with_the_constructor(table, tmp_path):
    schema = mg.infer_schema(table, "click", ignore=["like", "stay"])
    (tmp_path / "s.yaml").write_text(schema.to_yaml(), encoding="utf-8")
    given = mg.Ranker(schema=schema, **SETTINGS).fit(table, progress=False)
    read = mg.Ranker(schema=tmp_path / "s.yaml", **SETTINGS).fit(table, progress=False)
    assert given.schema.task_names == ("click",)
    assert given.predict(table).equals(read.predict(table))


@pytest.mark.parametrize("task", [mg.Task(name="click"), {"name": "click"}, "click", ["click"], [mg.Task(name="click")]])
def test_tasks_in_every_form_train_the_same(table, task):
    ranker = mg.Ranker(task=task, ignore=["like", "stay"], max_steps=2, **SETTINGS).fit(table, progress=False)
    plain = mg.Ranker(task="click", ignore=["like", "stay"], max_steps=2, **SETTINGS).fit(table, progress=False)
    assert ranker.predict(table).equals(plain.predict(table))


def test_a_metric_of_ones_own_by_hand(ranker, table):
    """The AUC again, and the mean prediction; both over replicas and for the ensemble."""

    def area(label_N: np.ndarray, score_N: np.ndarray, weight_N: np.ndarray) -> float:
        return float(roc_auc_score(label_N, score_N, sample_weight=weight_N))

    own = {
        "area": mg.Metric("area", "binary", "higher", "The AUC of scikit-learn.", area, highest=1.0),
        "level": mg.Metric("level", "binary", "lower", "The mean prediction.", lambda label, score, weight: score.mean()),
    }
    click = ranker.evaluate(table, metrics=own).tasks["click"]
    assert click.metrics["area"].values == pytest.approx(click.metrics["auc"].values)
    assert click.ensemble["level"] == pytest.approx(ranker.predict(table)["click"].mean())
    assert "rmse" not in click.metrics


def test_a_metric_with_a_name_that_is_taken_or_without_its_facts_is_refused(ranker, table):
    with pytest.raises(InputError, match=r"(?s)metric 'auc': there is a metric.*metric 'f': expected a manygate.Metric"):
        ranker.evaluate(table, metrics={"auc": mg.Metric("a", "binary", "higher", "m", len), "f": len})


def test_epochs_are_seen_and_training_can_be_stopped(table):
    seen = []
    ranker = mg.Ranker(task="click", ignore=["like", "stay"], **{**SETTINGS, "epochs": 5})
    ranker.fit(table, progress=False, on_epoch=lambda end: seen.append(end.epoch) or end.epoch == 3)
    assert seen == [1, 2, 3]
    assert len(ranker.history_) == 3


def test_what_is_not_fitted_says_so():
    ranker = mg.Ranker()
    for use in (lambda: ranker.predict(None), lambda: ranker.score(None), lambda: ranker.schema, lambda: ranker.save("x")):
        with pytest.raises(InputError, match="not fitted yet"):
            use()
    assert ranker.calibration is ranker.fusion is None


def test_its_text_names_what_differs_from_the_defaults():
    assert repr(mg.Ranker()) == "Ranker()"
    assert repr(mg.Ranker(task=mg.Task(name="click"), experts=4, epochs=20)) == "Ranker(experts=4, task=(Task(name='click'),))"


def test_saved_and_loaded_it_is_the_same(ranker, table, tmp_path):
    ranker.save(tmp_path / "bundle")
    loaded = mg.Ranker.load(tmp_path / "bundle")
    assert loaded.predict(table).equals(ranker.predict(table))
    assert loaded.get_params()["replicas"] == 2


def test_exported_it_predicts_the_same_without_its_calibration_too(ranker, table, tmp_path):
    ranker = copy.copy(ranker)
    ranker.calibrate(table, method="platt", task="click")
    done = ranker.export(tmp_path / "model", table.head(50))
    assert (done.log.rows, done.outputs) == (50, ["click", "like"])
    batch = pa.RecordBatch.from_pandas(table[["item", "age"]])
    for folder, raw in (("model", False), ("raw", True)):
        if raw:
            assert ranker.export(tmp_path / folder, raw=True).log is None, "the ranker was fitted on a frame, which is gone"
        found = ExportedModel.load(tmp_path / folder).columns(batch)
        np.testing.assert_allclose(found["click"], ranker.predict(table, raw=raw)["click"], atol=1e-6)
    with pytest.raises(mg.InputError, match="overwrite"):
        ranker.export(tmp_path / "model")
    with pytest.raises(mg.InputError, match="is no model of a repository"):
        ranker.export(tmp_path / "raw", overwrite=True, triton=tmp_path)
    assert ranker.export(tmp_path / "model", overwrite=True, context="age").context == ["age"]


def test_the_version_is_the_package_s():
    from importlib.metadata import version

    assert mg.__version__ == version("manygate")


def test_validation_rows_given_to_fit_are_those_that_calibrate_finds_again(table, tmp_path):
    """A path is remembered, in a saved run too; a table in memory must be given again, and nothing is split anew."""
    table.iloc[:400].to_parquet(tmp_path / "train.parquet")
    table.iloc[400:].to_parquet(tmp_path / "other.parquet")
    settings = {"task": "click", "ignore": ["like", "stay"], **SETTINGS}
    by_path = mg.Ranker(**settings).fit(
        tmp_path / "train.parquet", tmp_path / "other.parquet", out=tmp_path / "run", progress=False
    )
    assert by_path.calibrate(method="platt").rows == 200
    assert mg.Ranker.load(tmp_path / "run").calibrate(method="platt").rows == 200
    by_frame = mg.Ranker(**settings).fit(tmp_path / "train.parquet", table.iloc[400:], progress=False)
    with pytest.raises(InputError, match="no log is given"):
        by_frame.calibrate(method="platt")


def test_the_run_s_own_log_gives_its_validation_rows(table, tmp_path):
    """Most of its rows trained the model, whatever its path or form; so the fit uses the validation rows, as without a log."""
    table.to_parquet(tmp_path / "log.parquet")
    settings = {"task": "click", "ignore": ["like", "stay"], **SETTINGS}
    ranker = mg.Ranker(**settings).fit(tmp_path / "log.parquet", out=tmp_path / "run", progress=False)
    expected = ranker.calibrate(method="platt")
    assert expected.rows < 100 < len(table)
    moved = (tmp_path / "log.parquet").rename(tmp_path / "moved.parquet")
    for log in (moved, table):
        report = mg.Ranker.load(tmp_path / "run").calibrate(log, method="platt")
        assert report.log.startswith("validation rows of ")
        assert report.tasks == expected.tasks
    assert mg.Ranker(**settings).fit(table, progress=False).calibrate(table, method="platt").tasks == expected.tasks
    part = table.iloc[:500]
    assert ranker.calibrate(part, method="platt").rows == 500, "a part of the log is not recognised: rows are known by all of them"


def test_training_rows_of_a_run_with_its_own_validation_rows_calibrate_nothing(table, tmp_path):
    table.iloc[:400].to_parquet(tmp_path / "train.parquet")
    table.iloc[400:].to_parquet(tmp_path / "valid.parquet")
    settings = {"task": "click", "ignore": ["like", "stay"], **SETTINGS}
    ranker = mg.Ranker(**settings).fit(tmp_path / "train.parquet", tmp_path / "valid.parquet", progress=False)
    with pytest.raises(InputError, match=r"train\.parquet: these rows trained the model"):
        ranker.calibrate(tmp_path / "train.parquet", method="platt")
    assert ranker.calibrate(tmp_path / "valid.parquet", method="platt").rows == 200


def test_a_bundle_of_an_earlier_version_opens_and_asks_for_rows(table, tmp_path):
    """It has no record of its rows: it predicts, and calibrates on rows that are given."""
    table.to_parquet(tmp_path / "log.parquet")
    settings = {"task": "click", "ignore": ["like", "stay"], **SETTINGS}
    mg.Ranker(**settings).fit(tmp_path / "log.parquet", out=tmp_path / "run", progress=False)
    put_file(tmp_path / "run" / "bundle", "log.json", None)
    ranker = mg.Ranker.load(tmp_path / "run")
    assert len(ranker.predict(table)) == 600
    assert ranker.calibrate(table.iloc[:200], method="platt").rows == 200
    with pytest.raises(InputError, match="saved by an earlier version of manygate, which did not record the rows of"):
        ranker.calibrate(method="platt")


def test_a_trained_model_keeps_its_schema_when_it_is_fitted_again(table, tmp_path):
    schema = mg.infer_schema(table, "click", ignore=["like", "stay"])
    mg.Ranker(schema=schema, **SETTINGS).fit(table, out=tmp_path / "run", progress=False)
    for ranker in (mg.Ranker.load(tmp_path / "run"), clone(mg.Ranker.load(tmp_path / "run"))):
        assert ranker.fit(table, progress=False).schema.feature_names == ("item", "age")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architectures", ["mmoe"]),
        ("weightings", ["fixed"]),
        ("baselines", ["constant"]),
        ("weight_sweep", 3),
        ("id_dropouts", [0, 5]),
        ("log", "log.parquet"),
        ("config_version", 1),
    ],
)
def test_what_is_no_parameter_of_a_ranker_is_refused_and_not_ignored(name, value):
    """The values are good ones for a comparison, so that nothing else is wrong with them."""
    with pytest.raises(InputError, match=f"^{name}: (a|no) parameter of "):
        mg.Ranker(**{name: value})


@pytest.mark.parametrize(
    ("more", "problem"), [({"resume": True}, "resume"), ({"overwrite": True}, "overwrite"), ({"on_epoch": [1]}, "on_epoch")]
)
def test_arguments_that_would_be_ignored_are_refused(table, more, problem):
    with pytest.raises(InputError, match=problem):
        mg.Ranker(task="click").fit(table, **more)


def test_parameters_set_after_training_do_not_touch_the_trained_model(ranker, table):
    before = ranker.score(table)
    again = mg.Ranker.trained(ranker.predictor, ranker.document)
    again.set_params(architecture="ple", monitor="click/log_loss", random_state=5)
    assert again.score(table) == before
    assert len(again.history_) == 2
    assert again.config.seed == 5


def test_without_a_model_it_has_no_model():
    assert not hasattr(mg.Ranker(), "model")


def test_scikit_learn_sees_whether_it_is_fitted(ranker):
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(ranker)
    with pytest.raises(NotFittedError):
        check_is_fitted(mg.Ranker())


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (mg.Metric("m", "binary", "max", "m", lambda y, p, w: 0.0), "better is 'max'"),
        (mg.Metric("m", "binary", "higher", "m", lambda y, p: 0.0), "must take labels, predictions and weights"),
        (mg.Metric("m", "binary", "higher", "m", lambda y, p, w: p), "return a number"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_named(ranker, table, metric, problem):
    with pytest.raises(InputError, match=rf"metric 'mine': .*{problem}"):
        ranker.evaluate(table, metrics={"mine": metric})
    with pytest.raises(InputError, match="expected a mapping"):
        ranker.evaluate(table, metrics=["auc"])


def test_labels_beside_the_table_are_refused_where_a_model_is_scored(ranker, table):
    assert ranker.score(table, None) == ranker.score(table)
    with pytest.raises(InputError, match=r"Put the labels into it: score\(X.assign\(click=y\)\)"):
        ranker.score(table, [0, 1])
