"""Shows that two checkouts train to the same numbers, to the bit: for a change that should change none.

    git worktree add ../before main
    manygate dataset census --data-dir DOWNLOADS --out census
    python benchmarks/same_numbers.py ../before . --census census

Each case runs the command line of both checkouts, one thread each, on the same rows: two replicas, two epochs of some 30 steps. It
is equal where the entries of ``metrics.jsonl`` (timings left out) and the weights (sha256 of ``bundle/model.safetensors``) are the
same. The rows are the made-up log, which OLD writes, and with ``--census`` the first rows of each part of census.

Exit codes: 0 all equal, 1 a case differs or fails, 2 the arguments are wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

SCHEMES = ("mmoe", "ple", "single_task", "cross_stitch", "stem")
OPTIMIZERS = {
    "default": "",
    "adamw, sparse tables": "--optimizer adamw --sparse-gradients",
    "adam, linear, clipped": "--optimizer adam --schedule linear --clip-norm 1",
}
FUNNEL = "--task click --task like:where=click==1 --task buy:after=click --funnel esmm"
ALIKE = "--threads 1 --device cpu --replicas 2 --epochs 2 --max-steps 60 --batch-size 128 --seed 3 --progress none"
LOG_ROWS, CENSUS_ROWS = 4_800, {"train": 3_840, "valid": 800, "test": 800}
# the command line was a file once, cli.py
START = "try: from manygate.cli.main import main\nexcept ImportError: from manygate.cli import main\nmain()"
SECONDS = 300


@dataclass(frozen=True)
class Case:
    """One training: its rows, and the flags beside those that all have."""

    log: str
    name: str
    flags: str

    def __str__(self) -> str:
        return f"{self.log}, {self.name}"


class RunError(RuntimeError):
    """A checkout's command line ended with an error."""


def cases(logs: Sequence[str]) -> list[Case]:
    """Every scheme on every log by the first two optimizers, MMoE by the third, and a funnel on the made-up log."""
    networks = {scheme: f"--architecture {scheme}" for scheme in SCHEMES}
    first = list(OPTIMIZERS.items())[:2]
    found = [Case(log, f"{n}, {o}", f"{ns} {os_}") for log, (n, ns), (o, os_) in product(logs, networks.items(), first)]
    last, flags = list(OPTIMIZERS.items())[2]
    found += [Case(log, f"mmoe, {last}", f"{networks['mmoe']} {flags}") for log in logs]
    return found + [Case("log", f"mmoe, esmm, {o}", f"{networks['mmoe']} {FUNNEL} {flags}") for o, flags in first]


def call(checkout: Path, folder: Path, *arguments: str) -> None:
    """The command line of a checkout, in a folder."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", START, *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"{checkout}: not done after {SECONDS} seconds") from None
    if done.returncode:
        raise RunError(f"{checkout}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")


def trained(checkout: Path, folder: Path, case: Case) -> tuple[list[Any], str]:
    """The entries of ``metrics.jsonl``, without timings, and the sha256 of the weights."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        call(checkout, folder, "train", case.log, "--out", own + "/run", *shlex.split(case.flags), *ALIKE.split())
        lines = (Path(own) / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        weights = (Path(own) / "run/bundle/model.safetensors").read_bytes()
    return [untimed(json.loads(line)) for line in lines], hashlib.sha256(weights).hexdigest()


def untimed(value: Any) -> Any:
    """A document without what its clock says."""
    if isinstance(value, dict):
        return {name: untimed(inner) for name, inner in value.items() if "seconds" not in name}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


def compare(case: Case, old: Path, new: Path, folder: Path) -> bool:
    """Train a case by both checkouts at once and print whether they agree."""
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(trained, checkout, folder, case) for checkout in (old, new)]
    try:
        (metrics, weights), (new_metrics, new_weights) = (future.result() for future in futures)
    except RunError as error:
        print(f"failed     {case!s:<42} {error}", flush=True)
        return False
    unlike = [what for what, differs in (("metrics", metrics != new_metrics), ("weights", weights != new_weights)) if differs]
    verdict = "different" if unlike else "equal"
    print(f"{verdict:<10} {case!s:<42} {weights[:16]}  {new_weights[:16]}  {', '.join(unlike)}".rstrip(), flush=True)
    return not unlike


def first_rows(source: Path, target: Path) -> None:
    """The first rows of each part of census, with its schema."""
    target.mkdir()
    shutil.copy2(source / "schema.yaml", target)
    for part, rows in CENSUS_ROWS.items():
        pq.write_table(pq.read_table(source / f"{part}.parquet").slice(0, rows), target / f"{part}.parquet")


def checked(options: argparse.Namespace) -> list[str]:
    """What is wrong with the arguments."""
    needs = [(checkout / "src/manygate/__init__.py", "no checkout") for checkout in (options.old, options.new)]
    if options.census is not None:
        files = ["schema.yaml", *(f"{part}.parquet" for part in CENSUS_ROWS)]
        needs += [(options.census / name, "not what manygate dataset census writes") for name in files]
    return [f"{path} is missing: {what}." for path, what in needs if not path.is_file()]


def main() -> int:
    """Compare the two checkouts in every case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=lambda text: Path(text).resolve(), metavar="OLD", help="a checkout; it writes the made-up log")
    parser.add_argument("new", type=lambda text: Path(text).resolve(), metavar="NEW", help="another")
    parser.add_argument("--census", type=lambda text: Path(text).resolve(), help="the folder that manygate dataset census wrote")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="cases with this in their line")
    options = parser.parse_args()
    if problems := checked(options):
        parser.error(" ".join(problems))
    with tempfile.TemporaryDirectory(prefix="same-numbers-") as temporary:
        folder = Path(temporary)
        call(options.old, folder, "dataset", "log", "--rows", str(LOG_ROWS), "--out", "log")
        if options.census is not None:
            first_rows(options.census, folder / "census")
        logs = ["log"] if options.census is None else ["log", "census"]
        chosen = [case for case in cases(logs) if options.only in str(case)]
        equal = sum(compare(case, options.old, options.new, folder) for case in chosen)
    print(f"{equal} of {len(chosen)} cases equal")
    return 0 if chosen and equal == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
