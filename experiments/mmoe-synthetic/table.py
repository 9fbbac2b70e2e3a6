"""Write README.md of this folder from the results.json beside it: python experiments/mmoe-synthetic/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manygate.results.study import StudyResults
from manygate.studies.sentences import five_sentences, headline

HERE = Path(__file__).parent
EARLIER = """# The synthetic study of MMoE, made anew

**These results are of an earlier protocol.** Every run had 3,000 steps, after which most losses still fell, and all models ran at
every rate of the paper's grid. The best rate of each model lay at the edge of this grid. Today `manygate reproduce mmoe-synthetic`
chooses rates and steps with pilots, and its long runs have 30,000 steps or more. Its results will replace these.

Sections 3 and 5 of Ma et al., KDD 2018: thirteen claims held against {runs:,} runs. Written by `table.py` from `results.json`,
which holds the final loss of every run; `report.html` is the page that the command wrote, with the figures.

**{headline}.** {minutes:.0f} minutes of training ({steps:,} steps of {batch} fresh rows a run).

## Claims

The verdict is that of the chosen rates: the learning rate of the least mean validation loss for each model and correlation. The
other settings give all models the same rate. How each claim is tested, and every comparison with its interval and bounds, is in
`results.json` and on the page. *Unfinished*: losses were still falling there after {steps:,} steps, or far above those of the
chosen rates; "final" is after so many steps.
"""
HEAD = """# The synthetic study of MMoE, made anew

{sentences}

Sections 3 and 5 of Ma et al., KDD 2018: thirteen claims held against {runs:,} runs. Written by `table.py` from `results.json`,
which holds the final loss of every run; `report.html` is the page that the command writes, with the figures.

```text
{command}
```

It took {minutes:.0f} minutes of training.

## Claims

The verdict is that of the long runs. Pilots on other seeds chose their learning rate for each model and correlation, and their
steps. The other settings are pilots that all have the same rate. How each claim is tested, and every comparison with its interval
and bounds, is in `results.json` and on the page. *Unfinished*: losses were still falling there after {steps:,} steps, or far above
those of the chosen rates; "final" is after so many steps.
"""


def lines(results: dict[str, Any]) -> list[str]:
    """The README, line by line; the results may be those of the earlier protocol, which have version 1."""
    earlier = results["results_version"] == 1
    protocol = results["plan"]["protocol"]
    head = (EARLIER if earlier else HEAD).format(
        sentences="" if earlier else " ".join(five_sentences(StudyResults.from_tree(results, "results.json"))),
        runs=results["runs"],
        command=results["command"],
        headline=headline([claim["verdict"] for claim in results["claims"]]),
        minutes=results["seconds"] / 60,
        steps=protocol["steps"] if earlier else results["length"],
        batch=protocol["batch"],
    )
    parts = [head, *_claims(results), "", *_losses(results), "", *_figure_3(results), "", *_beyond(results), ""]
    return parts if earlier else [*parts, *_pilots(results), ""]


def _claims(results: dict[str, Any]) -> list[str]:
    found = ["| the paper says | section | verdict | where |", "|---|---|---|---|"]
    for claim in results["claims"]:
        needed = claim.get("runs_needed")
        verdict = claim["verdict"] if needed is None else f"{claim['verdict']} (about {needed:,} runs would)"
        found.append(f"| {claim['title']} | {claim['section']} | {verdict} | {claim['where']} |")
    return found


def _losses(results: dict[str, Any]) -> list[str]:
    """The three models, at the chosen rates or, in the earlier protocol, at every rate."""
    found = [
        "## Final losses",
        "",
        "Mean ± half of its 95 % interval; standard deviation; median. **Bold**: the rate chosen on validation rows.",
        "",
    ]
    found += ["| model | correlation | learning rate | mean | sd | least | median | largest | dead towers | diverged |"]
    found += ["|---|" + "---|" * 9]
    for sweep in results["sweeps"]["compared"]:
        for cell in sweep["cells"]:
            chosen = sweep["chosen_rate"][f"{cell['correlation']:g}"] == cell["rate"]
            rate = f"**{cell['rate']:g}**" if chosen else f"{cell['rate']:g}"
            least, _, median, _, largest = cell["quartiles"]
            numbers = " | ".join(f"{value:.3f}" for value in (cell["sd"], least, median, largest))
            where = f"| {sweep['name']} | {cell['correlation']:g} | {rate} | {_mean(cell)}"
            found.append(f"{where} | {numbers} | {cell['dead_towers']} | {cell['diverged']} |")
    return found


def _pilots(results: dict[str, Any]) -> list[str]:
    """The validation loss of the pilots of the three models at every rate that they tried."""
    found = [
        "## Pilots",
        "",
        "Mean validation loss at each learning rate. **Bold**: the chosen rate.",
        "",
        "| model | correlation | rates and losses |",
        "|---|---|---|",
    ]
    for sweep in [*results["sweeps"]["figure 3"], *results["sweeps"]["compared"]]:
        for correlation, chosen in sweep["chosen_rate"].items():
            cells = [cell for cell in sweep["pilots"] if f"{cell['correlation']:g}" == correlation]
            tried = "; ".join(
                f"{'**' if cell['rate'] == chosen else ''}{cell['rate']:g}{'**' if cell['rate'] == chosen else ''}: "
                + ("–" if cell["validation_mean"] is None else f"{cell['validation_mean']:.4f}")
                for cell in cells
            )
            found.append(f"| {sweep['name']} | {correlation} | {tried} |")
    return found


def _figure_3(results: dict[str, Any]) -> list[str]:
    (sweep,) = results["sweeps"]["figure 3"]
    found = [
        "## Figure 3: Shared-Bottom of 16 units",
        "",
        "| correlation | " + " | ".join(f"{c['correlation']:g}" for c in sweep["cells"]) + " |",
    ]
    return [*found, "|---|" + "---|" * len(sweep["cells"]), "| final loss | " + " | ".join(map(_mean, sweep["cells"])) + " |"]


def _beyond(results: dict[str, Any]) -> list[str]:
    """Every scheme at its chosen rates, and four tasks."""
    sweeps = [*results["sweeps"]["compared"], *results["sweeps"]["beyond"]]
    correlations = list(sweeps[0]["chosen_rate"])
    found = [
        "## Other schemes, and four tasks",
        "",
        "At the rates chosen for each. Those beyond the paper's three have as many parameters as its MMoE, within 2 %.",
        "",
    ]
    found += [
        "| scheme | parameters | runs | " + " | ".join(f"at {p}" for p in correlations) + " |",
        "|---|" + "---|" * (2 + len(correlations)),
    ]
    for sweep in sweeps:
        cells = " | ".join(_mean(_chosen(sweep, p)) for p in correlations)
        found.append(f"| {sweep['architecture']} | {sweep['parameters']:,} | {sweep['runs']} | {cells} |")
    many = results["sweeps"]["many tasks"]
    correlations = list(many[0]["chosen_rate"])
    found += [
        "",
        f"| {many[0]['tasks']} tasks | runs | " + " | ".join(f"at {p}" for p in correlations) + " |",
        "|---|---|" + "---|" * len(correlations),
    ]
    for sweep in many:
        found.append(
            f"| {sweep['architecture']} | {sweep['runs']} | " + " | ".join(_mean(_chosen(sweep, p)) for p in correlations) + " |"
        )
    return found


def _chosen(sweep: dict[str, Any], correlation: str) -> dict[str, Any]:
    rate = sweep["chosen_rate"][correlation]
    (cell,) = [c for c in sweep["cells"] if f"{c['correlation']:g}" == correlation and c["rate"] == rate]
    return cell


def _mean(cell: dict[str, Any]) -> str:
    if cell["mean"] is None:
        return "–"
    return f"{cell['mean']:.4f}" + (f" ± {cell['ci95'][1] - cell['mean']:.4f}" if cell["ci95"] else "")


if __name__ == "__main__":
    found = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    (HERE / "README.md").write_text("\n".join(lines(found)), encoding="utf-8")
