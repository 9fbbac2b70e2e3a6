"""Does a comparison find nothing where nothing is shared? Trains unconnected networks in both arms on many small logs.

python experiments/a-a/run.py             goes on where it was; writes results.json (then run table.py)
python experiments/a-a/run.py --logs 2    a few logs alone
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

from unconnected import compare

from manygate.files import to_json, write_text

HERE = Path(__file__).parent
ROWS = 4000
LOGS, CHOICE_LOGS = 20, 60
FIRST_SEED = 4000
WATCHED = ("mean", "rare")
PATIENCES = (2, 5)
BUDGETS = (40, 4)
"""Largest numbers of epochs: enough for early stopping to end every run, and a cut before most tasks are at their best."""


def cells(log: int) -> list[dict[str, Any]]:
    """Return the settings that a log is compared with: all of them on the first logs, one on those that only count the choice."""
    every = [{"monitor": m, "patience": p, "epochs": e} for m, p, e in product(WATCHED, PATIENCES, BUDGETS)]
    return every if log < LOGS else every[:1]


def key(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return what identifies a comparison."""
    return entry["log"], entry["monitor"], entry["patience"], entry["epochs"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=CHOICE_LOGS, help="how many logs to go through")
    given = parser.parse_args()
    path = HERE / "results.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    known = {key(entry) for entry in done}
    for log in range(given.logs):
        wanted = [{"log": log, **cell} for cell in cells(log)]
        for entry in (entry for entry in wanted if key(entry) not in known):
            start, settings = time.monotonic(), {name: value for name, value in entry.items() if name != "log"}
            found = compare(ROWS, FIRST_SEED + log, **settings)
            done.append({**entry, "rules": found})
            print(key(entry), f"{time.monotonic() - start:.1f} s", found["own clocks"]["gain"], flush=True)
        write_text(path, to_json(sorted(done, key=lambda one: [str(part) for part in key(one)])))


if __name__ == "__main__":
    main()
