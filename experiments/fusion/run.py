"""How good are weights that a search found? python experiments/fusion/run.py; writes results.json here (then table.py the README).

The best that weights can reach is found by brute force, on the same rows, over a grid of directions; the search must come near it.
What weights that were found on validation visits are worth on test visits is another question, and is answered beside it.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import manygate as mg
from manygate.data.labelled import labelled_table
from manygate.scoring.fusion import log_factor
from manygate.scoring.fusion_search import Judge, Judged, plan_search, search
from manygate.scoring.judged import judged_rows

HERE = Path(__file__).parent
ROWS, TRIALS, SEEDS = 200_000, 200, (0, 1, 2)
STEPS = 20
SETTINGS = {"architecture": "mmoe", "epochs": 6, "learning_rate": 3e-3, "replicas": 2, "threads": 1, "device": "cpu"}
OBJECTIVES = (
    ("click/ndcg",),
    ("watch_time/gain@5",),
    ("buy/ndcg@10",),
    ("like/gauc",),
    ("click/ndcg=1", "watch_time/gain@5=0.5"),
    ("click/ndcg=1", "like/ndcg=1", "buy/ndcg=1"),
)


def directions(factors: int, steps: int) -> np.ndarray:
    """Every direction whose weights are multiples of 1/steps that sum to 1, (directions, factors)."""
    bars = itertools.combinations(range(steps + factors - 1), factors - 1)
    edges = np.array([(-1, *bar, steps + factors - 1) for bar in bars])
    return (np.diff(edges, axis=1) - 1) / steps


def totals(judge: Judge, log_NK: np.ndarray, weight_PK: np.ndarray, own_M: np.ndarray) -> np.ndarray:
    """The weighed sum of objectives, each in units of what its task alone reaches, for every direction."""
    weight_M = np.array([one.weight for one in judge.objectives])
    return np.array([np.dot(np.array(judge(log_NK @ weight_K)) / own_M, weight_M) for weight_K in weight_PK])


def own(judge: Judge, rows: Judged) -> np.ndarray:
    return np.array([judge(log_factor(rows.columns[one.task]))[m] for m, one in enumerate(judge.objectives)])


def compared(valid: Judged, test: Judged, kinds: dict[str, str], texts: tuple[str, ...]) -> dict[str, Any]:
    factors, objectives = list(kinds), plan_search(texts, kinds, list(kinds)).objectives
    log_valid, log_test = (np.column_stack([log_factor(rows.columns[name]) for name in factors]) for rows in (valid, test))
    on_valid, on_test = Judge(valid, objectives), Judge(test, objectives)
    unit_valid, unit_test = own(on_valid, valid), own(on_test, test)
    grid = directions(len(factors), STEPS)
    began = time.monotonic()
    grid_valid, grid_test = totals(on_valid, log_valid, grid, unit_valid), totals(on_test, log_test, grid, unit_test)
    grid_seconds = (time.monotonic() - began) / 2
    runs = []
    for seed in SEEDS:
        began = time.monotonic()
        result = search(valid, plan_search(texts, kinds, factors, trials=TRIALS, seed=seed))
        seconds = time.monotonic() - began
        chosen = result["trials"][result["chosen"]]
        on = float(totals(on_test, log_test, np.array([chosen["weights"]]), unit_test)[0])
        runs.append(
            {"seed": seed, "weights": chosen["weights"], "valid": chosen["total"], "test": on, "seconds": round(seconds, 1)}
        )
    whole = sum(one.weight for one in objectives)
    alone = totals(on_test, log_test, np.eye(len(factors)), unit_test).tolist()
    return {
        "objectives": list(texts),
        "factors": factors,
        "best_valid": float(grid_valid.max()),
        "best_valid_weights": grid[grid_valid.argmax()].tolist(),
        "best_test": float(grid_test.max()),
        "grid_valid_on_test": float(grid_test[grid_valid.argmax()]),
        "alone_test": dict(zip(factors, alone, strict=True)),
        "even_test": float(totals(on_test, log_test, np.ones((1, len(factors))), unit_test)[0]),
        "weight": whole,
        "directions": len(grid),
        "grid_seconds": round(grid_seconds, 1),
        "runs": runs,
    }


def run(folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    log = mg.datasets.impressions(folder, rows=ROWS).folder
    ranker = mg.Ranker(**SETTINGS).fit(log, progress="none")
    ranker.calibrate(log, method="platt")
    valid, test = (judged_rows(ranker.predictor, labelled_table(ranker.encoder, log, part)) for part in ("valid", "test"))
    kinds = {task.name: task.kind for task in ranker.schema.tasks}
    found = [compared(valid, test, kinds, texts) for texts in OBJECTIVES]
    counts = [{"rows": len(one.group_N), "visits": len(np.unique(one.group_N))} for one in (valid, test)]
    rows = dict(zip(("valid", "test"), counts, strict=True))
    return {
        "settings": SETTINGS,
        "log": ROWS,
        "trials": TRIALS,
        "steps": STEPS,
        "rows": rows,
        "objectives": found,
        "seconds": round(time.monotonic() - began),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        document = run(Path(scratch) / "log")
    (HERE / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
