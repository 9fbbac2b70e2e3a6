"""Kills processes that share a study, and checks that no trial is lost, repeated or changed.

    python experiments/tuning/kills.py --times 20 --out experiments/tuning/kills.json

Two processes work on one study with rounds. One of them gets SIGKILL at a random moment of a trial, and a third process takes its
place. At the end every number has one trial that counts, and the trials equal those of a single process that nobody killed, to the
last bit. Half of the studies are in a journal file, half in an SQLite file.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import manygate as mg
from manygate.results.tuning import TuningDocument
from manygate.runs.tuning.storage import open_storage

TRIALS, ROUND = 10, 5
SMALL = "--epochs 9 --patience 9 --expert-hidden 8 --tower-hidden 4 --batch-size 256 --threads 1 --device cpu"
REST = "--progress none --final-replicas 3"
SPACE = "learning_rate: {log: [0.001, 0.03]}\nexperts: {int: [2, 4]}\ndropout: {uniform: [0, 0.5]}\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("experiments/tuning/kills.json"))
    arguments = parser.parse_args()
    draw, results = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = mg.datasets.impressions(folder / "log", rows=6000).folder
        (folder / "space.yaml").write_text(SPACE, encoding="utf-8")
        wait(start(folder, log, "reference", None))
        reference = trials(folder / "reference")
        for attempt in range(arguments.times):
            results.append(one_kill(folder, log, attempt, draw, reference))
            print(json.dumps(results[-1]), flush=True)
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    assert all(result["equal"] for result in results)


def one_kill(folder: Path, log: Path, attempt: int, draw: random.Random, reference: Any) -> dict[str, Any]:
    """Run a study with two processes, kill one, and return what became of the trials."""
    out, url = f"attempt-{attempt}", f"sqlite:///{folder}/study-{attempt}.db" if attempt % 2 else None
    first, second = start(folder, log, out, url), start(folder, log, out, url)
    number, fraction = draw.randrange(1, TRIALS), draw.random()
    killed = wait_for_trial(url, folder / out, first, number)
    time.sleep(fraction * 0.5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    third = start(folder, log, out, url)
    wait(second)
    wait(third)
    document = TuningDocument.read(folder / out / "tuning.json")
    found = trials(folder / out)
    return {
        "storage": "sqlite" if url else "journal",
        "killed_in_trial": killed,
        "trials": len(found),
        "repeated": document.repeated,
        "equal": found == reference,
    }


def wait_for_trial(url: str | None, folder: Path, process: subprocess.Popen[bytes], number: int) -> int | None:
    """Wait until a process runs a trial with this number or a later one. Return its number, or None if it ends before."""
    while not (folder / "journal.jsonl" if url is None else folder / "tuning.yaml").exists():
        time.sleep(0.1)
    storage = open_storage(url, folder)
    while process.poll() is None:
        for trial in storage.get_all_trials(0 if url is None else 1, deepcopy=False) if storage.get_all_studies() else ():
            found = trial.user_attrs
            if trial.state.name == "RUNNING" and found["owner"]["pid"] == process.pid and found["number"] >= number:
                return int(found["number"])
        time.sleep(0.05)
    return None


def start(folder: Path, log: Path, out: str, url: str | None) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "manygate",
        "tune",
        str(log),
        *SMALL.split(),
        *REST.split(),
        "--space",
        str(folder / "space.yaml"),
    ]
    words += ["--task", "click", "--task", "buy", "--trials", str(TRIALS), "--round", str(ROUND), "--out", str(folder / out)]
    words += ["--storage", url] if url else []
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def wait(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=600) == 0


def trials(folder: Path) -> list[Any]:
    """Return the number, settings, scores and state of each trial."""
    document = TuningDocument.read(folder / "tuning.json")
    return [(trial.number, trial.settings, trial.scores, trial.state) for trial in document.trials]


if __name__ == "__main__":
    main()
