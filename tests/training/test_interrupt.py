"""Real signals to a real ``manygate train``: killed at random points and resumed, it ends with the bytes of a run left alone.

MANYGATE_KILLS=16 adds 16 kills to the four.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pyarrow.parquet as pq
import pytest

from manygate.training.interrupt import Interrupt, Interrupted

# One process imports torch once and forks a child for each call of the command; the child alone trains, and gets the signals.
DRIVER = """
import json, os, random, signal, sys, time, traceback
from pathlib import Path
import torch._dynamo  # torch.optim loads it, slowly, when it is first used
from manygate import ranker, report
from manygate.cli import terminal
from manygate.runs import run
from manygate.training import trainer
from manygate.cli.main import main

log, folder, whole = map(Path, sys.argv[1:])
more = int(os.environ.get("MANYGATE_KILLS", "0"))
flags = f"--batch-size 8 --epochs {6 + more} --patience 99 --threads 1 --device cpu --replicas 2".split()
flags += "--dim 3 --experts 3 --expert-hidden 5 --tower-hidden 4 --progress plain --sparse-gradients".split()
chance = random.Random(7)

def start(arguments, slowly=0.0):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(folder.with_name("stderr.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["manygate", *map(str, arguments)]
        code, step = 99, trainer.Trainer._step
        if slowly:  # so that the signals land while it trains, however fast the machine
            trainer.Trainer._step = lambda self, batch: (step(self, batch), time.sleep(slowly))
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid

def stop(pid, number, ready):
    while not ready():
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.3))
    os.kill(pid, number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def steps():
    return max([int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*")], default=0)

fresh = ["train", log, "--out", folder, *flags, "--checkpoint-seconds", "0.05"]
found = []
signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL]
for number in signals + more * [signal.SIGKILL]:
    begun = (folder / "config.yaml").exists()
    at = steps()
    ready = (lambda: steps() > at) if begun else (folder / "config.yaml").exists
    code = stop(start(["train", "--resume", folder] if begun else fresh, 0.02), number, ready)
    found.append({"signal": number, "code": code, "step": steps(), "said": folder.with_name("stderr.txt").read_text()})
settings = (folder / "config.yaml").read_text()
assert "checkpoint_seconds: 0.05" in settings  # which may change between two resumptions, as threads and device may
(folder / "config.yaml").write_text(settings.replace("checkpoint_seconds: 0.05", "checkpoint_seconds: 60.0"))
last = os.waitstatus_to_exitcode(os.waitpid(start(["train", "--resume", folder]), 0)[1])
said = folder.with_name("stderr.txt").read_text()
again = os.waitstatus_to_exitcode(os.waitpid(start(["train", log, "--out", whole, *flags]), 0)[1])
print(json.dumps({"stops": found, "last": last, "said": said, "whole": again}))
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory, log_table, log_schema) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("interrupt")
    (folder / "log").mkdir()
    for part, rows, seed in (("train", 200, 1), ("valid", 80, 2), ("test", 80, 3)):
        pq.write_table(log_table(rows, seed), folder / "log" / f"{part}.parquet")
    (folder / "log" / "schema.yaml").write_text(log_schema().to_yaml(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, folder / "log", folder / "a run", folder / "whole"],
        capture_output=True,
        text=True,
        timeout=240 + 30 * int(os.environ.get("MANYGATE_KILLS", "0")),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "folder": folder / "a run", "other": folder / "whole"}


def test_a_run_killed_at_random_points_ends_with_the_same_bytes(story):
    assert story["last"] == 0, story["said"]
    assert story["whole"] == 0
    steps = [stop["step"] for stop in story["stops"]]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 4, "the signals must land while it trains"
    names = sorted(path.name for path in (story["other"] / "bundle").iterdir())
    assert names == sorted(path.name for path in (story["folder"] / "bundle").iterdir())
    for name in ("metrics.jsonl", *(f"bundle/{name}" for name in names if name not in ("config.yaml", "manifest.json"))):
        one, two = (hashlib.sha256((story[run] / name).read_bytes()).hexdigest() for run in ("folder", "other"))
        assert one == two, name
    one, two = (json.loads((story[run] / "evaluation.json").read_text()) for run in ("folder", "other"))
    for tree in (one, two):
        tree.pop("command")
        tree["results"]["mmoe"].pop("seconds")
    assert one == two


def test_no_draft_and_no_checkpoint_is_left(story):
    assert (story["folder"] / "DONE").is_file()
    left = [path.name for path in story["folder"].rglob("*") if path.name.startswith(".") or "step-" in path.name]
    assert left == []


def test_exit_codes_and_what_to_do_next(story):
    for stop in story["stops"]:
        if stop["signal"] == signal.SIGKILL:
            assert stop["code"] == -signal.SIGKILL
            continue
        assert stop["code"] == {signal.SIGTERM: 143, signal.SIGINT: 130}[stop["signal"]]
        assert f"manygate: stopped by {signal.Signals(stop['signal']).name}. Saved after step" in stop["said"]
        assert f"Continue with: manygate train --resume '{story['folder']}'" in stop["said"]
        assert "Traceback" not in stop["said"]
    assert "continuing after step" in story["said"]


def test_the_first_signal_is_noted_and_the_second_stops_at_once():
    former = signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert interrupt.number is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.number == signal.SIGTERM
        with pytest.raises(Interrupted) as stop:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.value.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is former


def test_outside_the_main_thread_signals_are_left_alone():
    former, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append((signal.getsignal(signal.SIGTERM), interrupt.number))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(former, None)]


def test_the_message_holds_the_signal_and_the_remedy():
    stop = Interrupted(signal.SIGTERM, "Continue.")
    assert str(stop) == "stopped by SIGTERM. Continue."
    assert (stop.exit_code, Interrupted(signal.SIGINT).exit_code) == (143, 130)
