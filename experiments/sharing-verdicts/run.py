"""Are the verdicts right where the truth is known? Three questions on the made-up log, each on ten fresh seeds of it.

python experiments/sharing-verdicts/run.py            goes on where it was; writes results.json (then run table.py)
python experiments/sharing-verdicts/run.py --pilot    the seeds on which the settings were chosen; prints, writes nothing
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import manygate as mg
from manygate.files import to_json, write_text
from manygate.schema import Schema

HERE = Path(__file__).parent
PILOT_SEEDS = (901, 902)
LOGS = 10
NARROW: dict[str, Any] = {
    "architectures": "single_task,shared_bottom,mmoe",
    "replicas": 8,
    "patience": 2,
    "bottom_hidden": 6,
    "expert_hidden": 6,
    "experts": 16,
    "dim": 4,
    "min_count": 8,
    "learning_rate": 0.01,
    "batch_size": 512,
    "fractions": (0.24, 0.26, 0.5),
}
RELATED = {"rows": 50_000, "relatedness": 1.0, "buy_spread": 3.0}
QUESTIONS: dict[str, dict[str, Any]] = {
    "conflict": {"log": {"rows": 50_000, "relatedness": -0.5}, "settings": NARROW, "seeds": range(8400, 8410)},
    "related": {"log": RELATED, "settings": NARROW, "seeds": range(8500, 8510)},
    "related_as_piloted": {"log": RELATED, "settings": {**NARROW, "id_dropout": 3.0}, "seeds": range(8700, 8710)},
    "little": {
        "log": {"rows": 1_500, "relatedness": 0.5},
        "tasks": ("click", "like"),
        "settings": {"replicas": 8, "architectures": "single_task,shared_bottom"},
        "seeds": range(8600, 8620),
    },
}


def compare(question: str, seed: int) -> dict[str, Any]:
    """Compare on one log and return what the document says."""
    asked, start = QUESTIONS[question], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = mg.datasets.impressions(Path(folder) / "log", seed=seed, **asked["log"]).folder
        schema = only(Schema.load(log / "schema.yaml"), asked.get("tasks"))
        settings = {"threads": 1, "baselines": "none", "split": "time", **asked["settings"]}
        try:
            document = mg.compare(str(log / "*.parquet"), schema=schema, progress="none", **settings).document.to_tree()
        except ValueError as error:  # a log that is too small to judge a task at all
            return {"question": question, "seed": seed, "refused": str(error).replace(str(log), "log")}
    return {"question": question, "seed": seed, "seconds": round(time.monotonic() - start, 1), **summary(document)}


def only(schema: Schema, names: tuple[str, ...] | None) -> Schema:
    """Return the schema with some of its tasks; the labels of the others are left out."""
    left_out = {task.name: "not asked" for task in schema.tasks if names is not None and task.name not in names}
    tasks = tuple(task for task in schema.tasks if task.name not in left_out)
    return schema.model_copy(update={"tasks": tasks, "ignored": {**schema.ignored, **left_out}})


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """Return the gains in main metrics, every flag and the advice of a document."""
    found, advice = document["transfer"], document["recommendation"]
    main = {task: gain["metric"] for task, gain in document["verdicts"]["shared_bottom"].items()}
    keys = ("gain", "ci95", "joint95", "sd_replicas", "se_test", "verdict")
    gains = {
        name: {task: {key: short(own[task][metric][key]) for key in keys} for task, metric in main.items()}
        for name, own in found["gains"].items()
    }
    differences = {
        f"{pair['from']} to {pair['to']}": {task: {key: short(gain[key]) for key in keys} for task, gain in pair["tasks"].items()}
        for pair in found["differences"]
    }
    said = {key: advice[key] for key in ("rule", "model", "judged", "headline", "text", "reasons")}
    shipped = {
        name: {task: {key: short(gain[key]) for key in ("gain", "joint95")} for task, gain in own.items()}
        for name, own in document["as_shipped"].items()
    }
    flags = {key: found[key] for key in ("negative", "removed", "seesaws")}
    return {"advice": said, "gains": gains, "differences": differences, "as_shipped": shipped, **flags}


def short(value: Any) -> Any:
    """Round numbers to six places, which is more than any of them is known to."""
    if isinstance(value, list):
        return [short(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value


def show(entry: dict[str, Any]) -> None:
    if "refused" in entry:
        print(f"{entry['question']} {entry['seed']}: refused: {entry['refused']}", flush=True)
        return
    print(
        f"{entry['question']} {entry['seed']}: {entry['seconds']:.0f} s, {entry['advice']['rule']}: {entry['advice']['headline']}"
    )
    for name, own in entry["gains"].items():
        print(f"  {name}: {'; '.join(cell(task, gain) for task, gain in own.items() if gain['joint95'])}")
    print(f"  removed: {[(flag['model'], flag['task']) for flag in entry['removed']]}", flush=True)


def cell(task: str, gain: dict[str, Any]) -> str:
    low, high = gain["joint95"]
    return f"{task} {gain['gain']:+.4f} ({low:+.4f} to {high:+.4f}; sd {gain['sd_replicas']:.4f}, se {gain['se_test']:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pilot", action="store_true")
    parser.add_argument("--questions", default=",".join(QUESTIONS), help="which of them, by comma")
    given = parser.parse_args()
    if given.pilot:
        for question in given.questions.split(","):
            for seed in PILOT_SEEDS:
                show(compare(question, seed))
        return
    path = HERE / "results.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    while asked := [question for question in given.questions.split(",") if len(judged(done, question)) < LOGS]:
        for question in asked:  # a log of each question in turn
            have = {entry["seed"] for entry in done if entry["question"] == question}
            done.append(compare(question, next(seed for seed in QUESTIONS[question]["seeds"] if seed not in have)))
            show(done[-1])
            write_text(path, to_json(done))


def judged(entries: list[dict[str, Any]], question: str) -> list[dict[str, Any]]:
    """The logs of a question that were not refused."""
    return [entry for entry in entries if entry["question"] == question and "refused" not in entry]


if __name__ == "__main__":
    main()
