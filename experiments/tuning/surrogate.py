"""What each sampler finds on a response surface whose best point is known.

    python experiments/tuning/surrogate.py --seeds 20 --out experiments/tuning/results.json

The surface is made up in the shape of a validation AUC over five settings of MMoE: a ridge between learning rate and batch, a broad
optimum of widths and experts, a slope of dropout, and little effect of id dropout. A trial adds noise with the standard deviation
of a mean over two replicas. As in a search, the trial with the best noisy value is taken; its regret is how far its true value lies
below the best one of the surface.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from manygate.config import RunConfig
from manygate.config.ranges import Range
from manygate.runs.tuning.proposal import Known, Sampler, propose
from manygate.runs.tuning.space import Space

BEST, NOISE = 0.80, 0.001
RANGES = {
    "learning_rate": {"log": [2e-4, 2e-2]},
    "experts": {"int": [2, 16]},
    "expert_hidden": {"log_int": [16, 256]},
    "dropout": {"uniform": [0.0, 0.5]},
    "id_dropout": {"uniform": [0.0, 5.0]},
}
BUDGETS: dict[Sampler, tuple[int, ...]] = {"gp": (10, 25, 50, 75), "tpe": (75, 150, 300), "random": (75, 150, 300)}
SPACE = Space(RunConfig(), {name: Range.model_validate(tree) for name, tree in RANGES.items()})


def surface(params: Mapping[str, object]) -> float:
    """Return the true AUC of some settings.

    It is ``BEST`` at a learning rate of 0.003, 9 experts of 90 units, dropout 0.15 and id dropout 1.5, and lower elsewhere.
    """
    rate, experts, width, dropout, c = (float(params[name]) for name in RANGES)  # type: ignore[arg-type]
    steps, doublings, widths = math.log10(rate / 0.003), math.log2(experts / 9), math.log2(width / 90)
    ridge = 0.020 * (steps + 0.25 * widths) ** 2 + 0.004 * steps**2  # wider networks want smaller steps
    return BEST - ridge - 0.0015 * doublings**2 - 0.0020 * widths**2 - 0.06 * (dropout - 0.15) ** 2 - 0.0003 * (c - 1.5) ** 2


def search(sampler: Sampler, seed: int) -> tuple[list[float], float]:
    """Return the regret of the chosen trial after each budget of the sampler, and the CPU seconds that it took."""
    noise = np.random.default_rng([seed, 7])
    known: list[Known] = []
    regrets, began = [], time.process_time()
    for number in range(max(BUDGETS[sampler])):
        params = propose(SPACE, known, sampler, 1, seed, number)
        known.append(Known(params, (surface(params) + NOISE * noise.standard_normal(),)))
        if number + 1 in BUDGETS[sampler]:
            chosen = max(known, key=lambda trial: trial.values or ())
            regrets.append(BEST - surface(chosen.params))
    return regrets, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("experiments/tuning/results.json"))
    parser.add_argument("--samplers", nargs="+", default=list(BUDGETS), choices=list(BUDGETS))
    arguments = parser.parse_args()
    for sampler, budgets in BUDGETS.items():
        if sampler not in arguments.samplers:
            continue
        runs = [search(sampler, seed) for seed in range(arguments.seeds)]
        by_budget = {str(budget): [round(regrets[n], 6) for regrets, _ in runs] for n, budget in enumerate(budgets)}
        found = {"regret": by_budget, "cpu_seconds": round(statistics.median(seconds for _, seconds in runs), 1)}
        medians = {budget: statistics.median(values) for budget, values in by_budget.items()}
        print(sampler, {budget: f"{median:.5f}" for budget, median in medians.items()}, found["cpu_seconds"], flush=True)
        tree = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {"noise": NOISE, "results": {}}
        tree["results"][sampler] = found
        arguments.out.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
