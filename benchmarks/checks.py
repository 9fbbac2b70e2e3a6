"""What the checks of a log cost: leaks, ids, outcomes and fingerprints, beside inferring the schema and encoding.

The checks run inside these passes, so that their processor seconds are taken where they run, and all else is the rest. Needs about
4 GB of memory for 4 million rows::

    python benchmarks/checks.py --rows 4000000
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import add_machine_options, machine, machine_lines, write_results

from manygate.config import RunConfig
from manygate.data import leaks
from manygate.data.encoded import EncodedLog, encode_log
from manygate.data.fingerprint import TableFingerprint
from manygate.data.inference import infer_kind
from manygate.data.inference.outcomes import Outcomes
from manygate.data.leaks import LeakScan
from manygate.data.sources import find_schema, open_sources
from manygate.datasets.impressions import impressions

TASKS = ("click", "like:where=click==1", "buy:where=click==1", "watch_time:where=click==1")
TARGET = 0.15
SPENT: Counter[str] = Counter()
"""Processor seconds by check."""


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its processor seconds added to ``SPENT``."""

    def run(*arguments: Any, **keywords: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **keywords)
        finally:
            SPENT[name] += time.process_time() - began

    return run


def watch_checks() -> list[LeakScan]:
    """Time every check wherever it is called; the list collects the scans, for their size."""
    scans: list[LeakScan] = []
    start = LeakScan.__init__

    def started(self: LeakScan, *arguments: Any) -> None:
        start(self, *arguments)
        scans.append(self)

    for target, method, name in (
        (LeakScan, "add", "leaks"),
        (LeakScan, "results", "leaks"),
        (TableFingerprint, "add", "fingerprints"),
        (Outcomes, "__init__", "outcomes"),
        (Outcomes, "find", "outcomes"),
        (infer_kind, "_why_ids", "ids"),
    ):
        setattr(target, method, timed(name, getattr(target, method)))
    setattr(LeakScan, "__init__", started)  # noqa: B010 (mypy refuses the assignment)
    return scans


def measure(folder: Path, rows: int, scans: list[LeakScan]) -> dict[str, Any]:
    """Infer the schema of a log and encode it."""
    SPENT.clear()
    config = RunConfig.build({"task": list(TASKS), "log": str(folder)})
    began = time.process_time()
    sources = open_sources(str(folder), config)
    sources.schema_file = None
    schema = find_schema(sources, config)
    inferred = time.process_time()
    log: EncodedLog = encode_log(sources, schema, config)
    total = time.process_time() - began
    checks = dict(SPENT)
    share = sum(checks.values()) / (total - sum(checks.values()))
    state = sum(count.nbytes for count in scans[-1]._counts.values())
    return {
        "rows": rows,
        "features": len(schema.features),
        "tasks": len(schema.tasks),
        "seconds": total,
        "schema_seconds": inferred - began,
        "checks": checks,
        "share": share,
        "state_bytes": state,
        "bins": leaks.ID_BINS,
        "warnings": [str(warning) for warning in log.warnings],
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    results = found["results"]
    names = sorted({name for result in results for name in result["checks"]})
    head = [
        "rows",
        "schema and encoding without checks, s",
        *(f"{name}, s" for name in names),
        "share",
        "memory of the leak counts, MB",
    ]
    rows = []
    for result in results:
        rest = result["seconds"] - sum(result["checks"].values())
        cells = [f"{result['rows']:,}", f"{rest:.1f}", *(f"{result['checks'].get(name, 0.0):.2f}" for name in names)]
        rows.append([*cells, f"{result['share']:.1%}", f"{result['state_bytes'] / 1e6:.1f}"])
    last = results[-1]
    return [
        "# What the checks of a log cost",
        "",
        *machine_lines(found["machine"]),
        f"* The made-up log: {last['features']} features, {last['tasks']} tasks. Seconds are processor seconds of one thread.",
        f"* Target: at most {TARGET:.0%} of the rest.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)),
        "",
        f"Warnings on {last['rows']:,} rows: {'; '.join(last['warnings']) or 'none'}.",
    ]


def main() -> None:
    """Measure logs of several lengths, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    add_machine_options(parser, "checks")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(1, "cpu"), "results": []}
    scans = watch_checks()
    for rows in (options.rows // 8, options.rows // 2, options.rows):
        with tempfile.TemporaryDirectory() as name:
            impressions(Path(name) / "log", rows=rows)
            found["results"].append(measure(Path(name) / "log", rows, scans))
    found["machine"]["load_average_after"] = os.getloadavg()
    write_results(options.results, options.name, found, lines(found))


if __name__ == "__main__":
    main()
