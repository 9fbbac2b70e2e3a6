"""Write README.md of this folder from the results.json beside it: python experiments/mmoe-census/table.py"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from manygate.files import write_text
from manygate.report.tuning.words import setting_value
from manygate.results.census import BestRun, CensusGroup, CensusModel, CensusResults, CensusRow, CensusTask
from manygate.studies.census.conclusions import headline
from manygate.studies.census.plan import MARRIED
from manygate.text import count_of, duration, interval, listed, number, plus_minus

HERE = Path(__file__).parent
EARLIER = "These networks had the inputs that `mmoe_tabular` alone has now: cross layers, ids of numbers and target statistics."
ENOUGH = 10
"""A part with fewer runs a method is shown without intervals of differences."""
HEAD = """# The census study of MMoE, tuned and trained anew

Section 6.3 of Ma et al., KDD 2018. Every method is tuned on validation rows, and its winner is trained again many times. `table.py`
writes this page from `results.json`, which `manygate reproduce mmoe-census` makes and which holds the value of every run.

```text
manygate reproduce mmoe-census --data-dir DOWNLOADS --out runs/mmoe-census
```
"""
UNFINISHED = """
**The full study is not finished.** `study/` holds what is done: its plan and the numbers of each method. The same command with
`--out experiments/mmoe-census/study` goes on from there. The parts below are results, each with its own plan.
"""


def page(results: CensusResults | None, parts: Sequence[CensusResults] = ()) -> str:
    """Return the text of README.md. Without results it says that there are none but those of parts."""
    if results is None:
        return HEAD + UNFINISHED + "".join(_part(part) for part in parts)
    parts = [HEAD, f"**{headline(results)}.** {_facts(results)}", ""]
    for group in results.groups.values():
        parts += [*_table(results, group), ""]
    parts += ["## What this does not show", "", *(f"- {text}" for text in results.limits), "", *_settings(results), ""]
    return "\n".join(parts)


def _part(results: CensusResults) -> str:
    """Return what a part of the study found: as the whole one, or only the runs where there is nothing to compare."""
    methods = list(dict.fromkeys(row.method for group in results.groups.values() for row in group.rows))
    lines = ["", f"## {listed(methods)} on {listed(list(results.groups))}", "", _facts(results), ""]
    if "not_searched" not in results.plan:
        lines += [EARLIER, ""]
    limits = ["", "### What this does not show", "", *(f"- {text}" for text in results.limits)]
    if results.replicas < ENOUGH:
        return "\n".join(lines + _runs(results)) + "\n"
    if len(methods) == 1:
        return "\n".join(lines + _runs(results) + limits) + "\n"
    for group in results.groups.values():
        lines += ["#" + line if line.startswith("## ") else line for line in _table(results, group)]
    return "\n".join([*lines, *limits, "", *_settings(results)[2:]]) + "\n"


def _runs(results: CensusResults) -> list[str]:
    """Return the runs of each model beside the paper's means."""
    paper = {row.main_model: row.paper for group in results.groups.values() for row in group.rows}
    lines = ["| model | task | paper: mean | ours: mean | sd | ensemble | settings |", "|---|---|---|---|---|---|---|"]
    for name, model in results.models.items():
        theirs = paper.get(name)
        settings = "; ".join(f"{key} {setting_value(value)}" for key, value in model.settings.items()) or "the defaults"
        for task, entry in model.tasks.items():
            mean = "–" if theirs is None else f"{theirs.married_mean if task == MARRIED else theirs.mean:.4f}"
            lines.append(f"| {name} | {task} | {mean} | {_mean(entry)} | {_sd(entry)} | {_ensemble(entry)} | {settings} |")
    return lines


def _facts(results: CensusResults) -> str:
    rows, trials = results.rows, count_of(int(str(results.plan["trials"])), "trial")
    return (
        f"{rows['train']:,} training, {rows['valid']:,} validation and {rows['test']:,} test rows; "
        f"{trials} and {count_of(results.replicas, 'run')} a method; {duration(results.seconds)} of training. "
        f"`{results.command}`"
    )


def _table(results: CensusResults, group: CensusGroup) -> list[str]:
    """Return the paper's table and ours, the gains of the reference, and what follows."""
    lines = [
        f"## Table {group.table}: {group.main} and {MARRIED}",
        "",
        *(f"- {text}" for text in group.conclusions),
        "",
        "Test AUC of both tasks. “Best” is picked on test rows, as in the paper; “chosen” on validation rows.",
        "",
        "| method | paper: best | paper: mean | ours: best | ours: mean | ours: sd | ours: chosen | ours: ensemble |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(results, group, row) for row in group.rows]
    lines += [
        "",
        f"Gain of {group.reference}, with the interval that holds for all {results.looks} gains together.",
        "",
        "| over | task | gain | joint 95 % | half width at 100 runs | at 400 | paper: gain | paper: chance ± |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in group.gains:
        then = " | ".join("–" if entry.halves is None else number(entry.halves[count]) for count in ("100", "400"))
        theirs = "–" if entry.paper_gain is None else number(entry.paper_gain, signed=True)
        chance = "–" if entry.paper_half is None else number(entry.paper_half)
        gained = f"{number(entry.gain.gain, signed=True)} | {interval(entry.gain.joint95)}"
        lines.append(f"| {entry.method} | {entry.task} | {gained} | {then} | {theirs} | {chance} |")
    return lines


def _row(results: CensusResults, group: CensusGroup, row: CensusRow) -> str:
    main, married = results.models[row.main_model].tasks[group.main], results.models[row.married_model].tasks[MARRIED]
    paper = row.paper
    theirs = ["–", "–"]
    if paper is not None:
        theirs = [f"{paper.best:.4f}, {paper.married_best:.4f}", f"{paper.mean:.4f}, {paper.married_mean:.4f}"]
    ours = [_pair(row.best), _both(_mean, main, married), _both(_sd, main, married), _pair(row.chosen)]
    return " | ".join([f"| {row.method}", *theirs, *ours, _both(_ensemble, main, married)]) + " |"


def _pair(run: BestRun) -> str:
    return f"{number(run.main)}, {number(run.married)}"


def _both(cell: Callable[[CensusTask], str], main: CensusTask, married: CensusTask) -> str:
    return f"{cell(main)}, {cell(married)}"


def _mean(task: CensusTask) -> str:
    return plus_minus(task.test.mean, task.test.ci95)


def _sd(task: CensusTask) -> str:
    return "–" if task.test.sd is None else number(task.test.sd)


def _ensemble(task: CensusTask) -> str:
    return number(task.ensemble)


def _settings(results: CensusResults) -> list[str]:
    head = ["## Tuned settings and time", "", "| model | settings | search | runs |", "|---|---|---|---|"]
    return head + [_model(name, model) for name, model in results.models.items()]


def _model(name: str, model: CensusModel) -> str:
    settings = "; ".join(f"{key} {setting_value(value)}" for key, value in model.settings.items())
    search = "–" if model.search is None else duration(model.search.seconds)
    return f"| {name} | {settings} | {search} | {duration(model.seconds)} |"


def read(folder: Path) -> CensusResults | None:
    """Return the results in a folder, or None."""
    path = folder / "results.json"
    return CensusResults.read(path) if path.is_file() else None


def read_parts(folder: Path) -> list[CensusResults]:
    """Return the results of parts of the study in a folder."""
    return [CensusResults.read(path) for path in sorted((folder / "parts").glob("*.json"))]


if __name__ == "__main__":
    write_text(HERE / "README.md", page(read(HERE), read_parts(HERE)))
