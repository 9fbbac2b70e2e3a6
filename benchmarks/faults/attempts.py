"""What the fault scripts share: calls of ``manygate`` in forked children, with a limit of time, and a line for each attempt.

torch is imported once. Each call is a child of its own, so that limits, signals and crashes end with it. An attempt *held* if every
call ended within its time, with exit code 0 or 2 (or that of a signal), without a traceback and without a fault of manygate, with a
short message, and if the check of the attempt found no wrong result.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  (matplotlib reads it when it first draws)
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch._dynamo  # noqa: F401  (torch.optim loads it, slowly, when it is first used)

from manygate import ranker, report  # noqa: F401
from manygate.cli import terminal  # noqa: F401
from manygate.cli.main import main as manygate
from manygate.runs import comparison, run  # noqa: F401
from manygate.scoring import score_file  # noqa: F401

TINY = [
    "--epochs",
    "1",
    "--experts",
    "2",
    "--expert-hidden",
    "4",
    "--tower-hidden",
    "4",
    "--dim",
    "2",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--progress",
    "plain",
]
LONGEST_MESSAGE = 25_000
SECONDS = 60


@dataclass
class Call:
    """The end of a call: exit code (negative for a signal, None for a hang) and what it printed."""

    words: list[str]
    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def accepted(self) -> bool:
        return self.code == 0

    def problems(self, codes: Iterable[int] = (0, 2)) -> list[str]:
        """Return what no call may do."""
        shown = f"manygate {' '.join(self.words)[:100]}"
        if self.code is None:
            return [f"{shown}: hangs"]
        problems = [] if self.code in codes else [f"{shown}: exit code {self.code}: {self.err.strip()[-300:]}"]
        for text in ("Traceback", "fault of manygate", "Exception ignored", "Segmentation", "core dumped"):
            if text in self.err:
                problems.append(f"{shown}: {text}: {self.err.strip()[-400:]}")
        if self.code == 2 and "manygate: " not in self.err:
            problems.append(f"{shown}: refused without a reason")
        if len(self.err) > LONGEST_MESSAGE:
            problems.append(f"{shown}: a message of {len(self.err):,} characters: {self.err[:200]}")
        if set(self.out + self.err) & set("\x1b\x07\x08\x9b\x7f"):
            problems.append(f"{shown}: control characters reach the terminal")
        return problems


def call(*words: object, before: Callable[[], None] | None = None, seconds: float = SECONDS) -> Call:
    """Call ``manygate`` in a child; ``before`` runs in the child first."""
    child = start(*words, before=before)
    return end(child, seconds)


@dataclass
class Child:
    """A call that runs."""

    pid: int
    words: list[str]
    folder: Path
    began: float = field(default_factory=time.monotonic)


def start(*words: object, before: Callable[[], None] | None = None) -> Child:
    """Start a call in a child of this process."""
    folder = Path(tempfile.mkdtemp(prefix="call-"))
    folder.chmod(0o777)
    given = [str(word) for word in words]
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Child(pid, given, folder)
    code = 99
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["manygate", *given]
        if before is not None:
            before()
        manygate()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 98
        os._exit(code)


def end(child: Child, seconds: float = SECONDS) -> Call:
    """Wait for a call; a call that takes longer than ``seconds`` is killed and counts as a hang."""
    until, code = child.began + seconds, None
    while time.monotonic() < until:
        ended, status = os.waitpid(child.pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.005)
    else:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
    texts = [
        (child.folder / name).read_text("utf-8", "replace") if (child.folder / name).exists() else "" for name in ("out", "err")
    ]
    shutil.rmtree(child.folder, ignore_errors=True)
    return Call(child.words, code, *texts, time.monotonic() - child.began)


@dataclass
class Tally:
    """Counts the attempts of a script, prints a line for each that did not hold, and a line with the sums at the end."""

    what: str
    verbose: bool = False
    only: str = ""
    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def from_arguments(cls, what: str) -> Tally:
        parser = argparse.ArgumentParser(description=what)
        parser.add_argument("--verbose", action="store_true", help="print a line for each attempt")
        parser.add_argument("--only", default="", help="try those alone whose name holds this word")
        given = parser.parse_args()
        tally = cls(what, given.verbose, given.only)
        signal.signal(signal.SIGTERM, lambda number, frame: tally.finish())  # a limit of time ends a script with its sums
        return tally

    def chooses(self, name: str) -> bool:
        return self.only in name

    def add(self, name: str, outcome: str, problems: list[str]) -> None:
        self.tried += 1
        self.outcomes[outcome] += 1
        if problems:
            self.failed.append(name)
        if problems or self.verbose:
            print(
                f"{'FAILED' if problems else 'held  '} {name}: {outcome}{''.join(f'{chr(10)}       {p}' for p in problems)}",
                flush=True,
            )

    def finish(self) -> None:
        """Print the sums, and exit with 1 if an attempt did not hold."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        held = self.tried - len(self.failed)
        print(f"{self.what}: tried {self.tried}, held {held}, {time.monotonic() - self.began:.0f} s ({outcomes})")
        raise SystemExit(1 if self.failed else 0)


ROWS = 160


def base_columns(seed: int = 0) -> dict[str, pa.Array]:
    """Return the columns of the table that the hostile tables change: ids, a number, words, a click."""
    random = np.random.default_rng(seed)
    user = random.integers(0, 12, ROWS)
    number = random.normal(size=ROWS).round(3)
    click = (random.random(ROWS) < 1 / (1 + np.exp(-number - (user % 3) + 1))).astype(np.int64)
    return {
        "user": pa.array([f"u{u}" for u in user]),
        "x": pa.array(number),
        "country": pa.array(random.choice(["CH", "DE", "FR"], ROWS).tolist()),
        "click": pa.array(click),
    }


def write_base(path: Path, **changes: pa.Array) -> Path:
    """Write the base table as Parquet, with some columns changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**base_columns(), **changes}), path, write_page_checksum=True)
    return path


def work_folder() -> Path:
    """Make a folder for a script, and go there."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o777)
    os.chdir(folder)
    return folder
