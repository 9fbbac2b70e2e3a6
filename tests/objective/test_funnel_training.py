"""Tests of whole runs with funnels and other losses: replicas, bundles, packs, resuming, predictions and results."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from manygate import Ranker
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.model.logits import predict
from manygate.runs.preflight import prepare
from manygate.schema import Task
from manygate.training.interrupt import Interrupted
from stopper import Stopper

WAYS = ("conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr")
STEPS = (Task(name="click"), Task(name="like", after="click"), Task(name="watch", kind="regression", after="click"))


@pytest.fixture(scope="module")
def log(encoded, log_schema) -> EncodedLog:
    return encoded(schema=log_schema().model_copy(update={"tasks": STEPS}))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", ["mmoe", "ple", "single_task"])
def test_replicas_equal_their_own_runs(log, trainer, settings, way, architecture):
    config = settings(funnel=way, architecture=architecture, replicas=2, epochs=1, learning_rate=1e-3)
    together = trainer(log, config)
    together.fit()
    whole = predict(together.model, together.monitor.split)
    assert np.isfinite(whole).all()
    alone = trainer(log, config.of_replicas(1, 1))
    alone.fit()
    np.testing.assert_allclose(predict(alone.model, alone.monitor.split)[0], whole[1], rtol=2e-3, atol=2e-4)
    assert np.abs(whole[0] - whole[1]).max() > 1e-2, "the replicas differ"


def test_the_way_changes_what_is_learned(log, trainer, settings):
    logits = []
    for way in WAYS:
        run = trainer(log, settings(funnel=way, architecture="mmoe", epochs=2))
        run.fit()
        logits.append(predict(run.model, run.monitor.split))
    for a, one in enumerate(logits):
        for other in logits[:a]:
            assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("way", ["conditional", "aitm", "escm2_dr"])  # the others save the towers of the first
def test_a_funnel_s_run_is_saved_and_predicts_as_before(log_table, log_schema, tmp_path, way):
    schema = log_schema().model_copy(update={"tasks": STEPS})
    settings = {"dim": 3, "experts": 3, "expert_hidden": 5, "tower_hidden": 4, "epochs": 1, "threads": 1, "replicas": 2, "pack": 1}
    ranker = Ranker(architecture="cgc", funnel=way, **settings).fit(
        log_table(), schema=schema, out=tmp_path / "run", progress="none"
    )
    scores = ranker.predict(log_table(50, seed=3))
    assert scores.column_names == ["click", "like", "watch", "click_like", "click_watch"]
    assert Ranker.load(tmp_path / "run").predict(log_table(50, seed=3)).equals(scores)
    joint, parts = scores["click_like"].to_numpy(), (scores["click"].to_numpy(), scores["like"].to_numpy())
    assert ((joint > 0) & (joint < parts[0])).all()
    rows = Split(ranker.encoder.encode(log_table(50, seed=3).to_batches()[0], labels=False, bias=False))
    p_rnt = 1 / (1 + np.exp(-predict(ranker.model, rows).astype(np.float64)))
    np.testing.assert_allclose(joint, (p_rnt[..., 0] * p_rnt[..., 1]).mean(axis=0), rtol=1e-6)
    tasks = ranker.document.to_tree()["results"]["cgc"]["tasks"]
    assert tasks["like"]["joint"]["rows"] == tasks["click"]["rows"] > tasks["like"]["rows"]
    assert {"auc", "log_loss", "calibration"} <= set(tasks["like"]["joint"]["metrics"])
    assert tasks["watch"]["joint"]["kind"] == "regression"
    assert [tasks[name]["joint"]["name"] for name in ("like", "watch")] == ["click_like", "click_watch"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "click_like" in page
    assert "on any row" in page
    assert "joint" not in tasks["click"]


def test_a_run_with_imputation_towers_resumes_to_the_same_bytes(log, trainer, settings, tmp_path):
    config = settings(funnel="escm2_dr", epochs=2, replicas=2)
    straight = trainer(log, config)
    straight.fit()
    with pytest.raises(Interrupted):
        trainer(log, config, tmp_path / "run", Stopper(5)).fit()
    resumed = trainer(log, config, tmp_path / "run")
    resumed.fit()
    for name, value in straight.model.parameters.items():
        assert value.equal(resumed.model.parameters[name]), name


def test_without_steps_the_funnel_setting_changes_nothing(encoded, trainer, settings):
    log = encoded()
    logits = []
    for way in ("conditional", "escm2_dr"):
        run = trainer(log, settings(funnel=way, epochs=1))
        run.fit()
        logits.append(predict(run.model, run.monitor.split))
    assert np.array_equal(*logits)


@pytest.mark.parametrize("loss", ["huber", "log", "quantile", "ordinal"])
@pytest.mark.parametrize("architecture", ["shared_bottom", "single_task"])
def test_watch_time_is_learned_by_every_loss(encoded, log_schema, trainer, settings, loss, architecture):
    tasks = (Task(name="click"), Task(name="watch", kind="regression", where="click == 1", loss=loss))
    log = encoded(schema=log_schema().model_copy(update={"tasks": tasks}))
    run = trainer(log, settings(architecture=architecture, epochs=15, patience=15, learning_rate=0.02))
    state = run.fit()
    assert state.history[-1]["valid"]["watch"][0] > 0.5, "R2 in the label's unit"


def test_the_pairwise_loss_learns_the_order_of_a_group(encoded, log_schema, trainer, settings):
    tasks = (Task(name="click", loss="pairwise"), Task(name="like", where="click == 1"))
    log = encoded(schema=log_schema().model_copy(update={"tasks": tasks}))
    run = trainer(log, settings(epochs=8, patience=8, replicas=2, learning_rate=0.02))
    assert run.train.group_N is not None
    first = next(run.train.batches(0, 0, len(run.train))).group_B
    assert first is not None
    assert int((first.diff() != 0).sum()) == len(first.unique()) - 1, "a group's rows come together"
    state = run.fit()
    assert min(state.history[-1]["valid"]["click"]) > 0.6


def test_negative_labels_of_a_logarithmic_loss_are_an_error(encoded, log_table, log_schema):
    tasks = (Task(name="watch", kind="regression", loss="log"),)
    table = log_table()
    negative = pa.array([-2.0, *np.ones(len(table) - 1)])
    table = table.set_column(table.column_names.index("watch"), "watch", negative)
    with pytest.raises(InputError, match=r"'watch' of task 'watch' has 1 value that cannot be labels \(-2\).*0 or more"):
        encoded(table, log_schema().model_copy(update={"tasks": tasks}))


def test_pairs_of_a_task_after_another_need_a_conditional_loss(log_table, log_schema, settings):
    tasks = (Task(name="click"), Task(name="like", after="click", loss="pairwise"))
    schema = log_schema().model_copy(update={"tasks": tasks})
    with pytest.raises(InputError, match="task 'like': the loss pairwise is not for a task after another with funnel='esmm'"):
        prepare(log_table(), settings(), schema)
    assert prepare(log_table(), settings(funnel="conditional"), schema).parts


def test_labels_that_come_too_early_are_counted(encoded, log_table, log_schema):
    table = log_table()
    click, like = (np.array(table[name].to_numpy(zero_copy_only=False), dtype=float) for name in ("click", "like"))
    early = np.flatnonzero(click == 0)[:7]
    like[early] = 1.0
    table = table.set_column(table.column_names.index("like"), "like", pa.array(like, mask=np.isnan(like)))
    log = encoded(table, log_schema().model_copy(update={"tasks": STEPS}))
    (warning,) = [text for text in log.warnings if "has not happened" in text]
    count = int(warning.split(" training rows")[0].rsplit(" ", 1)[1])
    assert 1 <= count <= 7
    assert warning.startswith(f"label 'like' of task 'like' is 1 in {count} training rows where 'click' has not happened")
    assert not [text for text in encoded(schema=log_schema().model_copy(update={"tasks": STEPS})).warnings if "happened" in text]
