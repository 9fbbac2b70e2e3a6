"""Write README.md of this folder from the two comparison.json files: python experiments/census/table.py"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
HEAD = """# Census-Income, both task groups of the MMoE paper

UCI Census-Income (KDD), 199,523 training rows, the test half split 1:1 into validation and test by seed 0, 38 inputs
(section 6.3.1). The shipped default settings, four architectures, 8 replicas each; weights are kept, and the architecture is
chosen, on validation alone. The table is written by `table.py` from `income.json` and `education.json`, which hold the value of
every seed.

```bash
manygate dataset census --group income --data-dir DOWNLOADS --out census-income
manygate compare census-income --out runs/census-income
manygate dataset census --group education --data-dir DOWNLOADS --out census-education
manygate compare census-education --out runs/census-education
```

Test AUC: mean over replicas ± half its 95 % interval over seeds; in brackets the ensemble of the replicas; then the paired gain
over the task's own model with its 95 % interval over seeds and test rows, and the verdict. The runs are older than id dropout and
own clocks: a scheme that shares is judged at the one epoch that is best for both tasks together. They are older than the defaults
of large logs, too, with which MMoE is better ([defaults](../defaults/README.md)).
"""


def table(name: str) -> str:
    document = json.loads((HERE / f"{name}.json").read_text())
    tasks = [task["name"] for task in document["schema"]["tasks"]]
    lines = [f"## {name}", "", "| architecture | " + " | ".join(tasks) + " | parameters |", "|---|" + "---|" * (len(tasks) + 1)]
    for architecture, result in document["results"].items():
        cells = [_cell(document, architecture, task) for task in tasks]
        lines.append(f"| {architecture} | " + " | ".join(cells) + f" | {result['parameters']:,} |")
    return "\n".join([*lines, "", f"Chosen on validation: {document['best']['reason']}", ""])


def _cell(document: dict, architecture: str, task: str) -> str:
    found = document["results"][architecture]["tasks"][task]
    auc = found["metrics"]["auc"]
    text = f"{auc['mean']:.4f} ± {auc['ci95'][1] - auc['mean']:.4f} ({found['ensemble']['auc']:.4f})"
    gain = document["verdicts"].get(architecture, {}).get(task)
    return text if gain is None else text + f"; {gain['gain']:+.4f} ± {gain['ci95'][1] - gain['gain']:.4f} {gain['verdict']}"


if __name__ == "__main__":
    paper = (
        "MMoE in the paper, means of 400 runs with its own tuning (Tables 1 and 2): income .9359, never married .9927 and .9924, "
        "education .8826."
    )
    (HERE / "README.md").write_text("\n".join([HEAD, table("income"), table("education"), paper, ""]), encoding="utf-8")
