"""What does serving cost with each way of sharing, at equal width and at equal quality? plan.md says how it is measured.

    python experiments/serving-cost/run.py --data FOLDER

trains, measures times and writes the page. A training leaves a file in ``--out``, and what is there, or in results.json, is not run
again. ``--logs`` and ``--schemes`` name a part (``single_task`` must be among the schemes or done before, since others are compared
with it). Two commands may share the work by their logs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from choice import EQUAL, verdicts
from study import DIVISORS, LOGS, MARGINS, RESULTS, ROOT, SCHEMES, encoded, settings, width_name

from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.evaluation.monitor import Monitor
from manygate.files import to_json, write_text
from manygate.model.budget import measure
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.runs.run import fit
from manygate.training.progress import Progress


def training(log: EncodedLog, scheme: str, divisor: int, **changes: Any) -> dict[str, Any]:
    """Train the replicas of a scheme at one width. Return its size, and each seed's metric of each task."""
    began = time.monotonic()
    config = settings(scheme, divisor, **changes).for_rows(len(log.parts["train"]))
    problem = Problem.of(log.encoder, config)
    splits = {part: Split(rows) for part, rows in log.parts.items()}
    monitors = {part: Monitor(config.monitor, problem, log.parts[part], splits[part]) for part in ("valid", "test")}
    fitted = fit(problem, splits["train"], None, monitors["valid"], config, None, Progress(), "", None)
    model, state, size = fitted.model, fitted.state, measure(problem, fitted.model.config)
    metrics = {part: judge(predict(model, splits[part]), model.members).metric_RT for part, judge in monitors.items()}
    return {
        "scheme": scheme,
        "width": width_name(divisor),
        **{part: np.round(metric_RT, 6).T.tolist() for part, metric_RT in metrics.items()},
        "epochs": state.epoch,
        "embeddings": size.parameters - size.network_parameters,
        "dense": size.network_parameters,
        "flops": size.flops,
        "seconds": round(time.monotonic() - began, 1),
    }


def collect(folder: Path, results: Path) -> dict[str, Any]:
    """Add the files of finished trainings to the results, in a fixed order, and return these."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    for name in LOGS:
        entries = {(entry["scheme"], entry["width"]): entry for entry in found.get(name, {}).get("trainings", [])}
        for path in sorted((folder / name).glob("*.json")):
            outcome = json.loads(path.read_text(encoding="utf-8"))
            entries[outcome["scheme"], outcome["width"]] = outcome
            found.setdefault(name, {"tasks": outcome["tasks"], "rows": outcome["rows"]})
        order = [(scheme, width_name(divisor)) for scheme in SCHEMES for divisor in DIVISORS]
        if entries:
            kept = {key: entries[key] for key in order if key in entries}
            found[name]["trainings"] = [{k: v for k, v in e.items() if k not in ("tasks", "rows")} for e in kept.values()]
    return {name: found[name] for name in LOGS if name in found}


def written(results: dict[str, Any]) -> str:
    """The results as JSON with a training on each line."""
    parts = []
    for name, log in results.items():
        lines = ",\n   ".join(json.dumps(entry) for entry in log["trainings"])
        head = f' {json.dumps(name)}: {{"tasks": {json.dumps(log["tasks"])}, "rows": {json.dumps(log["rows"])}, "trainings": ['
        parts.append(f"{head}\n   {lines}]}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def next_training(log: dict[str, Any], schemes: Sequence[str], margin: float) -> tuple[str, int] | None:
    """Return the scheme and the divisor that come next in the order of plan.md. None if all are there."""
    have = {(entry["scheme"], entry["width"]) for entry in log["trainings"]}
    for scheme in schemes:
        for divisor in reversed(DIVISORS):
            if (scheme, width_name(divisor)) not in have:
                return scheme, divisor
            if scheme != "single_task" and verdicts(log, scheme, margin)[width_name(divisor)] == EQUAL:
                break
    rest = [(scheme, divisor) for divisor in DIVISORS for scheme in schemes]
    return next(((scheme, divisor) for scheme, divisor in rest if (scheme, width_name(divisor)) not in have), None)


def trainings(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What is there of a log."""
    return dict(collect(options.out, options.results).get(name, {"trainings": []}))


def train_missing(options: argparse.Namespace) -> None:
    """Train what neither the results nor the folder have."""
    for name in options.logs.split(","):
        log, empty = None, {"trainings": []}
        while found := next_training(
            collect(options.out, options.results).get(name, empty), options.schemes.split(","), MARGINS[name]
        ):
            scheme, divisor = found
            log = log or encoded(LOGS[name](options.data))
            about = {"tasks": log.schema.task_names, "rows": {part: len(rows) for part, rows in log.parts.items()}}
            outcome = {**about, **training(log, scheme, divisor)}
            (options.out / name).mkdir(parents=True, exist_ok=True)
            write_text(options.out / name / f"{scheme}-{divisor}.json", to_json(outcome))
            print(f"{name} {scheme} {outcome['width']}: {outcome['epochs']} epochs, {outcome['seconds']} s", flush=True)
    write_text(options.results, written(collect(options.out, options.results)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the files of UCI Census-Income")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "serving-cost", help="folder of a file for each training")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--logs", default=",".join(LOGS), help="names of logs, by comma")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="names of schemes, by comma")
    parser.add_argument("--train-only", action="store_true", help="measure no times and write no page")
    options = parser.parse_args()
    train_missing(options)
    if not options.train_only:
        import table
        import timing

        timing.measure_missing(options.data, options.out / "graphs", options.results)
        table.write()


if __name__ == "__main__":
    main()
