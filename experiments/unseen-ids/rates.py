"""Which id dropout should be the default? MMoE on validation rows, with several rates in one program.

    export PYTHONPATH=experiments
    python experiments/unseen-ids/rates.py --wheel recbole-1.2.1-py3-none-any.whl --video short-video-log.tsv.gz

Writes rates.json beside this file, an entry after the other; what is there is not run again. No test row is read. Each log by time
is cut at several times, so that a rate is not chosen by the last days alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from logs import CUTS, EARLIER_CUTS, TURNOVERS, Log, made_up, movielens, short_video

from manygate.config import RunConfig
from manygate.files import to_json, write_text
from manygate.runs.preflight import prepare
from manygate.runs.run import train_one
from manygate.training.progress import Progress

HERE = Path(__file__).parent
RATES = (0.0, 0.5, 1.0, 3.0)
REPLICAS = 3


def logs(wheel: Path, video: Path) -> Iterator[tuple[str, Callable[[], Log]]]:
    """The name of each log, and what reads it."""
    for cut in (*EARLIER_CUTS, 0.8):
        yield f"movielens-time-{cut:g}", partial(movielens, wheel, True, cut)
    for cut in CUTS:
        yield f"short-video-{cut:g}", partial(short_video, video, cut)
    for turnover in TURNOVERS:
        yield f"made-up-{turnover:g}", partial(made_up, turnover, seed=101)
    yield "movielens-random", partial(movielens, wheel, False)


def scores(log: Log) -> dict[str, Any]:
    """The main metric on validation rows at each task's best epoch, by task, rate and replica."""
    began = time.monotonic()
    members = [(replica, rate) for replica in range(REPLICAS) for rate in RATES]
    seeds = tuple(replica for replica, _ in members)
    config = RunConfig.build(
        {
            "architecture": "mmoe",
            "replicas": len(members),
            "replica_seeds": seeds,
            "replica_id_dropouts": RATES,
            "threads": 1,
        }
    )
    encoded = prepare(log.parts["train"], config, log.schema, log.parts["valid"], log.parts["test"])
    state = train_one(encoded, config, None, Progress(), own_clocks=True).state
    best = np.array([[clock.best for clock in clocks] for clocks in state.own], dtype=float).reshape(REPLICAS, len(RATES), -1)
    tasks = {task.name: np.round(best[:, :, t].T, 6).tolist() for t, task in enumerate(log.schema.tasks)}
    return {"rates": RATES, "tasks": tasks, "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel of RecBole 1.2.1, which holds MovieLens-100K")
    parser.add_argument("--video", type=Path, required=True, help="the short-video log")
    parser.add_argument("--out", type=Path, default=HERE / "rates.json")
    options = parser.parse_args()
    results = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    for name, read in logs(options.wheel, options.video):
        if name in results:
            continue
        results[name] = scores(read())
        write_text(options.out, to_json(results))
        show(name, results[name])


def show(name: str, found: dict[str, Any]) -> None:
    for task, value_CR in found["tasks"].items():
        mean_C = np.mean(value_CR, axis=1)
        print(f"{name:20} {task:14} " + "  ".join(f"{value:+.4f}" for value in mean_C - mean_C[0]), flush=True)
    print(f"{name:20} {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
