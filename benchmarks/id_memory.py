"""Measure what a million known ids cost the server: memory, size of the folder, seconds from start to ready.

    python benchmarks/id_memory.py

Models with one feature are exported. Its ids are hashed, so that there is no vocabulary, or a vocabulary knows a million of them,
as text of 12 or 36 characters or as int64. The embedding tables are equally large. manygate-serving stands in an environment of its
own (``benchmarks/light_server.py``) and is started ``--rounds`` times with each model in turns. The memory is the resident memory
after ``--requests`` requests. The peak is the most up to then. The cost of a vocabulary is the difference from hashed ids. The exit
code is 1 if a request was not answered.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from light_server import installed, started
from measure import machine, machine_lines, shown, spread, write_results

from manygate.config import RunConfig
from manygate.data.fit import fit_encoder
from manygate.export.folder import export_model
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Feature, Schema, Task
from manygate.scoring.predictor import Predictor

NONE, LENGTHS, WHOLE = "hashed", {"text of 12": 12, "text of 36": 36}, "int64"
"""The kinds of ids: without a vocabulary, text by its characters, and whole numbers."""
KNOWN = [*LENGTHS, WHOLE]
SIZES: dict[str, Any] = {"architecture": "shared_bottom", "dim": 4, "bottom_hidden": (8,), "tower_hidden": (4,)}


def ids(kind: str, count: int) -> pa.Array:
    """Return different ids."""
    number_N = np.random.default_rng(0).permutation(count).astype(np.int64) * 4_007 + 1
    return pa.array([f"{number:0{LENGTHS[kind]}x}" for number in number_N.tolist()] if kind in LENGTHS else number_N)


def exported(kind: str, count: int, folder: Path) -> Path:
    """Export a model that is not trained, and return its folder."""
    hashed: dict[str, Any] = {"vocabulary": "hash", "buckets": count} if kind == NONE else {}
    schema = Schema(features=(Feature(name="item", kind="sparse", **hashed),), tasks=(Task(name="click"), Task(name="like")))
    labels = {name: pa.array(np.arange(count) % period == 0) for name, period in (("click", 2), ("like", 3))}
    log = pa.record_batch({"item": ids(kind, count), **labels})
    config = RunConfig.build({**SIZES, "min_count": 1, "threads": 1, "device": "cpu", "cross_layers": 0})
    encoder = fit_encoder(schema, config, [("log", log)])
    export_model(Predictor(MultiTaskModel(Problem.of(encoder, config), config), encoder), folder / kind)
    return folder / kind


def costs(rounds: dict[str, list[dict[str, float]]], figure: str, count: int) -> dict[str, float]:
    """Return what a million ids of each kind cost, as a difference of medians from the model without a vocabulary."""
    median = {kind: spread([one[figure] for one in each])["median"] for kind, each in rounds.items()}
    return {kind: (median[kind] - median[NONE]) * 1e6 / count for kind in KNOWN}


def main() -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    about = machine(1, "wall")
    kinds = [NONE, *KNOWN]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {kind: exported(kind, options.ids, folder) for kind in kinds}
        files = {kind: {path.name: path.stat().st_size for path in sorted(model.iterdir())} for kind, model in models.items()}
        python, _ = installed(folder)
        started(python, models[NONE], 1)
        rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, model in models.items():
                rounds[kind].append(started(python, model, options.requests))
    about["load_average_after"] = os.getloadavg()
    memory, peak, seconds = (costs(rounds, figure, options.ids) for figure in ("memory", "peak", "seconds"))
    checks = {"every request was answered": not any(one["failed"] for each in rounds.values() for one in each)}
    document = {
        "machine": about,
        "ids": options.ids,
        "files": files,
        "rounds": rounds,
        "memory": memory,
        "peak": peak,
        "seconds": seconds,
        "checks": checks,
    }
    lines = [
        "# What a million ids cost the server",
        "",
        *machine_lines(about),
        f"* {options.ids:,} ids, {options.rounds} starts each, {options.requests} requests each; median (least to most)",
        "",
        *(f"* {'held' if held else 'missed'}: {check}" for check, held in checks.items()),
        "",
        f"| | {' | '.join(kinds)} |",
        f"|---|{'---|' * len(kinds)}",
        f"| folder, MB | {' | '.join(f'{sum(files[kind].values()) / 1e6:.1f}' for kind in kinds)} |",
    ]
    figures = {
        "seconds from start to ready": ("seconds", ".2f"),
        "memory, MB": ("memory", ".0f"),
        "peak memory, MB": ("peak", ".0f"),
    }
    for label, (figure, form) in figures.items():
        lines.append(f"| {label} | {' | '.join(shown(spread([one[figure] for one in rounds[kind]]), form) for kind in kinds)} |")
    for label, cost, form in (
        ("memory of a million ids, MB", memory, ".0f"),
        ("peak memory of a million ids, MB", peak, ".0f"),
        ("seconds of a million ids", seconds, ".2f"),
    ):
        lines.append(f"| {label} | 0 | {' | '.join(f'{cost[kind]:{form}}' for kind in KNOWN)} |")
    write_results(options.results, "id-memory", document, lines)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
