"""Write README.md of this folder from the comparison.json files beside it: python experiments/schemes/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manygate.report.charts import Cost, undominated

HERE = Path(__file__).parent
HEAD = """# All sixteen schemes at one budget

Every scheme of Manygate in one comparison, its hidden widths chosen so that all have the same number of parameters outside the
embedding tables (within 2 %), on the made-up log of `manygate dataset impressions` and on Census-Income. Everything else is
the same for all: rows, seeds, optimizer, early stopping on validation. Written by `table.py` from the JSON files, which hold the
value of every seed. One budget, one learning rate for all and few seeds: this shows that the schemes run side by side, and what
the intervals allow to say, not which scheme is best in general.

These runs are older than id dropout and own clocks: a scheme that shares is judged at the one epoch that is best for all its tasks
together, and a task's own model at its own best epoch. So a loss here may be that of one checkpoint and not of sharing
([A/A](../a-a/README.md)). They have none of the defaults of large logs, either ([defaults](../defaults/README.md)).
"""
COMMANDS = {
    "log": "manygate dataset impressions --rows 60000 --out log\nmanygate compare log --architectures all "
    "--match-parameters 100000 --replicas 5 --patience 2 --learning-rate 0.003",
    "census": "manygate dataset census --group income --data-dir DOWNLOADS --out census\nmanygate compare census "
    "--architectures all --match-parameters 190000 --replicas 3 --epochs 12 --patience 2",
}
FOOT = """In each cell: mean over replicas on the test rows, then the paired gain over the task's own model with its 95 % interval
(over seeds and test rows). **+** and **-** mark verdicts, "helps" and "hurts"; without a mark the interval does not allow to tell.
"""


def section(name: str) -> str:
    document: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    tasks = [task["name"] for task in document["schema"]["tasks"]]
    kinds = {task["name"]: "r2" if task["kind"] == "regression" else "auc" for task in document["schema"]["tasks"]}
    lines = [f"## {name}", "", "```text", COMMANDS[name], "```", ""]
    lines += ["| scheme | " + " | ".join(f"{task} ({kinds[task]})" for task in tasks) + " | parameters | network | FLOPs a row |"]
    lines += ["|---|" + "---|" * (len(tasks) + 3)]
    for scheme, result in document["results"].items():
        cells = [_cell(document, scheme, task, kinds[task]) for task in tasks]
        sizes = [f"{result[key]:,}" for key in ("parameters", "network_parameters", "flops")]
        lines.append(f"| {scheme} | " + " | ".join([*cells, *sizes]) + " |")
    lines += ["", f"Chosen on validation: {document['best']['reason']}", "", "On the frontier between test metric and FLOPs:", ""]
    for task in tasks:
        costs = [
            Cost(scheme, 0, result["flops"], result["tasks"][task]["metrics"][kinds[task]]["mean"], 0.0)
            for scheme, result in document["results"].items()
        ]
        lines.append(f"* {task}: {', '.join(undominated(costs))}")
    warnings = [text for text in document["data"]["warnings"] if "budget of epochs" in text]
    return "\n".join([*lines, *(f"\n{text}" for text in warnings), ""])


def _cell(document: dict[str, Any], scheme: str, task: str, key: str) -> str:
    mean = document["results"][scheme]["tasks"][task]["metrics"][key]["mean"]
    found = document["verdicts"].get(scheme, {}).get(task)
    if found is None:
        return f"{mean:.4f}"
    mark = {"helps": " **+**", "hurts": " **-**"}.get(found["verdict"], "")
    return f"{mean:.4f}; {found['gain']:+.4f} ± {found['ci95'][1] - found['gain']:.4f}{mark}"


if __name__ == "__main__":
    parts = [section(name) for name in COMMANDS if (HERE / f"{name}.json").is_file()]
    (HERE / "README.md").write_text("\n".join([HEAD, FOOT, *parts]), encoding="utf-8")
