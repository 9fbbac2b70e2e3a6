"""Hostile surroundings. Run: python benchmarks/faults/environments.py (as root it also tries a full disk and other users)

``manygate train``, ``predict`` and ``schema`` with a full or read-only disk, few descriptors, little memory, as another user, in
other locales, without a home, with streams that are closed, full or not read. A call must end with a clear message, and what was
there before must stay. When the surroundings are sound again, the work can be continued.
"""

from __future__ import annotations

import codecs
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attempts import TINY, Call, Tally, call, work_folder, write_base

ROOT = os.geteuid() == 0
NOBODY = 65534
TRAIN = ["train", "log.parquet", "--task", "click", *TINY, "--min-count", "1", "--out", "new"]
PREDICT = ["predict", "run", "log.parquet", "--out", "s.parquet"]
SCHEMA = ["schema", "log.parquet", "--task", "click", "--json"]


@dataclass(frozen=True)
class Surroundings:
    """What is odd, the call, what is done in the child before it, and the exit codes that are allowed."""

    name: str
    words: list[str]
    before: Callable[[], None] = lambda: None
    codes: tuple[int, ...] = (0, 2)
    says: str = ""


def limit(kind: int, value: int) -> Callable[[], None]:
    def set_limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(kind, (value, value))

    return set_limit


def few_descriptors(spare: int) -> Callable[[], None]:
    """Leave so many descriptors free."""

    def set_limit() -> None:
        first_free = os.open(os.devnull, os.O_RDONLY)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + spare, first_free + spare))

    return set_limit


def little_memory(megabytes: int) -> Callable[[], None]:
    """Leave so many megabytes of addresses free."""

    def set_limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    return set_limit


def as_nobody() -> None:
    """Become a user without rights. Python reads its encodings when they are first needed, perhaps from a folder of root."""
    for encoding in ("ascii", "latin-1", "idna", "unicode_escape", "raw_unicode_escape", "utf-16"):
        codecs.lookup(encoding)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def closed(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


def forked() -> list[Surroundings]:
    """Surroundings that a child can make for itself."""
    odd = [
        Surroundings("files of at most 700 bytes", TRAIN, limit(resource.RLIMIT_FSIZE, 700), (2,), "cannot be"),
        Surroundings("files of at most 2,000 bytes", TRAIN, limit(resource.RLIMIT_FSIZE, 2_000), (2,), "cannot be"),
        Surroundings("files of at most 20,000 bytes", TRAIN, limit(resource.RLIMIT_FSIZE, 20_000)),
        Surroundings("scores larger than a file may be", PREDICT, limit(resource.RLIMIT_FSIZE, 500), (2,), "cannot be"),
        Surroundings("no core file", TRAIN, limit(resource.RLIMIT_CORE, 0), (0,)),
        *(Surroundings(f"{spare} descriptors, train", TRAIN, few_descriptors(spare)) for spare in (0, 1, 2, 4)),
        *(Surroundings(f"{spare} descriptors, predict", PREDICT, few_descriptors(spare)) for spare in (0, 1, 2)),
        Surroundings("1 MB of memory, train", TRAIN, little_memory(1), (0, 2, 127)),  # 127: the C library aborts
        *(Surroundings(f"{size} MB of memory, train", TRAIN, little_memory(size)) for size in (20, 80, 300)),
        *(Surroundings(f"{size} MB of memory, predict", PREDICT, little_memory(size)) for size in (1, 20, 80)),
        Surroundings("no stdin, stdout and stderr", TRAIN, closed(0, 1, 2), (0,)),
        Surroundings("no stdout", SCHEMA, closed(1), (0,)),
        Surroundings("a working folder that was deleted", ["schema", "../log.parquet", "--task", "click"], _leave_a_deleted_folder),
        Surroundings("a read-only folder of a run", ["calibrate", "run", "log.parquet"], lambda: Path("run/bundle").chmod(0o555)),
    ]
    if ROOT:
        odd += [
            Surroundings("another user, train", TRAIN, as_nobody, (0,)),
            Surroundings("another user, predict", PREDICT, as_nobody, (0,)),
            Surroundings("another user, a folder of root", [*TRAIN[:-1], "closed/new"], as_nobody, (2,), "Permission denied"),
            Surroundings("another user, a log of root", [*SCHEMA[:1], "secret.parquet", *SCHEMA[2:]], as_nobody, (2,), "ermission"),
            Surroundings(
                "another user, the weights of root", ["predict", "secret", *PREDICT[2:]], as_nobody, (2,), "Permission denied"
            ),
            Surroundings("another user, overwriting", [*PREDICT[:-1], "closed.parquet", "--overwrite"], as_nobody, (0, 2)),
            Surroundings("another user, resuming", ["train", "--resume", "run"], as_nobody, (0, 2)),
        ]
    return odd


def _leave_a_deleted_folder() -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()


def prepare(whole: Path) -> None:
    """Make the files that the calls read, in the working folder."""
    shutil.copytree(whole, "run")
    shutil.copytree(whole, "secret")
    write_base(Path("log.parquet"))
    write_base(Path("secret.parquet"))
    Path("closed").mkdir()
    Path("closed.parquet").touch()
    for path in ("closed", "secret.parquet", "secret/bundle/model.safetensors", "closed.parquet"):
        Path(path).chmod(0o700 if Path(path).is_dir() else 0o600)
    Path().chmod(0o777)


def again() -> list[str]:
    """Do the work in sound surroundings. It must succeed, from where it was."""
    if not Path("new/config.yaml").is_file():
        words = [*TRAIN, "--overwrite"] if Path("new").is_dir() and any(Path("new").iterdir()) else TRAIN
    else:
        words = ["train", "--resume", "new"]
    return call(*words).problems((0,))


def judge(odd: Surroundings, whole: Path) -> tuple[str, list[str]]:
    prepare(whole)
    done = call(*odd.words, before=odd.before)
    problems = done.problems(odd.codes)
    if done.code == 2 and odd.says not in done.err:
        problems.append(f"does not say {odd.says!r}: {done.err[-300:]}")
    if odd.words[0] == "train" and "--resume" not in odd.words and "closed/new" not in odd.words:
        problems += again()
    problems += [f"left behind: {path.name}" for path in Path().iterdir() if path.name.startswith(".")]
    problems += call("predict", "run", "log.parquet", "--out", "after.csv").problems((0,))
    return "accepted" if done.accepted else "refused", problems


COMMAND = f'"{sys.executable}" -c "from manygate.cli.main import main; main()"'


def in_shell(words: str, **environment: str | None) -> Call:
    """Call ``manygate`` in a shell, in a new process; None takes a variable away."""
    both = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    command = ["/bin/bash", "-c", words.replace("manygate", COMMAND)]
    done = subprocess.run(command, env=both, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    return Call([words], done.returncode, done.stdout, done.stderr, 0)


def shells(tally: Tally) -> None:
    """Surroundings that only a new process has."""
    schema = "manygate schema log.parquet --task click"
    commands: dict[str, tuple[str, dict[str, str | None], tuple[int, ...]]] = {
        "locale C": (schema, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, (0,)),
        "locale POSIX, output of ASCII": (schema, {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}, (0,)),
        "a locale that does not exist": (schema, {"LC_ALL": "xx_YY.UTF-9"}, (0,)),
        "Turkish": (schema, {"LC_ALL": "tr_TR.UTF-8"}, (0,)),
        "no HOME": (f"{schema} --out s.yaml", {"HOME": None, "XDG_CACHE_HOME": None}, (0,)),
        "a HOME that does not exist": (f"{schema} --out s.yaml", {"HOME": "/nowhere"}, (0,)),
        "no PATH": (schema, {"PATH": ""}, (0,)),
        "no TERM": (schema, {"TERM": None}, (0,)),
        "a terminal of 1 column": (schema, {"COLUMNS": "1"}, (0,)),
        "no folder for temporary files": (schema, {"TMPDIR": "/nowhere"}, (0,)),
        "a full output": (f"{schema} > /dev/full", {}, (2,)),
        "an output that nobody reads": (f"{schema} --json | :; exit ${{PIPESTATUS[0]}}", {}, (0, 141)),
        "errors that nobody reads": (f"{schema} --task clik 2>&1 >/dev/null | :; exit ${{PIPESTATUS[0]}}", {}, (2, 141)),
        "warnings as errors": (schema, {"PYTHONWARNINGS": "error"}, (0,)),
    }
    for name, (words, environment, codes) in commands.items():
        if tally.chooses(name):
            write_base(Path("log.parquet"))
            done = in_shell(words, **environment)
            problems = [text for text in done.problems(codes) if "2>&1" not in words or "without a reason" not in text]
            tally.add(name, "accepted" if done.accepted else "refused", problems)
            Path("s.yaml").unlink(missing_ok=True)


def full_disks(tally: Tally, whole: Path) -> None:
    """Train and predict on disks that are full or read-only; mounting them needs root."""
    for name, options, words, codes in (
        ("a disk of 16 kB, train", "size=16k", TRAIN, (2,)),
        ("a disk of 100 kB, train", "size=100k", TRAIN, (2,)),
        ("a disk of 8 kB, predict", "size=8k", PREDICT, (0, 2)),
        ("a read-only disk, train", "ro", TRAIN, (2,)),
        ("a read-only disk, schema", "ro", ["schema", "log.parquet", "--task", "click", "--out", "disk/s.yaml"], (2,)),
    ):
        if not tally.chooses(name):
            continue
        prepare(whole)
        Path("disk").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", "disk"]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            print(f"not tried (mounting is not allowed): {name}")
        else:
            try:
                moved = [f"disk/{word}" if word in ("new", "s.parquet") else word for word in words]
                done = call(*moved)
                left = [path.name for path in Path("disk").iterdir() if path.name.startswith(".")]
                tally.add(
                    name, "accepted" if done.accepted else "refused", [*done.problems(codes), *(f"left behind: {n}" for n in left)]
                )
            finally:
                subprocess.run(["umount", "disk"], check=True)
        for path in Path().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> None:
    tally, work = Tally.from_arguments("hostile surroundings"), work_folder()
    write_base(work / "log.parquet")
    made = call(*TRAIN[:-1], "whole")
    assert made.accepted, made.err
    for number, odd in enumerate(forked()):
        if tally.chooses(odd.name):
            folder = work / f"{number:03d}"
            folder.mkdir()
            os.chdir(folder)
            tally.add(odd.name, *judge(odd, work / "whole"))
            os.chdir(work)
            shutil.rmtree(folder)
    (work / "shells").mkdir()
    os.chdir(work / "shells")
    shells(tally)
    (work / "disks").mkdir()
    os.chdir(work / "disks")
    if ROOT:
        full_disks(tally, work / "whole")
    tally.finish()


if __name__ == "__main__":
    main()
