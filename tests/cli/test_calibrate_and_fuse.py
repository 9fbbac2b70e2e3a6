"""``manygate calibrate`` and ``manygate fuse``, and what predict and evaluate make of them, on the command line and in Python."""

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
from manygate import metrics
from manygate.files import check_manifest
from manygate.scoring.bundle import load_bundle
from manygate.scoring.calibration import read_calibration
from manygate.scoring.calibration_fit import fit_calibrator
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


# --- calibration -----------------------------------------------------------------------------------------------------------------


def test_calibrate_fits_on_the_valid_part_and_predict_applies_it(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    raw = mg.Ranker.load(trained).predict(pd.read_parquet(log / "valid.parquet"))
    report = run("calibrate", trained, log, "--method platt --json").json
    assert (report["method"], report["rows"], list(report["tasks"])) == ("platt", 600, ["click", "like", "buy"])
    assert sorted(check_manifest(trained / "bundle")["files"]).count("calibration.json") == 1
    valid = pd.read_parquet(log / "valid.parquet")
    by_hand = {}
    for task in ("click", "like", "buy"):
        inside = valid[task].notna().to_numpy()
        by_hand[task] = fit_calibrator("platt", valid[task][inside].astype(float), raw[task][inside])
        found = report["tasks"][task]
        assert found["calibrated"]["metrics"]["log_loss"] <= found["ensemble"]["log_loss"] + 1e-4
    calibration = read_calibration(trained / "bundle")
    for task, one in by_hand.items():
        assert calibration.tasks[task].numbers == pytest.approx(one.numbers, rel=1e-6)
    assert calibration.fitted["like"] == {"log": str(log / "valid.parquet"), "rows": int(valid["like"].notna().sum())}
    # Predict applies it, --raw leaves it out; the regression is as it was.
    for flag, wanted in (("", {t: by_hand[t].apply(raw[t]) for t in by_hand}), ("--raw", {t: raw[t] for t in by_hand})):
        arguments = f"--out {tmp_path}/s.parquet --overwrite --json {flag}"
        assert run("predict", trained, log / "valid.parquet", arguments).json["calibrated"] is (not flag)
        scores = pd.read_parquet(tmp_path / "s.parquet")
        for task, value in wanted.items():
            np.testing.assert_allclose(scores[task], value, rtol=1e-6)
        np.testing.assert_allclose(scores["watch_time"], raw["watch_time"])
    ranker = mg.Ranker.load(trained)
    pd.testing.assert_frame_equal(ranker.predict(valid, raw=True), raw)
    np.testing.assert_allclose(ranker.predict(valid)["buy"], by_hand["buy"].apply(raw["buy"]), rtol=1e-6)


def test_evaluate_shows_before_and_after(run: Run, log: Path, trained: Path) -> None:
    before = run("evaluate", trained, log, "--json").json
    assert "calibrated" not in before["tasks"]["click"]
    run("calibrate", trained, log, "--method isotonic --task click")
    after = run("evaluate", trained, log, "--json").json
    click = after["tasks"]["click"]
    assert "calibrated" not in after["tasks"]["buy"]
    assert {k: v for k, v in click.items() if k != "calibrated"} == before["tasks"]["click"], "what was raw stays raw"
    test = pd.read_parquet(log / "test.parquet")
    predicted = mg.Ranker.load(trained).predict(test)["click"]
    assert click["calibrated"]["metrics"]["ece"] == pytest.approx(metrics.ece(test["click"], predicted))
    assert click["calibrated"]["method"] == "isotonic"
    assert sum(point["rows"] for point in click["calibrated"]["calibration"]) == len(test)
    shown = run("evaluate", trained, log).out
    assert "isotonic" in shown.rpartition("calibrated, which predict applies")[2]


def test_tasks_are_calibrated_one_by_one_and_taken_out(run: Run, log: Path, trained: Path) -> None:
    before = (trained / "bundle" / "manifest.json").read_bytes()
    run("calibrate", trained, log, "--method platt --task click --task buy")
    run("calibrate", trained, log, "--method temperature --task buy")
    assert {n: one.method for n, one in read_calibration(trained / "bundle").tasks.items()} == {
        "click": "platt",
        "buy": "temperature",
    }
    assert run("calibrate", trained, "--method none --task click").out.startswith("took click out of")
    assert list(read_calibration(trained / "bundle").tasks) == ["buy"]
    assert run("calibrate", trained, "--method none --json").json["tasks"] == {}
    assert read_calibration(trained / "bundle") is None
    assert (trained / "bundle" / "manifest.json").read_bytes() == before


def test_without_a_log_the_runs_own_validation_rows(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    own, named = (run("calibrate", trained, *more, "--method isotonic --json").json for more in ((), (log,)))
    assert own["tasks"] == named["tasks"]
    assert own["log"] == f"validation rows of {log}"
    # Also where one table was split.
    table = pq.read_table(log / "train.parquet").drop(["timestamp"])
    pq.write_table(table, tmp_path / "one.parquet")
    tasks = ["click", "buy:where=click==1"]
    folder = tmp_path / "split"
    settings = {
        **SMALL,
        "epochs": 1,
        "ignore": ["like", "watch_time"],
        "calibration": "isotonic",
        "split": "group",
        "group": "user_id",
    }
    fitted = mg.Ranker(task=tasks, **settings).fit(tmp_path / "one.parquet", out=folder, progress="none")
    again = mg.Ranker.load(folder)
    again.calibrate(method="isotonic")
    assert again.calibration.tasks == fitted.calibration.tasks
    with pytest.raises(mg.InputError, match="trained on a dataframe"):
        mg.Ranker(task=tasks, **SMALL, ignore=["like", "watch_time"]).fit(table, progress="none").calibrate()


def test_the_setting_calibrates_every_architecture_of_a_comparison(run: Run, log: Path, tmp_path: Path) -> None:
    flags = "--architectures single_task,mmoe --calibration temperature --epochs 1 --replicas 2 --experts 2 --threads 1 --json"
    document = run("compare", log, flags, "--progress none --out", tmp_path / "c").json
    for name, result in document["results"].items():
        bundle = tmp_path / "c" / name / "bundle"
        load_bundle(bundle)
        assert set(read_calibration(bundle).tasks) == {"click", "like", "buy"}
        assert result["tasks"]["buy"]["calibrated"]["method"] == "temperature"
        # Dividing by a temperature keeps the order, and so the ensemble's AUC.
        assert result["tasks"]["buy"]["calibrated"]["metrics"]["auc"] == pytest.approx(result["tasks"]["buy"]["ensemble"]["auc"])
    assert "after temperature calibration" in (tmp_path / "c" / "report.html").read_text()
    again = run("compare --resume", tmp_path / "c", "--progress none --json").json
    assert again["results"]["mmoe"]["tasks"] == document["results"]["mmoe"]["tasks"], "what is done is loaded with its calibration"


def test_calibration_changes_nothing_else(log: Path, made: Path, tmp_path: Path) -> None:
    mg.Ranker(**SMALL, calibration="isotonic").fit(log, out=tmp_path / "run", progress="none")
    for name in ("model.safetensors", "encoder.json", "schema.json"):
        assert (tmp_path / "run" / "bundle" / name).read_bytes() == (made / "bundle" / name).read_bytes()
    plain, calibrated = (
        json.loads((folder / "evaluation.json").read_text())["results"]["mmoe"] for folder in (made, tmp_path / "run")
    )
    for task in TASKS:
        assert calibrated["tasks"][task].pop("calibrated", None) is not None or task == "watch_time"
    assert calibrated["tasks"] == plain["tasks"]


def test_what_cannot_be_calibrated(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    refused(
        run("calibrate", trained, log, "--task clik --task watch_time"), "2 problems", "Did you mean 'click'", "is a regression"
    )
    refused(run("calibrate", trained, log, "--method plat"), "plat")
    table = pq.read_table(log / "valid.parquet")
    pq.write_table(table.filter(pq.read_table(log / "valid.parquet")["click"].to_numpy() == 0), tmp_path / "none.parquet")
    refused(run("calibrate", trained, tmp_path / "none.parquet"), "task 'click'", "task 'like'", "rows of both classes")
    assert read_calibration(trained / "bundle") is None
    with pytest.raises(mg.InputError, match="'plat' is unknown"):
        mg.Ranker.load(trained).calibrate(log, method="plat")


# --- fusion ----------------------------------------------------------------------------------------------------------------------


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
    assert value == pytest.approx(result["trials"][result["chosen"]]["values"][0], rel=1e-6)


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


def test_saving_a_ranker_keeps_both(log: Path, trained: Path, tmp_path: Path) -> None:
    ranker = mg.Ranker.load(trained)
    ranker.calibrate(log, method="isotonic", task="click")
    ranker.calibrate(log, method="platt", task=["buy"])
    assert {name: one.method for name, one in ranker.calibration.tasks.items()} == {"click": "isotonic", "buy": "platt"}
    ranker.fuse({"click": 1.0, "like": 0.2}, "price:power=-0.1", name="rank")
    ranker.save(tmp_path / "bundle")
    again, test = mg.Ranker.load(tmp_path / "bundle"), pd.read_parquet(log / "test.parquet")
    assert (again.calibration, again.fusion) == (ranker.calibration, ranker.fusion)
    pd.testing.assert_frame_equal(again.predict(test), ranker.predict(test))
    assert list(again.predict(test)) == [*TASKS, "rank"]


def test_tampered_files_are_refused(run: Run, log: Path, trained: Path) -> None:
    run("calibrate", trained, log, "--method platt")
    run("fuse", trained, "--weights click=1")
    for name in ("calibration.json", "fusion.json"):
        path = trained / "bundle" / name
        good = path.read_bytes()
        path.write_bytes(good.replace(b"1.0", b"2.0", 1) if b"1.0" in good else good[:-1])
        refused(run("evaluate", trained, log), name)
        path.write_bytes(good)
    run("evaluate", trained, log, "--json").json  # noqa: B018 - raises unless it is whole again


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
