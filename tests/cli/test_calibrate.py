"""``manygate calibrate``, and what predict and evaluate make of it, on the command line and in Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

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

SMALL = {"epochs": 2, "experts": 2, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu", "learning_rate": 0.01}


TASKS = ["click", "like", "watch_time", "buy"]


QUICK = "--experts 2 --epochs 1 --batch-size 1024 --threads 1 --progress none"


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


def test_a_run_finds_its_log_from_another_folder(run: Run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder holds absolute paths of log, validation rows and schema. Another log of the same name is not read."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    for part in ("train", "valid"):
        pq.write_table(pq.read_table(log / f"{part}.parquet"), home / f"{part}.parquet")
    (home / "log.yaml").write_text((log / "schema.yaml").read_text())
    pq.write_table(pq.read_table(log / "test.parquet"), elsewhere / "train.parquet")
    monkeypatch.chdir(home)
    flags = f"train train.parquet --valid valid.parquet --schema-file log.yaml {QUICK}"
    assert run(flags, "--out run").code == 0
    expected = run("calibrate run --method platt --json").json
    monkeypatch.chdir(elsewhere)
    found = run("calibrate", home / "run", "--method platt --json").json
    assert found["tasks"] == expected["tasks"]
    assert found["log"] == f"validation rows of {home / 'train.parquet'}"
    assert run("train --resume", home / "run", "--progress none").code == 0
    assert run("fuse", home / "run", "--objective click/gauc --trials 5").code == 0
    (home / "valid.parquet").rename(home / "gone.parquet")
    gone = run("calibrate", home / "run", "--method platt")
    assert gone.code == 2
    assert f"{home / 'valid.parquet'}: does not exist" in gone.err


def test_few_rows_to_fit_on_are_warned_of(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(log / "valid.parquet").slice(0, 60), tmp_path / "few.parquet")
    result = run("calibrate", trained, "few.parquet --method platt --task click")
    assert result.code == 0
    assert "warning: task 'click' has 60 labelled rows, " in result.err
    assert "task 'buy'" not in result.err, "only what is calibrated"


def test_another_log_in_place_of_the_run_s_is_refused(run: Run, log: Path, tmp_path: Path) -> None:
    table = pq.read_table(log / "train.parquet")
    pq.write_table(table, tmp_path / "log.parquet")
    ignored = "--ignore like --ignore buy --ignore watch_time"
    flags = f"train log.parquet --task click {ignored} {QUICK}"
    assert run(flags, "--out run").code == 0
    pq.write_table(table.slice(1), tmp_path / "log.parquet")
    rows = table.num_rows
    for command in ("calibrate run", "train --resume run --progress none"):
        refused = run(command)
        assert refused.code == 2
        assert f"{tmp_path / 'log.parquet'}: it has {rows - 1:,} rows, and had {rows:,}" in refused.err


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
