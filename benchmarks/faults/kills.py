"""Kills at random moments. Run: python benchmarks/faults/kills.py

``train``, ``compare``, a resumed run, one with ``--overwrite``, ``calibrate`` and ``fuse`` are killed with SIGKILL at random
moments of their whole time. The work is then continued, or started again where nothing had been saved. It must end with the bytes
of a run that was left alone. A bundle that is changed must stay readable.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from attempts import TINY, Call, Tally, call, end, start, work_folder, write_base

FLAGS = [*TINY[2:], "--epochs", "4", "--batch-size", "8", "--checkpoint-seconds", "0.02", "--min-count", "1", "--patience", "9"]
COMPARED = ["--architectures", "mmoe,shared_bottom", "--replicas", "2"]
TRAIN = ["train", "log.parquet", "--task", "click", *FLAGS]
COMPARE = ["compare", "log.parquet", "--task", "click", *FLAGS, *COMPARED]
chance = random.Random(7)


def digest(folder: Path) -> dict[str, str]:
    """Return what a run leaves: history, weights and state of each model, and the choice."""
    wanted, files = ("metrics.jsonl", "model.safetensors", "encoder.json"), {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.name in wanted:
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "state.json":
            state = json.loads(path.read_text())
            files[name] = json.dumps({key: value for key, value in state.items() if key not in ("seconds", "fingerprint")})
    if (folder / "comparison.json").is_file():
        files["choice"] = json.dumps(json.loads((folder / "comparison.json").read_text())["best"])
    return files


def killed(words: list[str], longest: float) -> Call:
    """Start a call and kill it at a random moment."""
    child = start(*words)
    time.sleep(chance.uniform(0, longest))
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    return end(child)


def run_killed(kind: str, whole: dict[str, str], longest: float, kills: int, overwrite: bool) -> tuple[str, list[str]]:
    """Kill a run ``kills`` times; in between it is continued. It must end as the whole run did."""
    fresh = [*(TRAIN if kind == "train" else COMPARE), "--out", "run"]
    if overwrite:
        made = call(*fresh, "--seed", "5")
        if not made.accepted:
            return "not made", made.problems()
        fresh = [*fresh, "--overwrite"]
    problems, stops = [], []
    words = fresh
    for _ in range(kills):
        stopped = killed(words, longest)
        stops.append("killed" if stopped.code == -signal.SIGKILL else "ended")
        problems += stopped.problems((0, 2, -signal.SIGKILL))
        words = next_words(kind, fresh, overwrite)
        if stops[-1] == "ended" and not stopped.accepted:
            problems.append(f"refused: {stopped.err[-300:]}")
    last = call(*next_words(kind, fresh, overwrite))
    problems += last.problems((0,))
    if not problems:
        found = digest(Path("run"))
        problems += [f"{name}: not as in the run that was left alone" for name in whole if found.get(name) != whole[name]]
        left = [path.name for path in [*Path("run").rglob("*"), *Path().iterdir()] if path.name.startswith(".")]
        problems += [f"left behind: {', '.join(left)}"] if left else []
        scored = call("predict", "run", "log.parquet", "--out", "s.csv", "--overwrite")
        problems += scored.problems((0,))
    return " and ".join(stops), problems


def next_words(kind: str, fresh: list[str], overwrite: bool) -> list[str]:
    """Return the call that continues, or the first one again where nothing was saved.

    With --overwrite, the old run is there until the new one has begun.
    """
    settings = Path("run/config.yaml")
    begun = settings.is_file() and (not overwrite or "seed: 5" not in settings.read_text())
    if begun:
        return [kind, "--resume", "run", "--progress", "plain"]
    return fresh if overwrite or not Path("run").exists() or not any(Path("run").iterdir()) else [*fresh, "--overwrite"]


def bundle_killed(words: list[str], longest: float) -> tuple[str, list[str]]:
    """Kill a command that changes a bundle; the bundle must stay readable, and the command must work again."""
    stopped = killed(words, longest)
    problems = stopped.problems((0, 2, -signal.SIGKILL))
    problems += call("predict", "run", "log.parquet", "--out", "s.csv", "--overwrite").problems((0,))
    problems += call(*words).problems((0,))
    return "killed" if stopped.code == -signal.SIGKILL else "ended", problems


Action = Callable[[], tuple[str, list[str]]]


def in_new_folder(tally: Tally, work: Path, name: str, action: Action, copied: Path | None = None) -> None:
    """Do an action in a folder of its own, with the log and perhaps the copy of a run."""
    if not tally.chooses(name):
        return
    folder = work / name.replace(" ", "-")
    folder.mkdir()
    os.chdir(folder)
    write_base(Path("log.parquet"))
    if copied is not None:
        shutil.copytree(copied, "run")
    tally.add(name, *action())
    os.chdir(work)
    shutil.rmtree(folder)


def main() -> None:
    tally, work = Tally.from_arguments("kills"), work_folder()
    write_base(work / "log.parquet")
    times, whole = {}, {}
    for kind, words in (("train", TRAIN), ("compare", COMPARE)):
        done = call(*words, "--out", kind)
        assert done.accepted, done.err
        times[kind], whole[kind] = done.seconds, digest(work / kind)
    rounds = (
        ("train", 12, 1, False),
        ("train", 6, 3, False),
        ("compare", 8, 1, False),
        ("compare", 3, 3, False),
        ("train", 4, 2, True),
    )
    for kind, count, kills, overwrite in rounds:
        for n in range(count):
            name = f"{kind} {'--overwrite ' if overwrite else ''}killed {kills} times, {n}"
            action = partial(run_killed, kind, whole[kind], times[kind], kills, overwrite)
            in_new_folder(tally, work, name, action)
    for name, more in (("calibrate", ["log.parquet", "--method", "platt"]), ("fuse", ["--weights", "click=1"])):
        shutil.copytree(work / "train", work / f"run-of-{name}")
        seconds = call(name, f"run-of-{name}", *more).seconds
        for n in range(5):
            action = partial(bundle_killed, [name, "run", *more], seconds)
            in_new_folder(tally, work, f"{name} killed, {n}", action, work / "train")
    tally.finish()


if __name__ == "__main__":
    main()
