"""Calibration against a known truth: python experiments/calibration/run.py; writes results.json here (then table.py the README).

A log's labels hide what a calibrator does: with 5,000 rows a bin, noise alone moves a bin's rate by some 0.005. The embedded log
knows the probability behind every label, so that the error is measured against that instead.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import manygate as mg
from manygate import metrics
from manygate.scoring.calibration_fit import fit_calibrator

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)  # of the log, hence of its users, items and preferences
ROWS, TRAIN, STOP, VALID = 2_600_000, 120_000, 20_000, 2_200_000  # the rest is test
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_200_000)
METHODS = ("platt", "temperature", "isotonic")
TRUTH = {"click": "p_click_served", "like": "p_like", "buy": "p_buy"}
SETTINGS = {"architecture": "mmoe", "epochs": 4, "learning_rate": 3e-3, "threads": 1, "device": "cpu"}
PARTS = ("train", "valid", "test")


def pooled(folder: Path, seed: int) -> tuple[pa.Table, pa.Table, mg.Schema]:
    """The log's rows in an order at random, with their truth: the parts are by time, and time changes nothing in this log."""
    mg.datasets.impressions(folder, rows=ROWS, seed=seed)
    log, truth = (pa.concat_tables([pq.read_table(folder / name / f"{part}.parquet") for part in PARTS]) for name in (".", "truth"))
    order = np.random.Generator(np.random.PCG64(1)).permutation(ROWS)
    return log.take(order), truth.take(order), mg.Schema.load(folder / "schema.yaml")


def ece(target_N: np.ndarray, predicted_N: np.ndarray) -> float:
    """Mean distance between mean prediction and mean target over 15 bins of equal mass: metrics.ece for targets between 0 and 1."""
    order = np.argsort(predicted_N, kind="stable")
    bins = [(predicted_N[rows], target_N[rows]) for rows in np.array_split(order, metrics.BINS)]
    return float(sum(len(p) * abs(p.mean() - y.mean()) for p, y in bins) / len(order))


def judged(truth_N: np.ndarray, label_N: np.ndarray, predicted_N: np.ndarray) -> dict[str, float]:
    return {
        "ece_truth": ece(truth_N, predicted_N),
        "ece_labels": metrics.ece(label_N, predicted_N),
        "calibration_truth": float(truth_N.sum() / predicted_N.sum()),
        "log_loss": metrics.log_loss(label_N, predicted_N),
    }


def columns(table: pa.Table, scores: pa.Table, truth: pa.Table, task: str) -> tuple[np.ndarray, ...]:
    """(label, prediction, truth) of the rows in a task's sample space."""
    inside = np.ones(len(table), bool) if task == "click" else table["click"].to_numpy() == 1
    label = table[task].to_numpy(zero_copy_only=False)[inside].astype(np.float64)
    return label, scores[task].to_numpy()[inside], truth[TRUTH[task]].to_numpy()[inside]


def run(folder: Path, seed: int) -> dict[str, Any]:
    log, truth, schema = pooled(folder, seed)
    edges = np.cumsum([0, TRAIN, STOP, VALID, ROWS - TRAIN - STOP - VALID])
    (train, stop, valid, test), (*_, valid_truth, test_truth) = (
        [table.slice(low, high - low) for low, high in zip(edges, edges[1:], strict=False)] for table in (log, truth)
    )
    ranker = mg.Ranker(**SETTINGS).fit(train, valid=stop, test=test.slice(0, 20_000), schema=schema, progress="none")
    fit_scores, test_scores = ranker.predict(valid, raw=True), ranker.predict(test, raw=True)
    results: dict[str, Any] = {"rows": {"train": TRAIN, "stop": STOP, "valid": VALID, "test": test.num_rows}, "tasks": {}}
    for task in TRUTH:
        fit_label, fit_predicted, _ = columns(valid, fit_scores, valid_truth, task)
        label, predicted, true = columns(test, test_scores, test_truth, task)
        found: dict[str, Any] = {"rows": {"valid": fit_label.size, "test": label.size}, "raw": judged(true, label, predicted)}
        found["truth itself"] = judged(true, label, true)
        for method in METHODS:
            calibrator = fit_calibrator(method, fit_label, fit_predicted)
            found[method] = judged(true, label, calibrator.apply(predicted))
            found[method]["numbers"] = len(calibrator.numbers["x"]) if method == "isotonic" else len(calibrator.numbers)
        found["by size"] = []
        for size in SIZES:
            share = round(fit_label.size * size / VALID)
            fits = {method: fit_calibrator(method, fit_label[:share], fit_predicted[:share]) for method in METHODS}
            row = {"impressions": size, "rows": share}
            found["by size"].append(row | {method: ece(true, fits[method].apply(predicted)) for method in METHODS})
        results["tasks"][task] = found
    # The same through the public interface: what a user gets is what was measured.
    ranker.calibrate(valid, method="isotonic")
    served = ranker.predict(test)
    for task in TRUTH:
        label, predicted, true = columns(test, served, test_truth, task)
        assert judged(true, label, predicted)["ece_truth"] == results["tasks"][task]["isotonic"]["ece_truth"]
    return results | {"seed": seed}


if __name__ == "__main__":
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        logs = [run(Path(scratch) / f"log-{seed}", seed) for seed in SEEDS]
    found = {"settings": SETTINGS, "rows": ROWS, "logs": logs, "seconds": round(time.monotonic() - began)}
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
