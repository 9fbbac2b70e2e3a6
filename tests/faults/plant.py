"""Plants faults, one at a time, and says which of them the tests catch.

    python tests/faults/plant.py --only architecture --jobs 2

A fault is an entry of a ``*.yaml`` beside this file::

    - name: softmax-over-rows                # no two alike, in all files
      file: gate.py                          # relative to src/manygate
      old: z_GCB.softmax(dim=1)              # occurs exactly once in the file
      new: z_GCB.softmax(dim=2)
      tests: [tests/test_gate.py]            # what is to catch it, as pytest names it

Each is written into a copy of the project, never into the project itself. It is *caught* when its tests run and one of them fails;
it *survived* when they pass. Where they cannot run (the faulty module cannot be imported, a test file cannot be collected, pytest
finds no test, time is up) the fault is *broken*: it says nothing about the tests, and another has to take its place.

Exit codes: 0 all caught, 1 one survived or is broken, 2 the entries are wrong or the tests fail without any fault.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE, ENTRIES = Path("src/manygate"), Path("tests/faults")
COPIED = ("src", "tests", "docs", "configs", "benchmarks", "experiments", "pyproject.toml", "Makefile")
COPIED_TOO = ("README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "constraints.txt", ".ci")
LEFT_OUT = ("__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
SECONDS, SECONDS_WITHOUT = 300, 1800
"""The longest that the tests of one fault may take, and all tests without a fault."""
VERDICTS = ("caught", "survived", "broken")
NO_IMPORT, NO_TIME = 70, 124
"""Exit codes beside pytest's own."""

RUN = f"""
import importlib, sys, traceback
try:
    importlib.import_module(sys.argv[1])
except BaseException:
    traceback.print_exc()
    sys.exit({NO_IMPORT})
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
"""Imports the faulty module by itself first: that an import fails is no test's merit."""


@dataclass(frozen=True)
class Fault:
    """One entry: in ``file``, ``old`` becomes ``new``, and one of ``tests`` should fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def room(self) -> str:
        """The first folder of its file, or the file itself."""
        return Path(self.file).parts[0]

    @property
    def module(self) -> str:
        """What is imported; the package where the file is no module."""
        path = PACKAGE.name / Path(self.file)
        parts = path.with_suffix("").parts if path.suffix == ".py" else (PACKAGE.name,)
        return ".".join(part for part in parts if part != "__init__")


@dataclass(frozen=True)
class Outcome:
    """What became of a fault."""

    fault: Fault
    verdict: str
    seconds: float
    output: str

    def __str__(self) -> str:
        return f"{self.verdict:<9} {self.fault.room:<16} {self.fault.name}  {self.seconds:.1f}"


def read_faults(root: Path) -> tuple[list[Fault], list[str]]:
    """Every entry of every file, and what is wrong with them."""
    faults: list[Fault] = []
    problems: list[str] = []
    for path in sorted((root / ENTRIES).glob("*.yaml")):
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        except yaml.YAMLError as error:
            problems.append(f"{path.name}: not valid YAML: {error}")
            continue
        if not isinstance(entries, list):
            problems.append(f"{path.name}: expected a list of entries, found {type(entries).__name__}.")
            continue
        for number, entry in enumerate(entries, start=1):
            found = _problem_of(entry)
            problems += [f"{path.name}, entry {number}: {found}"] if found else []
            faults += [] if found else [Fault(**{**entry, "tests": tuple(entry["tests"])})]
    return faults, problems


def _problem_of(entry: Any) -> str | None:
    """What is wrong with the form of an entry."""
    names = [field.name for field in fields(Fault)]
    if not isinstance(entry, dict) or set(entry) != set(names):
        return f"needs exactly {', '.join(names)}; found {', '.join(map(str, entry)) if isinstance(entry, dict) else entry!r}."
    wrong = [name for name in names[:-1] if not isinstance(entry[name], str)]
    if wrong:
        return f"{', '.join(wrong)}: expected text; put it in quotes."
    tests = entry["tests"]
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        return f"tests: expected a list of pytest's names; found {tests!r}."
    return None


def problems_of(faults: Sequence[Fault], root: Path) -> list[str]:
    """Where the entries do not fit the project, all at once."""
    problems = [f"{name}: named twice." for name, count in Counter(fault.name for fault in faults).items() if count > 1]
    for fault in faults:
        path = root / PACKAGE / fault.file
        if not path.is_file():
            problems.append(f"{fault.name}: {PACKAGE / fault.file} does not exist.")
        elif (count := path.read_text(encoding="utf-8").count(fault.old) if fault.old else 0) != 1:
            problems.append(f"{fault.name}: 'old' occurs {count} times in {fault.file}, not once: {fault.old!r}")
        if fault.old == fault.new:
            problems.append(f"{fault.name}: 'new' is 'old'.")
        missing = [test for test in fault.tests if not (root / test.partition("::")[0]).exists()]
        problems += [f"{fault.name}: {test} does not exist." for test in missing]
    return problems


def copy_project(root: Path, target: Path) -> Path:
    """What the tests need, without bytecode."""
    for name in (*COPIED, *COPIED_TOO):
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        elif source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def run_tests(copy: Path, module: str, tests: Iterable[str], seconds: float, stop: bool = True) -> tuple[int, str]:
    """The exit code and the output of pytest on some tests of a copy; ``stop`` at the first that fails."""
    own = {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    flags = [*(["-x"] if stop else []), "-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", RUN, module, *flags, *tests]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(command, cwd=copy, env=os.environ | own, stdout=output, stderr=output, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = NO_TIME
        finally:
            _end(process)
        output.seek(0)
        text = output.read()
    shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # what one fault taught must not catch the next
    return code, text


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a run that is still going, and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def verdict_of(code: int, output: str) -> str:
    """What a run of pytest says about a fault; with ``-x`` a file that cannot be collected ends with 1, too."""
    if code == 0:
        return "survived"
    return "caught" if code == 1 and "ERROR collecting" not in output else "broken"


@contextmanager
def planted(fault: Fault, copy: Path) -> Iterator[None]:
    """The faulty file in its place, and then the sound one."""
    path = copy / PACKAGE / fault.file
    sound = path.read_bytes()
    try:
        path.write_bytes(sound.replace(fault.old.encode(), fault.new.encode()))
        yield
    finally:
        path.write_bytes(sound)


def try_fault(fault: Fault, copy: Path, seconds: float = SECONDS) -> Outcome:
    """Plant a fault in a copy and run its tests."""
    began = time.monotonic()
    with planted(fault, copy):
        code, output = run_tests(copy, fault.module, fault.tests, seconds)
    return Outcome(fault, verdict_of(code, output), time.monotonic() - began, output)


def on_copies(work: Callable[[Any, Path], Any], items: Sequence[Any], copies: Sequence[Path]) -> Iterator[Any]:
    """The results of some work as they come, one item at a time on each copy."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(item: Any) -> Any:
        copy = free.get()
        try:
            return work(item, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for done in as_completed([pool.submit(one, item) for item in items]):
            yield done.result()


def without_fault(faults: Sequence[Fault], copies: Sequence[Path]) -> list[str]:
    """Run all tests that are named, once, without a fault; the output of runs that do not pass."""
    tests = list(dict.fromkeys(test for fault in faults for test in fault.tests))
    shares = [tests[start :: len(copies)] for start in range(min(len(copies), len(tests)))]

    def run(share: list[str], copy: Path) -> tuple[int, str]:
        return run_tests(copy, PACKAGE.name, share, SECONDS_WITHOUT, stop=False)

    return [output for code, output in on_copies(run, shares, copies) if code != 0]


def table(outcomes: Sequence[Outcome]) -> str:
    """How many of each room's faults were caught, survived and are broken, and all together."""
    counts = Counter((outcome.fault.room, outcome.verdict) for outcome in outcomes)
    rooms = sorted({outcome.fault.room for outcome in outcomes})
    lines = [f"{'room':<20}" + "".join(f"{verdict:>10}" for verdict in VERDICTS)]
    lines += [f"{room:<20}" + "".join(f"{counts[room, verdict]:>10}" for verdict in VERDICTS) for room in rooms]
    total = Counter(outcome.verdict for outcome in outcomes)
    return "\n".join([*lines, f"{'all':<20}" + "".join(f"{total[verdict]:>10}" for verdict in VERDICTS)])


def plant(faults: Sequence[Fault], root: Path, jobs: int) -> int:
    """Plant every fault and print what became of it."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copies = [copy_project(root, Path(folder) / f"copy-{job}") for job in range(min(jobs, len(faults)))]
        if failed := without_fault(faults, copies):
            print("\n".join(output[-4000:] for output in failed))
            print("The tests do not pass without any fault; nothing was planted.", file=sys.stderr)
            return 2
        outcomes: list[Outcome] = []
        for outcome in on_copies(try_fault, faults, copies):
            outcomes.append(outcome)
            print(outcome, flush=True)
            if outcome.verdict == "broken":
                print("    " + "\n    ".join(outcome.output.strip().splitlines()[-8:]), flush=True)
    print(f"\n{table(outcomes)}")
    return 0 if all(outcome.verdict == "caught" for outcome in outcomes) else 1


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Read the entries, and list or plant those chosen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="SUBSTRING", help="faults with this in name or file")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the faults, plant none")
    options = parser.parse_args(arguments)
    faults, problems = read_faults(root)
    if problems := problems + problems_of(faults, root):
        print("\n".join(problems), file=sys.stderr)
        return 2
    chosen = [f for f in faults if not options.only or any(part in f.name or part in f.file for part in options.only)]
    if not chosen or options.jobs < 1:
        print("No fault is chosen, or no job to plant it.", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{fault.room:<16} {fault.name}  {' '.join(fault.tests)}" for fault in chosen))
        return 0
    return plant(chosen, root, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
