"""Write README.md of this folder from results.json: python experiments/a-a/table.py"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from run import BUDGETS, CHOICE_LOGS, HERE, LOGS, PATIENCES, ROWS, WATCHED
from scipy.stats import beta
from unconnected import RULES, SETTINGS, TASKS

PROBABILITIES = ("log_loss", "calibration", "ece")
NAMES = {"auc": "AUC", "log_loss": "log loss", "calibration": "calibration", "ece": "ECE"}
NOMINAL = 0.025
"""The share of "hurts", and of "helps", that chance alone gives at a level of 95 %."""
RESAMPLES = 10_000
Decision = tuple[int, bool]
"""The log, and whether the decision has the outcome that is counted."""

HEAD = f"""# Does a comparison find nothing where nothing is shared?

Both arms of this comparison are the same: a network for each task, and nothing between them. One arm is `single_task`; the other is
`l2_constrained` with `l2_alpha` 0, on logs without ids, so that there are no embedding tables to share. Every true gain is 0, and
every "helps" or "hurts" is a false alarm. Written by `table.py` from `results.json`; `run.py` makes that, and goes on where it was
stopped. A small version is a test (tests/runs/test_unconnected_networks.py).

{LOGS} logs of {ROWS:,} rows and {len(TASKS)} binary tasks ({", ".join(TASKS)}), {SETTINGS["replicas"]} replicas. Validation
watches {" or ".join(WATCHED)}, with a patience of {" or ".join(map(str, PATIENCES))}, for at most {" or ".join(map(str, BUDGETS))}
epochs; the smaller number ends most runs before early stopping does. {CHOICE_LOGS - LOGS} more logs count the choice alone.

Each trained comparison is judged by two rules. *Own clocks*: each task at its own best epoch, in both arms. This is what a
comparison does. *One checkpoint*: the arm that stands for sharing is judged at the one epoch that it keeps for all tasks, and
chosen by the score of that epoch. This is what it did before.

"""
NOTES = """
Intervals are 95 %. The first is exact for independent decisions (Clopper and Pearson). Decisions of one log depend on each other:
they have the same rows, and by own clocks the watched task changes nothing and the patience little. So the second interval
resamples whole logs. A share is **bold** where both intervals are above 2.5 %, which is what chance alone gives each of "hurts" and
"helps" at most; the same holds for joint flags.
"""


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    first = [entry for entry in results if entry["log"] < LOGS]
    lines = [HEAD.rstrip("\n"), "", "## Verdicts of single tasks", ""]
    lines += ["| rule | metric | decisions | hurts | helps |", "|---|---|---|---|---|"]
    for rule in RULES:
        for metric in NAMES:
            lines.append(f"| {rule} | {NAMES[metric]} | " + " | ".join(_verdict_cells(first, rule, metric)) + " |")
    lines += ["", "## Joint flags", "", "Comparisons with a flag on at least one task.", ""]
    lines += ["| rule | flag | comparisons | hurts | helps |", "|---|---|---|---|---|"]
    for rule in RULES:
        lines.append(f"| {rule} | AUC | " + " | ".join(_flag_cells(first, rule, ("auc",))) + " |")
        lines.append(f"| {rule} | a metric of the probabilities | " + " | ".join(_flag_cells(first, rule, PROBABILITIES)) + " |")
    lines += ["", "## AUC by setting", "", '"Hurts" and "helps" of single tasks.', ""]
    lines += ["| watched | patience | epochs | own clocks: hurts, helps | one checkpoint: hurts, helps |", "|---|---|---|---|---|"]
    lines += list(_by_setting(first))
    lines += ["", "## The choice on validation", "", *_choice(results), NOTES.rstrip("\n"), ""]
    (HERE / "README.md").write_text("\n".join(lines), encoding="utf-8")


def decisions(entries: Iterable[dict[str, Any]], rule: str, metric: str, verdict: str) -> list[Decision]:
    """Return a decision for each comparison and task: whether the single verdict is ``verdict``."""
    return [(entry["log"], said[metric] == verdict) for entry in entries for said in entry["rules"][rule]["single"].values()]


def flags(entries: Iterable[dict[str, Any]], rule: str, metrics: tuple[str, ...], sign: int) -> list[Decision]:
    """Return a decision for each comparison: whether a joint flag of this sign stands on any task."""
    return [
        (entry["log"], any(by[metric] == sign for by in entry["rules"][rule]["joint"].values() for metric in metrics))
        for entry in entries
    ]


def exact(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Clopper and Pearson.

    >>> tuple(round(end, 4) for end in exact(0, 100))
    (0.0, 0.0362)
    """
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def by_log(found: list[Decision]) -> tuple[float, float]:
    """Return the 95 % interval of a share that resamples whole logs."""
    logs = sorted({log for log, _ in found})
    share_L = np.array([np.mean([hit for own, hit in found if own == log]) for log in logs])
    drawn = np.random.default_rng(0).integers(0, len(logs), size=(RESAMPLES, len(logs)))
    low, high = np.quantile(share_L[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _verdict_cells(entries: list[dict[str, Any]], rule: str, metric: str) -> list[str]:
    return _cells(lambda verdict: decisions(entries, rule, metric, verdict))


def _flag_cells(entries: list[dict[str, Any]], rule: str, metrics: tuple[str, ...]) -> list[str]:
    return _cells(lambda verdict: flags(entries, rule, metrics, -1 if verdict == "hurts" else 1))


def _cells(found_of: Callable[[str], list[Decision]]) -> list[str]:
    return [str(len(found_of("hurts"))), *(share_words(found_of(verdict)) for verdict in ("hurts", "helps"))]


def share_words(found: list[Decision]) -> str:
    """Write the share of hits with its two intervals, in bold where more than chance is certain by both."""
    count, total = sum(hit for _, hit in found), len(found)
    ends = [exact(count, total), by_log(found)]
    bold = "**" if all(low > NOMINAL for low, _ in ends) else ""
    return f"{bold}{count} ({count / total:.1%}){bold}; {_percent(ends[0])}; {_percent(ends[1])}"


def _percent(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _by_setting(entries: list[dict[str, Any]]) -> Iterator[str]:
    settings = sorted({(entry["monitor"], entry["patience"], -entry["epochs"]) for entry in entries})
    for monitor, patience, epochs in settings:
        own = [e for e in entries if (e["monitor"], e["patience"], -e["epochs"]) == (monitor, patience, epochs)]
        counts = [
            ", ".join(str(sum(hit for _, hit in decisions(own, rule, "auc", verdict))) for verdict in ("hurts", "helps"))
            + f" of {len(decisions(own, rule, 'auc', 'hurts'))}"
            for rule in RULES
        ]
        yield f"| {monitor} | {patience} | {-epochs} | {counts[0]} | {counts[1]} |"


def _choice(results: list[dict[str, Any]]) -> Iterator[str]:
    chosen = [e for e in results if (e["monitor"], e["patience"], e["epochs"]) == (WATCHED[0], PATIENCES[0], BUDGETS[0])]
    settings = f"watched: {WATCHED[0]}, patience {PATIENCES[0]}, {BUDGETS[0]} epochs"
    yield f"How often validation prefers `single_task` ({settings}). A coin gives half."
    yield ""
    yield "| rule | logs | single_task preferred |"
    yield "|---|---|---|"
    for rule in RULES:
        count = sum(entry["rules"][rule]["prefers_single"] for entry in chosen)
        yield f"| {rule} | {len(chosen)} | {count} ({count / len(chosen):.0%}); {_percent(exact(count, len(chosen)))} |"


if __name__ == "__main__":
    main()
