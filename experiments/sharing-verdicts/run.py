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

import pyarrow as pa
import pyarrow.parquet as pq

import manygate as mg
from manygate.files import to_json, write_text
from manygate.schema import Schema
from manygate.verdict.transfer import sure

HERE = Path(__file__).parent
PILOT_SEEDS = (901, 902)
ARCHITECTURES = ("single_task", "shared_bottom", "mmoe", "ple")
NARROW = {
    "replicas": 10,
    "bottom_hidden": 8,
    "expert_hidden": 8,
    "learning_rate": 0.005,
    "batch_size": 512,
    "min_count": 1000,
    "fractions": (0.3, 0.1, 0.6),
}
QUESTIONS: dict[str, dict[str, Any]] = {
    "conflict": {
        "log": {"rows": 100_000, "relatedness": -0.5},
        "settings": {
            **NARROW,
            "architectures": "single_task,shared_bottom,mmoe",
            "experts": 16,
            "bottom_hidden": 6,
            "expert_hidden": 6,
            "monitor": "click",
        },
        "seeds": range(7300, 7310),
    },
    "related": {"log": {"rows": 150_000, "relatedness": 1.0}, "settings": NARROW, "seeds": range(7010, 7020)},
    "little": {
        "log": {"rows": 1_500, "relatedness": 0.5},
        "tasks": ("click", "like"),
        "settings": {"replicas": 10, "architectures": "single_task,shared_bottom", "monitor": "click"},
        "seeds": range(7120, 7130),
    },
}


def compare(question: str, seed: int) -> dict[str, Any]:
    """One comparison on one log; what its document says, and whether that is right."""
    asked, start = QUESTIONS[question], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = mg.datasets.impressions(Path(folder) / "log", seed=seed, **asked["log"]).folder
        table = pa.concat_tables([pq.read_table(log / f"{part}.parquet") for part in ("train", "valid", "test")])
        schema = _only(Schema.load(log / "schema.yaml"), asked.get("tasks"))
    settings = {"architectures": ",".join(ARCHITECTURES), "threads": 1, **asked["settings"]}
    document = mg.compare(table, schema=schema, progress="none", **settings).document
    return {"question": question, "seed": seed, "seconds": round(time.monotonic() - start, 1), **summary(question, document)}


def _only(schema: Schema, names: tuple[str, ...] | None) -> Schema:
    """The schema with some of its tasks; the labels of the others are left out."""
    left_out = {task.name: "not asked" for task in schema.tasks if names is not None and task.name not in names}
    tasks = tuple(task for task in schema.tasks if task.name not in left_out)
    return schema.model_copy(update={"tasks": tasks, "ignored": {**schema.ignored, **left_out}})


def summary(question: str, document: dict[str, Any]) -> dict[str, Any]:
    found, advice = document["transfer"], document["recommendation"]
    main = {task: gain["metric"] for task, gain in document["verdicts"]["shared_bottom"].items()}
    keys = ("gain", "ci95", "joint95", "sd_replicas", "se_test", "verdict")
    gains = {
        name: {task: {key: _short(own[task][metric][key]) for key in keys} for task, metric in main.items()}
        for name, own in found["gains"].items()
    }
    scores = {
        name: {task: _short(result["tasks"][task]["metrics"][metric]["mean"]) for task, metric in main.items()}
        for name, result in document["results"].items()
    }
    flags = {key: found[key] for key in ("negative", "removed", "seesaws")}
    said = {key: advice[key] for key in ("rule", "model", "judged", "text", "reasons")}
    answer = {"conflict": _conflict, "related": _related, "little": _little}[question](found, advice, main)
    return {**answer, "advice": said, "gains": gains, "scores": scores, **flags}


def _conflict(found: dict[str, Any], advice: dict[str, Any], main: dict[str, str]) -> dict[str, Any]:
    """Shared-Bottom hurts click, with which all others conflict, and MMoE takes that harm away. Other tasks are told too."""
    harmed = [flag["task"] for flag in found["negative"] if flag["model"] == "shared_bottom"]
    cures = [flag for flag in found["removed"] if flag["of"] == "shared_bottom" and flag["model"] == "mmoe"]
    cured = [task for task in harmed if any(flag["task"] == task for flag in cures)]
    return {"right": "click" in cured, "harmed": harmed, "cured": cured}


def _related(found: dict[str, Any], advice: dict[str, Any], main: dict[str, str]) -> dict[str, Any]:
    """The judged model (validation's choice, or its best sharing model) helps the rare task, buy."""
    helps = [name for name, own in found["gains"].items() if sure(own["buy"][main["buy"]]) > 0]
    return {"right": advice["judged"] in helps, "helps_buy": helps}


def _little(found: dict[str, Any], advice: dict[str, Any], main: dict[str, str]) -> dict[str, Any]:
    """The advice says that it cannot tell, and no flag beyond doubt is raised for any model."""
    flags = len(found["negative"]) + len(found["removed"]) + sum(flag["sure"] for flag in found["seesaws"])
    return {"right": advice["rule"] == "cannot tell" and not flags, "flags": flags}


def _short(value: Any) -> Any:
    """Numbers to six places, which is more than any of them is known to."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


def show(one: dict[str, Any]) -> None:
    print(
        f"{one['question']} {one['seed']}: {'right' if one['right'] else 'WRONG'}, {one['seconds']:.0f} s, {one['advice']['rule']}"
    )
    for name, own in one["gains"].items():
        print(f"  {name}: {'; '.join(_cell(task, gain) for task, gain in own.items() if gain['joint95'])}")
    print(f"  {one['advice']['text']} {' '.join(one['advice']['reasons'])}", flush=True)


def _cell(task: str, gain: dict[str, Any]) -> str:
    low, high = gain["joint95"]
    return f"{task} {gain['gain']:+.4f} ({low:+.4f} to {high:+.4f}; sd {gain['sd_replicas']:.4f}, se {gain['se_test']:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pilot", action="store_true")
    parser.add_argument("--questions", default=",".join(QUESTIONS), help="which of them, by comma")
    given = parser.parse_args()
    if given.pilot:
        for seed in PILOT_SEEDS:
            for question in given.questions.split(","):
                show(compare(question, seed))
        return
    path = HERE / "results.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for question in given.questions.split(","):
        for seed in QUESTIONS[question]["seeds"]:
            if not any((one["question"], one["seed"]) == (question, seed) for one in done):
                done.append(compare(question, seed))
                show(done[-1])
                write_text(path, to_json(done))


if __name__ == "__main__":
    main()
