"""Which way of training a funnel recovers P(buy | click) over *all* impressions, where the truth is known?

    python experiments/funnels/run.py --relatedness 0.9

Writes results-RELATEDNESS.json beside this file, a seed after the other; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import manygate as mg
from manygate import metrics
from manygate.schema import Schema

HERE = Path(__file__).parent
WAYS = {
    "clicks only": {"architecture": "single_task", "funnel": "conditional"},
    "conditional": {"architecture": "mmoe", "funnel": "conditional"},
    "esmm": {"architecture": "mmoe", "funnel": "esmm"},
    "escm2_ipw": {"architecture": "mmoe", "funnel": "escm2_ipw"},
    "escm2_dr": {"architecture": "mmoe", "funnel": "escm2_dr"},
    "aitm": {"architecture": "mmoe", "funnel": "aitm"},
}


def measure(truth_N: np.ndarray, score_N: np.ndarray) -> dict[str, float]:
    """AUC, calibration and ECE of a score against true probabilities: a row is a positive of weight p and a negative of 1 - p."""
    both = (np.repeat([1.0, 0.0], len(truth_N)), np.tile(score_N, 2), np.concatenate([truth_N, 1 - truth_N]))
    return {"auc": metrics.auc(*both), "calibration": metrics.calibration(*both), "ece": metrics.ece(*both)}


def one_seed(seed: int, options: argparse.Namespace, known: dict[str, Any]) -> dict[str, Any]:
    """Every way that is not ``known`` on one log; measured on all test rows, clicked or not."""
    with TemporaryDirectory() as folder:
        log = mg.datasets.impressions(Path(folder) / "log", options.rows, options.relatedness, seed).folder
        truth = pq.read_table(log / "truth" / "test.parquet")
        truth_N = truth["p_buy"].to_numpy()
        joint_N = truth["p_click_served"].to_numpy() * truth_N
        given = Schema.load(log / "schema.yaml")
        tasks = (given.tasks[0], given.tasks[3].model_copy(update={"where": None, "after": "click"}))
        ignored = given.ignored | {"like": "not used here", "watch_time": "not used here"}
        schema = given.model_copy(update={"tasks": tasks, "ignored": ignored})
        found = dict(known)
        for name, way in WAYS.items():
            if name in found:
                continue
            settings = {
                "replicas": options.replicas,
                "seed": seed,
                "learning_rate": 3e-3,
                "patience": 2,
                "threads": options.threads,
            }
            ranker = mg.Ranker(**settings, **way).fit(log, schema=schema, progress="none")
            scores = ranker.predict(log / "test.parquet")
            found[name] = measure(truth_N, scores["buy"].to_numpy())
            found[name] |= {f"joint_{key}": value for key, value in measure(joint_N, scores["click_buy"].to_numpy()).items()}
        best = {"auc": measure(truth_N, truth_N)["auc"], "joint_auc": measure(joint_N, joint_N)["auc"]}
        return {"ways": {name: found[name] for name in WAYS}, "best": best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--relatedness", type=float, default=0.5)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.out = options.out or HERE / f"results-{options.relatedness:g}.json"
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "seeds", "first_seed", "threads")}
    results = json.loads(options.out.read_text()) if options.out.is_file() else {"settings": settings, "seeds": {}}
    if results["settings"] != settings:
        raise SystemExit(f"{options.out}: made with {results['settings']}. Choose another --out.")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        known = results["seeds"].get(str(seed), {"ways": {}})["ways"]
        if set(known) != set(WAYS):
            results["seeds"][str(seed)] = one_seed(seed, options, known)
            options.out.write_text(json.dumps(results, indent=1) + "\n")
        show(seed, results["seeds"][str(seed)])


def show(seed: int, found: dict[str, Any]) -> None:
    print(f"seed {seed}: best AUC {found['best']['auc']:.4f}, of the joint event {found['best']['joint_auc']:.4f}")
    for name, one in found["ways"].items():
        print(f"  {name:12} " + "  ".join(f"{key} {value:.4f}" for key, value in one.items()), flush=True)


if __name__ == "__main__":
    main()
