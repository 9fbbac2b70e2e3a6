"""Write README.md and the figures of this folder from results.json and times.json: python experiments/serving-cost/table.py"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
from choice import EQUAL, Difference, Entry, against, cheapest, chosen, of_scheme, reference, verdicts
from figure import Line, draw
from study import DIVISORS, HERE, MARGINS, RESULTS, SCHEMES, TIMES, width_name
from timing import ONE_TASK
from words import CHECK, CLAIMS, FULL, GATES, HEAD, LIMITS, NOTES, QUALITY, Claim, lead

from manygate.files import write_text

Tree = dict[str, Any]
FACTORS = (0.5, 1, 2)
"""The margins of plan.md in units of each log's."""
AT_GUESSING = 0.01
"""A metric that is no farther from guessing (AUC 0.5, R2 0) has learnt nothing."""


class Costs:
    """The measured sizes and times of a log's models."""

    def __init__(self, times: Tree):
        self.by_pair: dict[tuple[str, str], Entry] = {(entry["scheme"], entry["width"]): entry for entry in times["models"]}
        self.machine: Tree = times["machine"]

    def of(self, scheme: str, width: str, what: str) -> float:
        """FLOPs of a row, or the median of the milliseconds of ``whole`` or ``network``."""
        value = self.by_pair[scheme, width][what]
        return float(statistics.median(value) if isinstance(value, list) else value)


def widths(name: str, log: Tree) -> dict[str, dict[str, str | None]]:
    """The width of each scheme at full width, and at equal quality where there is one."""
    return {
        FULL: dict.fromkeys(SCHEMES, "1"),
        QUALITY: {scheme: None if entry is None else entry["width"] for scheme, entry in chosen(name, log).items()},
    }


def ratio(costs: Costs, at: dict[str, str | None], scheme: str, other: str, what: str) -> float | None:
    """The cost of a scheme as a multiple of another's. None if one of the two has no width."""
    width, base = at.get(scheme), at.get(other)
    return None if width is None or base is None else costs.of(scheme, width, what) / costs.of(other, base, what)


def claim_cell(costs: Costs, at: dict[str, str | None], claim: Claim) -> str:
    """Both ratios of a claim, and whether they keep its bar."""
    found = [ratio(costs, at, claim.scheme, claim.other, what) for what in ("flops", "network")]
    if None in found:
        without = [scheme for scheme in (claim.other, claim.scheme) if at.get(scheme) is None]
        return f"cannot tell: no equal width of {' and '.join(without)}"
    held = {claim.holds(value) for value in found if value is not None}
    return f"{found[0]:.2f}, {found[1]:.2f}: " + ("holds" if held == {True} else "does not hold" if held == {False} else "mixed")


def claims(results: Tree, costs: dict[str, Costs]) -> Iterator[str]:
    columns = [(name, where, at) for name, log in results.items() for where, at in widths(name, log).items()]
    yield "| claim | bar | " + " | ".join(f"{name}, {where}" for name, where, _ in columns) + " |"
    yield "|---" * (len(columns) + 2) + "|"
    for claim in CLAIMS:
        cells = [claim_cell(costs[name], at, claim) for name, _, at in columns]
        yield f"| {claim.text} | {claim.bar} | {' | '.join(cells)} |"


def at_other_margins(results: Tree) -> Iterator[str]:
    """The ratios of FLOPs of the claims at equal quality, with other margins."""
    columns = [(name, log, factor * MARGINS[name]) for name, log in results.items() for factor in FACTORS]
    yield "| claim | bar | " + " | ".join(f"{name}, {margin:g}" for name, _, margin in columns) + " |"
    yield "|---" * (len(columns) + 2) + "|"
    for claim in CLAIMS:
        pairs = [[cheapest(log, scheme, margin) for scheme in (claim.scheme, claim.other)] for _, log, margin in columns]
        cells = ["" if one is None or other is None else f"{one['flops'] / other['flops']:.2f}" for one, other in pairs]
        yield f"| {claim.text} | {claim.bar} | {' | '.join(cells)} |"


def at_narrowest(results: Tree) -> str:
    """The FLOPs of MMoE in multiples of those of a shared bottom, both at the narrowest width."""
    pairs = [(name, *(of_scheme(log, scheme)[0]["flops"] for scheme in ("mmoe", "shared_bottom"))) for name, log in results.items()]
    return " and ".join(f"{mmoe / bottom:.2f} times (on {name})" for name, mmoe, bottom in pairs)


def by_test_rows(results: Tree) -> Iterator[str]:
    """The cheapest widths by test rows, and their FLOPs in multiples of those of the models of each task."""
    for name, log in results.items():
        found = {scheme: cheapest(log, scheme, MARGINS[name], "test") for scheme in chosen(name, log)}
        own = found["single_task"]
        assert own is not None, "the reference is equal to itself"
        texts = [f"`{scheme}` {e['flops'] / own['flops']:.2f} ({e['width']})" for scheme, e in found.items() if e is not None]
        without = [f"`{scheme}`" for scheme, entry in found.items() if entry is None]
        yield f"* {name}: {', '.join(texts)}" + (f"; no width that was trained of {', '.join(without)}" if without else "") + "."


def higher_on_test(results: Tree) -> str:
    """How many differences to the reference are higher on test rows than on validation rows, by log."""
    counts = []
    for name, log in results.items():
        best = reference(log)
        others = [entry for entry in log["trainings"] if entry["scheme"] != "single_task"]
        higher = sum(against(entry, best, "test").mean > against(entry, best, "valid").mean for entry in others)
        counts.append(f"{higher} of {len(others)} ({name})")
    return " and ".join(counts)


def shown(difference: Difference) -> str:
    return f"{difference.mean:+.4f} ± {(difference.high - difference.low) / 2:.4f}"


def cost_cells(costs: Costs, at: dict[str, str | None], scheme: str) -> list[str]:
    """Parameters, FLOPs with their multiples, milliseconds with theirs, and the bytes of a scheme at its width."""
    width = at[scheme]
    assert width is not None
    entry = costs.by_pair[scheme, width]
    multiples = {
        what: [ratio(costs, at, scheme, other, what) for other in ("single_task", "shared_bottom")] for what in ("flops", "network")
    }
    words = {what: ["" if value is None else f"{value:.2f}" for value in pair] for what, pair in multiples.items()}
    return [
        f"{entry['embeddings']:,}",
        f"{entry['dense']:,}",
        f"{entry['flops']:,}",
        *words["flops"],
        f"{costs.of(scheme, width, 'whole'):.2f}",
        f"{costs.of(scheme, width, 'network'):.2f}",
        *words["network"],
        f"{entry['bytes'] / 1e3:,.0f}",
    ]


RATIOS = "÷ single_task | ÷ shared_bottom"
COST_COLUMNS = f"embeddings | other parameters | FLOPs a row | {RATIOS} | ms, raw features | ms, network | {RATIOS} | kB"


def equal_table(name: str, log: Tree, costs: Costs) -> Iterator[str]:
    """The costs of the cheapest width of each scheme that is equal to the reference."""
    best, margin, at = reference(log), MARGINS[name], widths(name, log)[QUALITY]
    yield f"| scheme | width | narrower | validation | test | {COST_COLUMNS} | at half the margin | at twice |"
    yield "|---" * 17 + "|"
    for scheme, width in at.items():
        others = [_width_at(log, scheme, factor * margin) for factor in (FACTORS[0], FACTORS[-1])]
        if width is None:
            yield f"| {scheme} | none | {_verdicts(log, scheme, margin)} |" + " |" * 12 + f" {others[0]} | {others[1]} |"
            continue
        entry = next(entry for entry in of_scheme(log, scheme) if entry["width"] == width)
        differences = [shown(against(entry, best, part)) if entry is not best else "reference" for part in ("valid", "test")]
        cells = [scheme, width, _verdicts(log, scheme, margin), *differences, *cost_cells(costs, at, scheme), *others]
        yield f"| {' | '.join(cells)} |"


def _width_at(log: Tree, scheme: str, margin: float) -> str:
    entry = cheapest(log, scheme, margin)
    complete = len(of_scheme(log, scheme)) == len(DIVISORS)
    return entry["width"] if entry is not None else "none" if complete else "none of those trained"


def _verdicts(log: Tree, scheme: str, margin: float) -> str:
    """What was found of the widths below the cheapest that is equal."""
    found: list[str] = []
    for width, verdict in verdicts(log, scheme, margin).items():
        if verdict == EQUAL:
            break
        found.append(f"{width} {verdict}")
    return ", ".join(found) or "-"


def full_table(name: str, log: Tree, costs: Costs) -> Iterator[str]:
    """The costs of all schemes at full width, and the quality of those that were trained so."""
    best, at = reference(log), widths(name, log)[FULL]
    yield f"| scheme | validation | test | {COST_COLUMNS} |"
    yield "|---" * 13 + "|"
    for scheme in SCHEMES:
        entry = next((entry for entry in of_scheme(log, scheme) if entry["width"] == "1"), None)
        differences = ["not trained"] * 2
        if entry is not None:
            differences = [shown(against(entry, best, part)) if entry is not best else "reference" for part in ("valid", "test")]
        yield f"| {' | '.join([scheme, *differences, *cost_cells(costs, at, scheme)])} |"


def graphs_apart(log: Tree, costs: Costs, at: dict[str, dict[str, str | None]]) -> str:
    """What ``single_task`` costs as a graph for each task."""
    tasks, parts = len(log["tasks"]), []
    for where, of_width in at.items():
        width = of_width["single_task"]
        assert width is not None
        one, all_ = (costs.of(scheme, width, "whole") for scheme in (ONE_TASK, "single_task"))
        parts.append(f"{tasks * one:.2f} ms {where}, {tasks * one / all_:.2f} times the one graph")
    return f"As {tasks} graphs, one after the other, `single_task` takes {' and '.join(parts)}: each encodes all features anew."


def rungs(name: str, log: Tree) -> Iterator[str]:
    """The difference of each training to the reference on test rows, with its verdict on validation rows."""
    best = reference(log)
    yield "| scheme | " + " | ".join(width_name(divisor) for divisor in reversed(DIVISORS)) + " |"
    yield "|---" * (len(DIVISORS) + 1) + "|"
    for scheme in SCHEMES:
        found = {entry["width"]: entry for entry in of_scheme(log, scheme)}
        cells = []
        for divisor in reversed(DIVISORS):
            entry = found.get(width_name(divisor))
            cells.append("" if entry is None else "reference" if entry is best else _rung(entry, best, MARGINS[name]))
        if found:
            yield f"| {scheme} | {' | '.join(cells)} |"


def _rung(entry: Entry, best: Entry, margin: float) -> str:
    lost = lost_seeds(entry)
    note = f" ({lost} of {len(entry['test'][0])} seeds lost)" if lost else ""
    return f"{shown(against(entry, best, 'test'))}, {against(entry, best, 'valid').verdict(margin)}{note}"


def lost_seeds(entry: Entry) -> int:
    """How many seeds have a task that is no better than guessing: its last hidden units died."""
    metric_TR = np.array(entry["test"])
    return int((np.minimum(abs(metric_TR - 0.5), abs(metric_TR)) < AT_GUESSING).any(axis=0).sum())


def section(name: str, log: Tree, costs: Costs) -> Iterator[str]:
    """The part of the page about one log."""
    best, machine = reference(log), costs.machine
    means = ", ".join(f"{task} {sum(value_R) / len(value_R):.4f}" for task, value_R in zip(log["tasks"], best["test"], strict=True))
    yield f"## {name}"
    yield (
        f"\n{log['rows']['train']:,} training, {log['rows']['valid']:,} validation and {log['rows']['test']:,} test rows. The "
        f"reference is `single_task` at width {best['width']}; on test rows: {means}. The margin is {MARGINS[name]:g}.\n"
    )
    yield f"![Quality against FLOPs on {name}]({name}.svg)\n"
    yield "### At equal quality\n"
    yield from equal_table(name, log, costs)
    yield "\n### At full width\n"
    yield from full_table(name, log, costs)
    yield "\n" + graphs_apart(log, costs, widths(name, log))
    yield "\n### All trainings\n"
    yield "Difference to the reference on test rows, and the verdict on validation rows. A seed is lost if a task is at guessing.\n"
    yield from rungs(name, log)
    yield f"\n{missing(log)} Times: {machine['measured']}, {machine['cpu']}, load average {machine['load_average'][0]:.1f}.\n"


def missing(log: Tree) -> str:
    """Which trainings there are not."""
    lacking = {scheme: len(DIVISORS) - len(of_scheme(log, scheme)) for scheme in SCHEMES}
    untrained = [scheme for scheme, count in lacking.items() if count == len(DIVISORS)]
    narrow = [scheme for scheme, count in lacking.items() if 0 < count < len(DIVISORS)]
    found = [f"Not trained at all: {', '.join(untrained)}."] if untrained else []
    found += [f"Some widths are not trained of {', '.join(narrow)}."] if narrow else []
    return " ".join(found) or "No training is missing."


def page(results: Tree, times: Tree) -> str:
    """The text of README.md."""
    costs = {name: Costs(times[name]) for name in results}
    at = {name: widths(name, log) for name, log in results.items()}

    def of(name: str, where: str, scheme: str, other: str, what: str = "flops") -> float | None:
        return ratio(costs[name], at[name][where], scheme, other, what)

    parts = [HEAD, lead(results, at, of), "## The paper's argument\n", *claims(results, costs)]
    parts += ["\n" + NOTES, *at_other_margins(results), "\n" + GATES.format(ratios=at_narrowest(results))]
    parts += [CHECK, *by_test_rows(results), LIMITS.format(higher=higher_on_test(results))]
    for name, log in results.items():
        parts += section(name, log, costs[name])
    return "\n".join(parts).rstrip("\n") + "\n"


def lines(log: Tree) -> list[Line]:
    """The curve of each scheme: FLOPs, and the mean difference to the reference on test rows."""
    best, found = reference(log), []
    for style, scheme in enumerate(SCHEMES):
        points = [(entry["flops"], against(entry, best, "test").mean) for entry in of_scheme(log, scheme)]
        if points:
            found.append(Line(scheme, style, points))
    return found


def write() -> None:
    """Write the page and its figures."""
    results, times = (json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS, TIMES))
    write_text(HERE / "README.md", page(results, times))
    for name, log in results.items():
        write_text(HERE / f"{name}.svg", draw(name, lines(log), MARGINS[name]))


if __name__ == "__main__":
    write()
