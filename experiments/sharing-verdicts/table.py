"""Write README.md of this folder from results.json and earlier.json: python experiments/sharing-verdicts/table.py"""

from __future__ import annotations

import json
from typing import Any

from run import HERE, NARROW, PILOT_SEEDS, QUESTIONS

HEAD = """# Are the verdicts right where the truth is known?

The log of `manygate dataset impressions` is made up, and `--relatedness` sets the cosine between the preferences behind click and
those behind each other label. So it is known beforehand what an honest comparison must say. Three questions, each on ten logs of
different seeds with 10 replicas; flags go by [joint intervals](../../docs/concepts.md#negative-transfer-and-seesaws). Written by
`table.py` from `results.json`; `run.py` makes that, and goes on where it was stopped.

| question | the log | right when the report says | right |
|---|---|---|---|
"""
ASKED = {
    "conflict": (
        "the others' preferences oppose click's (cosine -0.5); bottoms narrower than four tasks need",
        "`shared_bottom` hurts click (negative transfer), and `mmoe` takes that harm away: better beyond doubt, not hurting click",
    ),
    "related": (
        "all preferences are click's (cosine 1); buy has some 500 positives to learn from",
        "the architecture that it judges (validation's choice, or the best sharing one there) helps buy, beyond doubt",
    ),
    "little": ("1,500 rows, of which 150 are for test; click and like", "it cannot tell, and no flag is raised beyond doubt"),
}
SETTINGS = """
## Settings

| setting | conflict | related | little |
|---|---|---|---|
"""
SEEDS = """
The settings were chosen on the pilot seeds {pilots} and on the seeds of earlier tries (below). The ten seeds that count were
not looked at before. Of 100,000 rows (`related`: 150,000) 30 % are for training and 60 % for the test: evaluating is cheap, and
intervals are what is tested. Ids seen less than 1,000 times share a row (`min_count`), so that networks learn from features
and do not overfit.

In `conflict` the budgets are not equal: a hidden layer of 6 units is what each task has for itself in separate models, what all
four share in `shared_bottom`, and what each of MMoE's 16 experts is. So a shared bottom has a quarter of the room that separate
models have, and conflict costs. (At equal budgets [experiments/schemes](../schemes/README.md) could not tell any harm of it, on a
log of relatedness 0.5.) Validation watches click, on which the question is asked: each scheme keeps the epoch that is best for
click, as click's own model does. Other tasks may pay for that. With validation watching all of them, click lost 0.001 to 0.006 of
AUC under MMoE too (below).

`related` had 100,000 rows and the seeds 7000 to 7009 first: right on {first} of 10, and on {again} when it was run again after
changes that only round otherwise, since on seed 7004 the lower bound went from +0.00001 to -0.0002 (`related-100000.json`). That
was too little to tell, so 50 % more rows and ten fresh seeds were taken, decided before any was run. `conflict` was run again, too.

`little` took three tries. With few rows sharing is not a matter of thousandths: where validation, with a handful of labels of the
rare tasks, chooses one epoch for all of them, click can lose a tenth of its AUC, and MMoE and PLE with 8 experts can lose as much
on 1,200 training rows. Such harm is real, and shows even on 150 test rows. The question that is left, whether a shared bottom
helps, has an effect near zero there, and the honest answer is that one cannot tell.
"""
TABLES = {
    "conflict": ("click", ("shared_bottom", "mmoe"), "gain in click's AUC over its own model"),
    "related": ("buy", ("shared_bottom", "mmoe", "ple"), "gain in buy's AUC over its own model"),
    "little": ("click", ("shared_bottom",), "gain in click's AUC over its own model"),
}
EARLIER = """
## What was tried before

Every run on a seed that was meant to count, with settings that were given up. They are in `earlier.json`. In the last column the
gains of click under shared_bottom, mmoe and ple.

| question | seed | right | settings | what came out |
|---|---|---|---|---|
"""


def first_related() -> dict[str, int]:
    """How often `related` was right with 100,000 rows: at first, and again."""
    found = json.loads((HERE / "related-100000.json").read_text(encoding="utf-8"))
    return {name: sum(one["right"] for one in runs) for name, runs in found.items()}


def main() -> None:
    results, earlier = (json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in ("results", "earlier"))
    lines = [HEAD.rstrip("\n")]
    for question, (log, right) in ASKED.items():
        own = [one for one in results if one["question"] == question]
        lines.append(f"| {question} | {log} | {right} | **{sum(one['right'] for one in own)} of {len(own)}** |")
    lines.append(SETTINGS.rstrip("\n"))
    lines += _settings()
    lines.append(SEEDS.format(**first_related(), pilots=" and ".join(map(str, PILOT_SEEDS))).rstrip("\n"))
    for question in QUESTIONS:
        lines += ["", f"## {question}", ""]
        lines += _table(sorted((one for one in results if one["question"] == question), key=lambda one: int(one["seed"])), question)
    lines.append(EARLIER.rstrip("\n"))
    for one in earlier:
        told = _cells(one, TABLES[one["question"]][0], ("shared_bottom", "mmoe", "ple"))
        lines.append(f"| {one['question']} | {one['seed']} | {_yes(one)} | {one['settings']} | {'; '.join(told)}. {one['note']} |")
    (HERE / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _settings() -> list[str]:
    names = list(
        dict.fromkeys(["rows", "relatedness", *NARROW, *(key for asked in QUESTIONS.values() for key in asked["settings"])])
    )
    rows = []
    for name in names:
        values = [{**asked["log"], **asked["settings"]}.get(name, "default") for asked in QUESTIONS.values()]
        rows.append(f"| `{name}` | " + " | ".join(_value(value) for value in values) + " |")
    seeds = [f"{asked['seeds'][0]} to {asked['seeds'][-1]}" for asked in QUESTIONS.values()]
    return [*rows, "| seeds of the log | " + " | ".join(seeds) + " |"]


def _value(value: Any) -> str:
    if isinstance(value, int) and value >= 1000:
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value).replace(",", ", ")


def _table(found: list[dict[str, Any]], question: str) -> list[str]:
    task, names, what = TABLES[question]
    told = {"conflict": "removed for", "related": "helped by", "little": "flags"}[question]
    heads = " | ".join(names)
    lines = [f"In each cell the {what} and its joint 95 % interval; **bold** where it is clear of zero.", ""]
    lines += [f"| seed | {heads} | {told} | rule | right |", "|---" * (len(names) + 4) + "|"]
    for one in found:
        said = {"conflict": "cured", "related": "helps_buy", "little": "flags"}[question]
        value = one[said] if not isinstance(one[said], list) else ", ".join(one[said])
        rule = f"{one['advice']['rule']} ({one['advice']['judged']})"
        lines.append(f"| {one['seed']} | " + " | ".join(_cells(one, task, names)) + f" | {value} | {rule} | {_yes(one)} |")
    means = [sum(one["gains"][name][task]["gain"] for one in found) / max(len(found), 1) for name in names]
    return [*lines, "| mean | " + " | ".join(f"{mean:+.4f}" for mean in means) + " | | | |"]


def _cells(one: dict[str, Any], task: str, names: tuple[str, ...]) -> list[str]:
    return [_cell(one["gains"][name][task]) for name in names if name in one["gains"]]


def _cell(gain: dict[str, Any]) -> str:
    low, high = gain["joint95"]
    bold = "**" if low > 0 or high < 0 else ""
    return f"{bold}{gain['gain']:+.4f}{bold} ({low:+.4f} to {high:+.4f})"


def _yes(one: dict[str, Any]) -> str:
    return "yes" if one["right"] else "**no**"


if __name__ == "__main__":
    main()
