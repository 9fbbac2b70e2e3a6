"""``manygate train`` on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

import manygate as mg
from command_line import TINY, Run
from manygate.errors import InputError


def test_json_of_train(run: Run, log: Path, tmp_path: Path) -> None:
    document = run("train", log, TINY, "--json").json
    assert list(document["results"]) == ["mmoe"]
    assert set(document["results"]["mmoe"]["tasks"]) == {"click", "like", "watch_time", "buy"}
    assert document["command"].startswith("manygate train ")
    assert json.loads((tmp_path / "runs" / "train-1" / "evaluation.json").read_text()) == document


def test_csv_goes_in_and_out(run: Run, tmp_path: Path) -> None:
    import pyarrow.csv as pa_csv

    rows = range(400)
    table = pa.table({"item": [f"i{n % 7}" for n in rows], "age": [n % 50 for n in rows], "click": [n % 3 % 2 for n in rows]})
    pa_csv.write_csv(table, tmp_path / "log.csv")
    assert run("train log.csv --task click", TINY, "--out runs/csv").code == 0
    assert run("predict runs/csv log.csv --out scores.csv").code == 0
    assert pa_csv.read_csv(tmp_path / "scores.csv").num_rows == 400


KILLED = """
import os, signal
from manygate.training.trainer import Trainer

step = Trainer._step

def killed(self, batch):
    if self.state.step == 3 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, batch)

Trainer._step = killed
"""


def test_torchrun_restarts_a_killed_process_and_ends_with_the_weights_of_one(run: Run, log: Path, tmp_path: Path) -> None:
    """The second of two processes is killed in the middle of the first epoch."""
    (tmp_path / "killed.py").write_text(KILLED, encoding="utf-8")
    train = f"train {log} {TINY.replace('1024', '256')} --checkpoint-seconds 0.001"
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 1 -m manygate"
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2] / "src")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    together = subprocess.run(
        [sys.executable, *torchrun.split(), *train.split(), "--import", "killed", "--out", "together", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert together.returncode == 0, together.stderr
    assert "process 0 on" in together.stderr
    assert "another process of this run ended" in together.stderr
    document = json.loads(together.stdout)
    alone = run(train, "--out alone --json").json
    assert document["results"]["mmoe"]["history"][-1]["step"] == alone["results"]["mmoe"]["history"][-1]["step"] > 3
    one, other = (load_file(tmp_path / name / "bundle" / "model.safetensors") for name in ("alone", "together"))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-5)


def test_torchrun_needs_a_folder_and_is_for_training(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RESTART_COUNT": "0"}.items():
        monkeypatch.setenv(name, value)
    needed = run("train", log, TINY)
    assert needed.code == 2
    assert "under torchrun a run needs --out" in needed.err
    for command in ("compare", "tune"):
        refused = run(command, log, TINY)
        assert refused.code == 2
        assert "torchrun started 2 processes, and each would do the same work" in refused.err
    with pytest.raises(InputError, match="torchrun started 2 processes"):
        mg.Ranker(task="click").fit(log)


def test_a_log_is_trained_day_by_day(run: Run, log: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    whole = pa.concat_tables([pq.read_table(log / f"{part}.parquet") for part in ("train", "valid", "test")])
    days = pa.compute.cast(whole["timestamp"], pa.date32())
    kept = pa.compute.is_in(days, value_set=pa.compute.unique(days).slice(0, 3))
    pq.write_table(whole.filter(kept), tmp_path / "log.parquet")
    words = (
        "train log.parquet --split progressive --threads 1 --dim 3 --experts 2 --out runs/days --schema-file",
        log / "schema.yaml",
    )
    shown = run(*words)
    assert shown.code == 0
    assert "mean of the days" in shown.out
    assert "mmoe on the last day" in shown.out
    assert run("train --resume runs/days").code == 0
    assert run("predict runs/days log.parquet --out scores.csv").code == 0
    assert "no validation rows" in run("calibrate runs/days").err
    assert "Choose random, time or group" in run("compare log.parquet --task click --split progressive").err


def test_a_run_is_trained_on(run: Run, log: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    whole = pq.read_table(log / "train.parquet")
    half = len(whole) // 2
    for name, part in (("first", whole.slice(0, half)), ("second", whole.slice(half))):
        pq.write_table(part, tmp_path / f"{name}.parquet")
    assert run("train first.parquet --task click --schema-file", log / "schema.yaml", TINY, "--out runs/first").code == 0
    shown = run("train --continue runs/first second.parquet --out runs/second --epochs 1 --learning-rate 0.001")
    assert shown.code == 0, shown.err
    assert "of user_id" in " ".join(shown.out.split())
    assert run("train --resume runs/second").code == 0
    refused = run("train --continue runs/first second.parquet --dim 99 --experts 77")
    assert refused.code == 2
    assert "--dim 99" in refused.err
    assert "--experts 77" in refused.err
    assert "no run here" in run("train --resume nowhere").err
