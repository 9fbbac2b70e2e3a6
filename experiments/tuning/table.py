"""Writes README.md from results.json and kills.json.

python experiments/tuning/table.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
HEAD = """# Which sampler finds good settings with few trials, and do kills harm a search?

`surrogate.py` makes `results.json`, `kills.py` makes `kills.json`, `table.py` this page.

## A surface whose best point is known

The surface has the shape of a validation AUC over five settings of MMoE: a ridge of learning rate and width, broad optima of
experts and widths, a slope of dropout, and little effect of id dropout. A trial adds noise with a standard deviation of
{noise:g}, as the mean of two replicas has. The trial with the best noisy value is taken, as in a search. Its *regret* is how far
its true AUC lies below the best of the surface. {seeds} seeds; the median, and in brackets the quartiles.

| sampler | trials | regret | CPU s for all proposals |
|---|---|---|---|
"""


def main() -> None:
    found = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    results = found["results"]
    seeds = len(next(iter(results["gp"]["regret"].values())))
    page = HEAD.format(noise=found["noise"], seeds=seeds)
    page += "".join(
        _row(name, budget, values, entry) for name, entry in results.items() for budget, values in entry["regret"].items()
    )
    (FOLDER / "README.md").write_text(page + "\n" + _answer(results) + _kills(), encoding="utf-8")


def _row(name: str, budget: str, values: list[float], entry: dict[str, Any]) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    last = budget == list(entry["regret"])[-1]
    return f"| {name} | {budget} | {middle:.5f} ({low:.5f} to {high:.5f}) | {entry['cpu_seconds'] if last else ''} |\n"


def _answer(results: dict[str, Any]) -> str:
    target = statistics.median(results["tpe"]["regret"]["300"])
    medians = {int(budget): statistics.median(values) for budget, values in results["gp"]["regret"].items()}
    enough = [budget for budget, median in medians.items() if median <= target]
    reached = f"needs {enough[0]} trials to reach" if enough else "does not reach in 75 trials"
    pairs = list(zip(results["gp"]["regret"]["75"], results["tpe"]["regret"]["300"], strict=True))
    ahead = sum(gp <= tpe for gp, tpe in pairs)
    return (
        f"In the median the Gaussian process {reached} what TPE finds with 300. With 75 trials it is at least as good as TPE with "
        f"300 on {ahead} of {len(pairs)} seeds.\n"
    )


def _kills() -> str:
    if not (FOLDER / "kills.json").is_file():
        return ""
    kills = json.loads((FOLDER / "kills.json").read_text(encoding="utf-8"))
    equal, inside = sum(kill["equal"] for kill in kills), sum(kill["repeated"] > 0 for kill in kills)
    storages = ", ".join(f"{sum(kill['storage'] == name for kill in kills)} {name}" for name in ("journal", "sqlite"))
    return f"""
## Kills

Two processes share a study with rounds. One of them gets SIGKILL at a random moment of a trial, and a third takes its place.
In **{equal} of {len(kills)}** studies ({storages}) every number has one trial that counts, and settings and scores equal those of a
single process that nobody killed, to the last bit. In {inside} of them the kill hit a running trial, which ran again.
"""


if __name__ == "__main__":
    main()
