"""Write README.md of this folder from the results.json beside it: python experiments/mmoe-synthetic/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manygate.studies.page import headline

HERE = Path(__file__).parent
HEAD = """# The synthetic study of MMoE, made anew

Sections 3 and 5 of Ma et al., KDD 2018: thirteen claims held against {runs:,} runs. Written by `table.py` from `results.json`,
which holds the final loss of every run; `report.html` is the page that the command writes, with the figures.

```text
{command}
```

**{headline}.** {minutes:.0f} minutes of training ({steps:,} steps of {batch} fresh rows a run).

## Claims

The verdict is that of the chosen rates: the learning rate of the least mean validation loss for each model and correlation. The
other settings give all models the same rate. How each claim is tested, and every comparison with its interval and bounds, is in
`results.json` and on the page. *Unfinished*: losses were still falling there after {steps:,} steps, or far above those of the
chosen rates; "final" is after so many steps.

| the paper says | section | verdict | where |
|---|---|---|---|
"""


def lines(results: dict[str, Any]) -> list[str]:
    protocol = results["plan"]["protocol"]
    head = HEAD.format(
        runs=results["runs"],
        command=results["command"],
        headline=headline(results),
        minutes=results["seconds"] / 60,
        steps=protocol["steps"],
        batch=protocol["batch"],
    ).rstrip("\n")
    claims = [f"| {one['title']} | {one['section']} | {one['verdict']} | {one['where']} |" for one in results["claims"]]
    return [head, *claims, "", *_losses(results), "", *_figure_3(results), "", *_beyond(results), ""]


def _losses(results: dict[str, Any]) -> list[str]:
    """The three models at every rate."""
    found = [
        "## Final losses",
        "",
        "Mean ± half of its 95 % interval; standard deviation; median. **Bold**: the rate chosen on validation.",
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
    return f"{cell['mean']:.4f} ± {cell['ci95'][1] - cell['mean']:.4f}" if cell["mean"] is not None else "–"


if __name__ == "__main__":
    found = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    (HERE / "README.md").write_text("\n".join(lines(found)), encoding="utf-8")
