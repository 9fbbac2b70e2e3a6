"""``manygate fuse``, and what predict and evaluate make of it, on the command line and in Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import manygate as mg
from command_line import Run, refused
from manygate.files import check_manifest
from manygate.scoring.bundle import load_bundle
from manygate.scoring.fusion import read_fusion

SMALL = {"epochs": 2, "experts": 2, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu", "learning_rate": 0.01}


TASKS = ["click", "like", "watch_time", "buy"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mg.datasets.impressions(tmp_path_factory.mktemp("data") / "log", rows=6000).folder


@pytest.fixture(scope="module")
def made(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "made"
    mg.Ranker(**SMALL).fit(log, out=folder, progress="none")
    return folder


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_weights_by_hand_give_the_score(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    shown = run("fuse", trained, "--weights click=1,buy=0.5 --feature duration:log=0.3 --note first --json").json
    assert shown["fusion"]["weights"] == {"click": 1.0, "buy": 0.5}
    assert (shown["fusion"]["version"], shown["fusion"]["made"]["how"], shown["fusion"]["note"]) == (1, "by hand", "first")
    found = run("predict", trained, log / "test.parquet", f"--keep item_id --out {tmp_path}/s.parquet --json").json
    assert found["columns"] == [*TASKS, "score"]
    scores, test = pd.read_parquet(tmp_path / "s.parquet"), pd.read_parquet(log / "test.parquet")
    direct = scores["click"] * scores["buy"] ** 0.5 * np.log1p(test["duration"]) ** 0.3
    np.testing.assert_allclose(scores["score"], direct, rtol=1e-6)
    ranker = mg.Ranker.load(trained)
    np.testing.assert_allclose(ranker.predict(test)["score"], direct, rtol=1e-6)
    assert list(ranker.predict(test, raw=True)) == TASKS
    assert list(ranker.predict(test.iloc[:0])) == [*TASKS, "score"]
    without = f"--out {tmp_path}/raw.csv --raw --json"
    assert run("predict", trained, log / "test.parquet", without).json["columns"] == TASKS


def test_versions_rise_with_each_change(run: Run, trained: Path) -> None:
    assert "there is no fusion" in run("fuse", trained, "--show").out
    assert "there is no fusion" in run("fuse", trained, "--remove").out
    run("fuse", trained, "--weights click=1 --name rank")
    assert "rank = click^1" in run("fuse", trained, "--show").out
    run("fuse", trained, "--weights click=1,buy=1")
    fusion = read_fusion(trained / "bundle")
    assert (fusion.name, fusion.version) == ("rank", 2), "the name stays"
    assert run("fuse", trained, "--remove --json").json["fusion"]["version"] == 3
    assert list(mg.Ranker.load(trained).predict(pd.DataFrame(_one_row(trained)))) == TASKS
    assert run("fuse", trained, "--weights buy=1 --json").json["fusion"]["version"] == 4
    check_manifest(trained / "bundle")


def _one_row(trained: Path) -> dict[str, list[Any]]:
    features = mg.Ranker.load(trained).schema.served_features
    types = mg.Ranker.load(trained).encoder.types
    return {f.name: [["tag_01"] if f.kind == "bag" else "CH" if "string" in str(types[f.name]) else 1] for f in features}


def test_a_search_finds_writes_and_shows(run: Run, log: Path, trained: Path) -> None:
    wish = (
        "--objective click/ndcg=1 --objective watch_time/gain@5=0.5 --factors click,watch_time --feature duration:log --trials 12"
    )
    found = run("fuse", trained, log, wish, "--seed 3 --json").json
    result = json.loads((trained / "fusion-search.json").read_text())
    assert found["search"] == result
    assert (result["rows"], len(result["trials"]), result["log"]) == (600, 12, str(log / "valid.parquet"))
    assert set(found["fusion"]["weights"]) == {"click", "watch_time"}
    assert found["fusion"]["made"]["objectives"] == {"click/ndcg": 1.0, "watch_time/gain@5": 0.5}
    assert "<svg" in (trained / "fusion-search.html").read_text()
    again = run("fuse", trained, wish, "--seed 3 --json").json
    assert again["search"]["trials"] == result["trials"], "the run's own validation rows are the data set's valid part"
    assert again["fusion"]["version"] == 2
    shown = run("fuse", trained, log, wish).out
    for part in ("score = click^", "the fused score", "watch_time alone", "an order at random", "fusion-search.html"):
        assert part in shown
    load_bundle(trained / "bundle")


def test_a_search_sees_calibrated_predictions(log: Path, trained: Path) -> None:
    ranker = mg.Ranker.load(trained)
    ranker.calibrate(log, method="platt")
    result = ranker.search_fusion(log, "click/ndcg", factors=["click", "buy"], trials=6)
    valid = pd.read_parquet(log / "valid.parquet")
    from manygate.metrics.ranking import Visits

    value = Visits(valid["user_id"]).ranked(ranker.predict(valid)["score"]).ndcg(valid["click"].astype(float))
    assert value == pytest.approx(result.trials[result.chosen].values[0], rel=1e-6)


def test_evaluate_says_how_the_score_ranks_other_rows(run: Run, log: Path, trained: Path) -> None:
    from manygate.metrics.ranking import Visits

    assert "fusion" not in run("evaluate", trained, log, "--json").json
    run("calibrate", trained, log, "--method temperature")
    run("fuse", trained, "--weights click=1,like=0.5 --feature price:log=-0.2")
    found = run("evaluate", trained, log, "--json").json["fusion"]
    assert list(found["objectives"]) == ["click/ndcg", "like/ndcg", "watch_time/ndcg", "buy/ndcg"]
    test = pd.read_parquet(log / "test.parquet")
    scores = mg.Ranker.load(trained).predict(test)
    visits, like = Visits(test["user_id"]), test["like"].fillna(0).astype(float)
    one = found["objectives"]["like/ndcg"]
    assert one["fused"] == pytest.approx(visits.ranked(scores["score"]).ndcg(like), rel=1e-6)
    assert one["alone"]["buy"] == pytest.approx(visits.ranked(scores["buy"]).ndcg(like), rel=1e-6)
    run("fuse", trained, log, "--objective buy/gauc --trials 5")
    assert list(run("evaluate", trained, log, "--json").json["fusion"]["objectives"]) == ["buy/gauc"]
    for part in ("the fused score", "watch_time alone", "an order at random"):
        assert part in run("evaluate", trained, log).out


def test_a_later_calibration_says_that_weights_are_old(run: Run, log: Path, trained: Path) -> None:
    run("fuse", trained, "--weights click=1")
    assert "weights of 'score' were chosen for other probabilities" in run("calibrate", trained, log, "--method platt").err


def test_what_cannot_be_fused(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    refused(run("fuse", trained), "give one of --weights")
    refused(run("fuse", trained, "--weights click=1 --remove"), "found --weights or --feature and --remove")
    refused(run("fuse", trained, log, "--weights click=1"), "is for a search")
    refused(run("fuse", trained, "--weights clik=1,buy=x"), "2 problems", "Did you mean 'click'", "'x' is not a number")
    refused(run("fuse", trained, "--weights click=0"), "all weights are zero")
    refused(run("fuse", trained, "--weights click=1 --name buy"), "cannot be named 'buy'")
    refused(run("fuse", trained, log, "--objective clik/ndcg --objective buy/gain@0"), "2 problems", "'click'", "@0")
    refused(run("fuse", trained, log, "--objective click/ndcg --feature durations:log"), "durations", "Did you mean 'duration'")
    refused(run("fuse", trained, log, "--objective click/ndcg --factors clik --trials 1"), "2 problems", "'clik'", "--trials 1")
    shutil.copytree(log, tmp_path / "log")
    (tmp_path / "log" / "valid.parquet").unlink()
    refused(run("fuse", trained, tmp_path / "log", "--objective click/ndcg"), "without a valid part")
    refused(run("fuse", trained, log, "--objective click/ndcg --feature country:log"), "country", "must hold numbers")
    assert read_fusion(trained / "bundle") is None
    assert not (trained / "fusion-search.json").exists()
    run("fuse", trained, "--weights click=1 --feature shelf:log=1")
    refused(run("predict", trained, log / "test.parquet", f"--out {tmp_path}/s.csv"), "shelf", "needed by the fusion's score")
    run("fuse", trained, "--weights click=1 --name item_id")
    refused(run("predict", trained, log / "test.parquet", f"--keep item_id --out {tmp_path}/s.csv"), "--keep item_id")
    assert not (tmp_path / "s.csv").exists()


def test_without_a_group_there_are_no_visits(log: Path) -> None:
    table = pq.read_table(log / "train.parquet").slice(0, 800).select(["country", "price", "click"])
    ranker = mg.Ranker(task=["click"], **{**SMALL, "epochs": 1}).fit(table, progress="none")
    with pytest.raises(mg.InputError, match="names no group column"):
        ranker.search_fusion(table, "click/ndcg")
