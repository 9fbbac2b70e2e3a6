"""What the fingerprint of every row costs while a log is encoded, and how much memory an evaluation needs.

    python benchmarks/fingerprint.py --rows 4000000 --clock cpu --threads 1

The log is the made-up log of impressions: 11 features (one a list of tags), 4 labels, a group. It is written into a temporary
folder; ``--rows`` are its training rows. Each measurement runs in a process of its own, so that peaks of memory do not add up. The
fingerprint's own time is that of its calls inside ``encode_log``, and the ratio is taken to the rest: ``infer_schema`` and the
encoding. An evaluation scores all rows; its peak is compared with the estimate (``scored_bytes``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from measure import add_machine_options, machine, machine_lines, write_results

TASKS = ("click", "like", "watch_time:kind=regression", "buy")


class PeakMemory:
    """The largest memory from now on, beyond what the process has now (Linux)."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self._kilobytes("VmRSS")

    def bytes(self) -> int:
        return 1024 * (self._kilobytes("VmHWM") - self.before)

    def _kilobytes(self, name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure_encoding(folder: Path, clock: str, fingerprint: bool) -> dict[str, float]:
    """Seconds of schema, encoding and fingerprint of the training table, and the peak of memory."""
    import manygate as mg
    from manygate.config import DataConfig
    from manygate.data import encoded as encoding
    from manygate.data.encoded import encode_log
    from manygate.data.fingerprint import TableFingerprint
    from manygate.data.leaks import LeakScan
    from manygate.data.sources import open_sources

    now = time.process_time if clock == "cpu" else time.perf_counter
    spent = 0.0
    add = TableFingerprint.add

    def timed_add(self: TableFingerprint, batch: pa.RecordBatch) -> None:
        nonlocal spent
        began = now()
        if fingerprint:
            add(self, batch)
        spent += now() - began

    checks = 0.0

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal checks
            began = now()
            result = work(*arguments, **options)
            checks += now() - began
            return result

        return call

    TableFingerprint.add = timed_add  # type: ignore[method-assign]
    LeakScan.add, LeakScan.results = timed(LeakScan.add), timed(LeakScan.results)  # type: ignore[method-assign]
    encoding.part_alarms = timed(encoding.part_alarms)
    memory, began = PeakMemory(), now()
    log = folder / "train.parquet"
    schema = mg.infer_schema(log, list(TASKS), group="user_id", bias=["position"], ignore=["timestamp"])
    inferred = now()
    encoded = encode_log(open_sources(log, DataConfig()), schema, DataConfig())
    ended = now()
    return {
        "schema": inferred - began,
        "encoding": ended - inferred - spent - checks,
        "fingerprint": spent,
        "checks": checks,
        "peak": memory.bytes(),
        "rows": sum(len(rows) for rows in encoded.parts.values()),
        "encoded": sum(rows.nbytes for rows in encoded.parts.values()),
    }


def measure_evaluation(folder: Path, clock: str, bundle: Path) -> dict[str, float]:
    """Seconds of an evaluation of every training row, the peak of memory, and what was estimated."""
    import manygate as mg
    from manygate.scoring.scored import scored_bytes

    now = time.process_time if clock == "cpu" else time.perf_counter
    ranker = mg.Ranker.load(bundle)
    ranker.evaluate(folder / "first.parquet")
    memory, began = PeakMemory(), now()
    report = ranker.evaluate(folder / "train.parquet")
    return {
        "seconds": now() - began,
        "rows": report.rows,
        "peak": memory.bytes(),
        "estimate": scored_bytes(report.rows, report.replicas, len(report.tasks)),
    }


def in_a_process(kind: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The result of one measurement in a new process."""
    flags = ["--clock", arguments.clock, "--threads", str(arguments.threads), "--measure", kind, "--folder", str(folder)]
    ended = subprocess.run([sys.executable, __file__, *flags], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    print(kind, result, file=sys.stderr)
    return result


def prepare_logs(folder: Path, rows: int) -> None:
    """Write logs of the full size, of half and of a quarter, and a model of 2 replicas that was trained on a small log."""
    import pyarrow.parquet as pq

    import manygate as mg

    for share in (4, 2, 1):
        mg.datasets.impressions(folder / f"log-{share}", rows=rows * 5 // (4 * share))
    small = pq.ParquetFile(folder / "log-4" / "train.parquet").read_row_group(0).slice(0, 20_000)
    mg.Ranker(task=list(TASKS), replicas=2, epochs=1, group="user_id", bias=["position"], ignore=["timestamp"], experts=4).fit(
        small, out=folder / "run", progress=False
    )
    for share in (4, 2, 1):
        pq.write_table(small.slice(0, 5_000), folder / f"log-{share}" / "first.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=("with", "without", "evaluation"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_machine_options(parser, "fingerprint")
    arguments = parser.parse_args()
    if arguments.measure is not None:
        folder = arguments.folder
        if arguments.measure == "evaluation":
            print(json.dumps(measure_evaluation(folder, arguments.clock, folder.parent / "run")))
        else:
            print(json.dumps(measure_encoding(folder, arguments.clock, arguments.measure == "with")))
        return
    about = machine(arguments.threads, arguments.clock)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_logs(folder, arguments.rows)
        rounds = [
            {kind: in_a_process(kind, folder / "log-1", arguments) for kind in ("with", "without")} for _ in range(arguments.rounds)
        ]
        evaluations = [in_a_process("evaluation", folder / f"log-{share}", arguments) for share in (4, 2, 1)]
    about["load_average_after"] = os.getloadavg()
    document = {"machine": about, "rounds": rounds, "evaluations": evaluations}
    write_results(arguments.results, arguments.name, document, report(document))


def report(document: dict[str, Any]) -> list[str]:
    """The lines of the Markdown file."""
    rounds, evaluations = document["rounds"], document["evaluations"]
    rows = f"{rounds[0]['with']['rows']:,.0f}"
    lines = [f"# The fingerprint of {rows} rows, and the memory of an evaluation", "", *machine_lines(document["machine"]), ""]
    lines += [f"## Cost of the fingerprint while {rows} rows are encoded", ""]
    lines += [
        "| round | schema, s | encoding, s | fingerprint, s | share of schema + encoding | leaks and copies, s | share with these "
        "| peak, MB | peak without it, MB |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for number, pair in enumerate(rounds, 1):
        found, without = pair["with"], pair["without"]
        base = found["schema"] + found["encoding"]
        share, checks = found["fingerprint"] / base, (found["fingerprint"] + found["checks"]) / base
        lines.append(
            f"| {number} | {found['schema']:.2f} | {found['encoding']:.2f} | {found['fingerprint']:.2f} | {100 * share:.1f} % | "
            f"{found['checks']:.2f} | {100 * checks:.1f} % | "
            f"{found['peak'] / 1e6:,.0f} | {without['peak'] / 1e6:,.0f} |"
        )
    lines += ["", f"The encoded rows take {rounds[0]['with']['encoded'] / 1e6:,.0f} MB.", "", "## Memory of an evaluation", ""]
    lines += ["| rows | seconds | peak, MB | bytes a row | estimate, MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {found['rows']:,.0f} | {found['seconds']:.1f} | {found['peak'] / 1e6:,.0f} | {found['peak'] / found['rows']:.0f} | "
        f"{found['estimate'] / 1e6:,.0f} |"
        for found in evaluations
    ]
    return lines


if __name__ == "__main__":
    main()
