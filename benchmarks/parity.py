"""Compare every way to a prediction with the predictor: ONNX Runtime fed raw values, and a running server by each of its routes.

    python benchmarks/parity.py --jobs 2

Each model is small: it is trained for an epoch on a made-up log with every kind of feature, exported, and served by a process of
its own. All models together have every architecture, and every pair of two of the other settings (``agreement/combinations.py``).
Each predicts 10,000 rows with unseen, null, negative and extreme ids, emoji, empty text and lists, NaN and infinities, in batches
of 512, 7, 1 and 0. With context features, every other batch is a request whose rows share one context. The ways are

- onnxruntime: ``model.onnx``, fed as docs/questions/export.md says, without code of the library;
- rank: ``POST /v1/rank``;
- V2 JSON and V2 binary: ``POST /v2/models/model/infer`` with tensors in JSON and as bytes.

The reference is ``Predictor.predict`` on the same batch. A probability may differ by 1e-6. A value may differ by 1e-5 of its size
or of the deviation of the label, whichever is larger. A score may differ by 1e-5 of its size, times the weights of the formula.
Rows are counted apart within 1e-5 of a tie of a top-k gate, and within 1e-5 of a knot of an isotonic calibration. So are values
that differ by more than the limit because a calibration of any kind is steep there: it makes as much of 1e-6. The exit code is 1
if any other value differs by more, or if a model failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import onnxruntime
import pyarrow as pa
from agreement.combinations import Combination, models
from agreement.comparison import PLAN, Difference, Reference, batches
from agreement.logs import ENCODINGS, IDS, NOT_EXPORTED, VOCABULARIES, log, schema
from agreement.ways import MODEL, Batch, Client, Columns, feed
from loadtest.servers import Spec, serving
from measure import machine, machine_lines, write_results

from manygate.errors import InputError
from manygate.export.folder import export_model
from manygate.export.hostile_rows import hostile_rows
from manygate.ranker import Ranker
from manygate.scoring.exported_model import open_session

SIZES: dict[str, Any] = {
    "dim": 3,
    "experts": 4,
    "expert_hidden": (6,),
    "bottom_hidden": (6, 6),
    "tower_hidden": (4,),
    "levels": 2,
    "cross_layers": 1,
    "bins": 5,
    "epochs": 1,
    "min_count": 1,
    "learning_rate": 0.02,
    "threads": 1,
    "device": "cpu",
}
ROWS = sum(size * times for size, times in PLAN)
WEIGHTS = {"click": 1.0, "like": 0.5, "watch": 0.25}
TERMS = ("number log1p:log=0.3", "number standard:sigmoid=1.0", "other:power=-0.2", "whole number:none=0.5")
WAYS = ("onnxruntime", "rank", "V2 JSON", "V2 binary")
KINDS = ("probability", "value", "score")


def trained(combination: Combination, refused: bool = False) -> Ranker:
    """Return a trained model with these settings."""
    funnel = combination["funnel"]
    plan = schema(
        funnel != "none", combination["binary loss"], combination["regression loss"], combination["context"], refused=refused
    )
    settings = {
        "architecture": combination["architecture"],
        "funnel": "esmm" if funnel == "none" else funnel,
        "gate": combination["gate"],
        "calibration": combination["calibration"],
        "replicas": combination["replicas"],
        "keep": combination["keep"],
        "number_ids": 2 if combination["extra inputs"] else 0,
        "target_statistics": combination["extra inputs"],
    }
    ranker = Ranker(**SIZES, **settings).fit(log(refused=refused), schema=plan, progress=False)
    if combination["fusion"] != "none":
        ranker.fuse(WEIGHTS, TERMS if combination["fusion"] == "predictions and terms" else ())
    return ranker


def measured(combination: Combination, core: int) -> dict[str, Any]:
    """Train, export and serve one model, and compare all ways to a prediction. A failure is told in ``error``."""
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = _compared(combination, core, Path(folder))
    except Exception:  # one broken model must not end the others, and is told in the results
        found = {"error": traceback.format_exc()}
    return {"settings": combination, **found, "seconds": time.perf_counter() - began}


def _compared(combination: Combination, core: int, folder: Path) -> dict[str, Any]:
    predictor = trained(combination).predictor
    export_model(predictor, folder / MODEL)
    manifest = json.loads((folder / MODEL / "manifest.json").read_text())
    fused = predictor.fusion.features if predictor.fusion else ()
    parts = batches(
        hostile_rows(predictor.encoder, ROWS, seed=17, fused=fused),
        [feature.name for feature in predictor.schema.served_features if feature.context],
    )
    reference = Reference(predictor, parts)
    differences = {way: Difference() for way in WAYS}
    session = open_session(folder / MODEL / "model.onnx", 1)
    names = predictor.output_names
    command = [sys.executable, "-m", "manygate", "serve", str(folder / MODEL), "--port", "{port}"]
    spec = Spec("manygate", [*command, "--threads", "1", "--deadline", "60", "--log-level", "warning"], "/v2/health/ready")
    with serving(spec, core, folder / "server.log") as server:
        client = Client(server.port, manifest)

        def raw(batch: Batch) -> Columns:
            return dict(zip(names, session.run(names, feed(manifest, batch)), strict=True))

        asked: dict[str, Callable[[Batch], Columns]] = dict(
            zip(WAYS, (raw, client.rank, client.infer_json, client.infer_binary), strict=True)
        )
        for way, ask in asked.items():
            for n, part in enumerate(parts):
                reference.compare(differences[way], n, ask(part))
    counts = {"rows": reference.rows, "ties": reference.ties, "knots": reference.knots}
    return {**counts, "ways": {way: asdict(difference) for way, difference in differences.items()}}


def refusals() -> dict[str, str]:
    """Return what the export says of features that it does not take."""
    ranker = trained({**models()[0], "architecture": "shared_bottom"}, refused=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            export_model(ranker.predictor, Path(folder) / MODEL)
        except InputError as error:
            return {"hashed uint64 ids": str(error)}
    return {"hashed uint64 ids": ""}


def checked(found: list[dict[str, Any]], refused: dict[str, str]) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    whole = [model for model in found if "error" not in model]
    return {
        "every model was trained, exported and served": len(whole) == len(found),
        "no value differs by more than the limit": not any(way["mismatches"] for model in whole for way in model["ways"].values()),
        "the export refuses hashed uint64 ids, and says so": all(refused.values()),
    }


def _shown(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def most(model: dict[str, Any], way: str, kind: str) -> str:
    """Return the largest difference of a kind of column."""
    largest = model["ways"][way]["largest"]
    return f"{largest[kind]:.1e}" if kind in largest else "-"


def table(found: list[dict[str, Any]]) -> list[str]:
    """Return the table of all models."""
    settings = list(found[0]["settings"])
    heads = [*settings, *WAYS, "ties", "knots", "steep", "apart and beyond", "mismatches"]
    lines = [f"| {' | '.join(['', *heads])} |", f"|{'---|' * (len(heads) + 1)}"]
    for n, model in enumerate(found, 1):
        shown = [_shown(value) for value in model["settings"].values()]
        if "error" in model:
            last = model["error"].strip().splitlines()[-1]
            lines.append(f"| {' | '.join([str(n), *shown, f'failed: {last}', *[''] * 7])} |")
            continue
        ways = [" / ".join(most(model, way, kind) for kind in KINDS) for way in WAYS]
        counts = [str(model[name]) for name in ("ties", "knots")]
        counts += [str(max(way[name] for way in model["ways"].values())) for name in ("steep", "apart_beyond")]
        wrong = sum(way["mismatches"] for way in model["ways"].values())
        lines.append(f"| {' | '.join([str(n), *shown, *ways, *counts, str(wrong)])} |")
    return lines


def lines_of(found: list[dict[str, Any]], checks: dict[str, bool], refused: dict[str, str]) -> list[str]:
    """Return the results as Markdown."""
    whole = [model for model in found if "error" not in model]
    worst = {
        kind: max((way["largest"].get(kind, 0.0) for model in whole for way in model["ways"].values()), default=0.0)
        for kind in KINDS
    }
    plan = ", ".join(f"{times} of {size}" for size, times in PLAN)
    pairs = ", ".join(f"{vocabulary} of {kind}" for kind, vocabulary in sorted(NOT_EXPORTED))
    return [
        *(f"* {'held' if held else 'failed'}: {check}" for check, held in checks.items()),
        f"* {len(whole)} models, {sum(model['rows'] for model in whole):,} rows by each of {len(WAYS)} ways. Batches: {plan}",
        f"* Largest difference: {', '.join(f'{kind} {value:.1e}' for kind, value in worst.items())}",
        f"* Rows counted apart: {sum(model['ties'] for model in whole):,} at a tie of a gate, "
        f"{sum(model['knots'] for model in whole):,} at a knot of a calibration",
        "",
        "Each model has these features, with known, unseen, null and extreme values:",
        "",
        f"* single ids and lists of {', '.join(IDS)}, with each of {' and '.join(VOCABULARIES)} (but {pairs}: refused)",
        f"* numbers encoded by {', '.join(ENCODINGS)}, whole numbers, a constant, and a bias feature that is absent at serving",
        "",
        "What the export says of the refused ones:",
        "",
        *(f"* {name}: {text}" for name, text in refused.items()),
        "",
        "A cell of a way has the largest difference of probabilities / values / scores. Ties and knots count the rows there. Apart "
        "and beyond counts the values of these rows that differ by more than the limit. Steep counts those where a calibration is "
        "steep. "
        "Both are of the way that has the most. Mismatches count the values of all ways.",
        "",
        *table(found),
    ]


def kept(path: Path) -> dict[str, dict[str, Any]]:
    """Return the models of an earlier result that agreed, by their settings."""
    found = json.loads(path.read_text())["models"]
    whole = [model for model in found if "error" not in model]
    agreed = [model for model in whole if not any(way["mismatches"] for way in model["ways"].values())]
    return {json.dumps(model["settings"]): model for model in agreed}


def main() -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="models at a time; each has a process and a server")
    parser.add_argument("--only", help="models whose settings have this text")
    parser.add_argument("--keep", type=Path, help="an earlier result; models that agreed there are not measured again")
    parser.add_argument("--first", type=int, help="only so many models")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    about = machine(1, "wall")
    chosen = [each for each in models() if not options.only or options.only in json.dumps(each)][: options.first]
    agreed = kept(options.keep) if options.keep else {}
    again = [each for each in chosen if json.dumps(each) not in agreed]
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        cores = [n % (os.cpu_count() or 1) for n in range(len(again))]
        for settings, model in zip(again, pool.map(measured, again, cores), strict=True):
            agreed[json.dumps(settings)] = model
            print(json.dumps(model), file=sys.stderr, flush=True)
    found = [agreed[json.dumps(each)] for each in chosen]
    refused = refusals()
    about["load_average_after"] = os.getloadavg()
    about["libraries"] = {"onnxruntime": onnxruntime.__version__, "pyarrow": pa.__version__}
    checks = checked(found, refused)
    intro = machine_lines(about)
    if options.keep:
        intro.append(f"* Measured again after a change: {len(again)} models. The others agreed in the run before")
    lines = ["# All ways to a prediction agree", "", *intro, *lines_of(found, checks, refused)]
    write_results(options.results, "parity", {"machine": about, "checks": checks, "refused": refused, "models": found}, lines)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
