"""A comparison keeps what it trained."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import manygate as mg
from manygate.errors import InputError

SETTINGS = {
    "epochs": 1,
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
    return pd.DataFrame({"item": [f"i{n}" for n in item], "age": age, "click": click * 1, "like": (item % 2) * 1})


def compare(table, **more) -> mg.Comparison:
    names = "single_task,mmoe,shared_bottom"
    return mg.compare(table, task=["click", "like"], architectures=names, replicas=3, progress=False, **SETTINGS, **more)


@pytest.fixture(scope="module")
def comparison(table) -> mg.Comparison:
    return compare(table)


def test_every_model_is_at_hand_with_all_its_replicas(comparison, table):
    assert list(comparison) == ["single_task", "mmoe", "shared_bottom"]
    assert len(comparison) == 3
    assert "ple" not in comparison
    for name in comparison:
        assert comparison[name].model.replicas == 3
        assert comparison[name].config.architecture == name
        assert list(comparison[name].predict(table).columns) == ["click", "like"]
        assert len(comparison[name].history_) == 1


def test_a_model_of_a_comparison_is_that_of_a_run_alone(comparison, table):
    alone = mg.Ranker(task=["click", "like"], architecture="mmoe", replicas=3, **SETTINGS).fit(table, progress=False)
    assert comparison["mmoe"].predict(table).equals(alone.predict(table))


def test_the_chosen_one_is_the_best(comparison, table):
    assert comparison.ranker() is comparison[comparison.best]
    scores = {name: summary.mean for name, summary in comparison.document.valid.items()}
    assert comparison.best == max(scores, key=scores.get)
    assert comparison.best_settings["architecture"] == comparison.best


def test_a_name_that_was_not_compared(comparison):
    with pytest.raises(KeyError, match="Did you mean 'mmoe'"):
        comparison["mmo"]


def test_a_frame_without_pandas_names_the_table(comparison, monkeypatch):
    monkeypatch.setattr("manygate.ranker.comparison.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install pandas\. Or call to_table\(\)"):
        comparison.to_frame()
    assert comparison.to_table().column_names[:3] == ["architecture", "task", "metric"]


def test_the_frame_has_a_row_for_each_metric_and_the_verdicts(comparison):
    frame = comparison.to_frame()
    assert len(frame) == sum(len(task.metrics) for run in comparison.results.values() for task in run.tasks.values())
    judged = frame[frame["verdict"].notna()]
    assert set(judged["architecture"]) == {"mmoe", "shared_bottom"}
    assert set(judged["metric"]) == {"auc"}
    row = judged[(judged["architecture"] == "mmoe") & (judged["task"] == "click")].iloc[0]
    verdict = comparison.verdicts["mmoe"]["click"]
    assert (row["gain"], row["verdict"]) == (verdict.gain, verdict.verdict)
    auc = comparison.results["mmoe"].tasks["click"].metrics["auc"]
    assert (row["mean"], row["low"], row["high"]) == (auc.mean, *auc.ci95)


def test_effect_price_and_gain_as_shipped_are_attributes_and_columns(comparison):
    rows = {(row["architecture"], row["task"], row["metric"]): row for row in comparison.to_table().to_pylist()}
    assert set(comparison.price) == set(comparison.as_shipped) == set(comparison.verdicts)
    for name, by_task in comparison.verdicts.items():
        for task, effect in by_task.items():
            price, shipped = comparison.price[name][task].price, comparison.as_shipped[name][task].gain
            assert shipped == pytest.approx(effect.gain - price, abs=1e-12)
            row = rows[name, task, effect.metric]
            assert (row["gain"], row["price"], row["as_shipped"]) == (effect.gain, price, shipped)
    assert rows["single_task", "click", "auc"]["price"] is None
    assert rows["mmoe", "click", "log_loss"]["as_shipped"] is None


def test_a_folder_gives_the_same_comparison_and_models(comparison, table, tmp_path):
    compare(table, out=tmp_path / "run")
    loaded = mg.Comparison.load(tmp_path / "run")
    assert list(loaded) == list(comparison)
    for name in loaded:
        assert loaded[name].predict(table).equals(comparison[name].predict(table))
        assert loaded[name].history_ == comparison[name].history_
    chosen = mg.Ranker.load(tmp_path / "run")
    assert (
        chosen.config.architecture
        == loaded.best
        == json.loads((tmp_path / "run" / "comparison.json").read_text())["best"]["architecture"]
    )


def test_the_command_uses_the_chosen_model_and_says_so(table, tmp_path, run):
    table.to_parquet(tmp_path / "log.parquet")
    comparison = compare(str(tmp_path / "log.parquet"), out=tmp_path / "run")
    result = run("predict", tmp_path / "run", tmp_path / "log.parquet", "--out", tmp_path / "scores.parquet")
    assert result.code == 0
    assert f"is a comparison: its model with the best validation score, {comparison.best}, is used" in result.err
    expected = comparison.ranker().predict(table)
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "scores.parquet")["click"], expected["click"])


def test_a_folder_without_a_comparison(tmp_path):
    with pytest.raises(InputError, match="no comparison here"):
        mg.Comparison.load(tmp_path)
