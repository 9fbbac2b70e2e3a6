"""The folder of a run: new, taken, overwritten, resumed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from command_line import TINY, Run, refused
from manygate.cli.run_folder import command_line, free_folder, resumable
from manygate.training.interrupt import Interrupted


def test_existing_output_is_refused(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    for name in ("data", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    refused(run("train", log, TINY, "--out notes"), "notes", "exists")
    refused(run("compare", log, TINY, "--out notes"), "notes", "exists")
    refused(run("train", log, TINY, "--out notes --overwrite"), "notes", "not a run's folder")
    refused(run("dataset impressions --rows 200 --out data"), "data", "exists")
    (tmp_path / "taken.parquet").touch()
    refused(run("predict", trained, log / "test.parquet", "--out taken.parquet"), "taken.parquet", "exists")
    refused(run("schema", log / "train.parquet", "--task click --out taken.parquet"), "taken.parquet", "exists")
    assert {path.name for path in (tmp_path / "notes").iterdir()} == {"mine.txt"}


def test_a_run_is_overwritten_or_resumed_when_asked(run: Run, log: Path, tmp_path: Path) -> None:
    first = run("train", log, TINY, "--out runs/a --json").json
    refused(run("train", log, TINY, "--out runs/a"), "--overwrite", "--resume")
    again = run("train --resume runs/a --progress none --json").json
    assert again["results"]["mmoe"]["tasks"] == first["results"]["mmoe"]["tasks"]
    assert again["command"] == first["command"], "the command that began it"
    other = run("train", log, TINY, "--seed 1 --out runs/a --overwrite --json").json
    assert other["config"]["seed"] == 1
    refused(run("train --resume runs/a --seed 2"), "--resume")
    refused(run("train --resume runs/b"), "runs/b", "no run here")


def test_free_folders_are_numbered(run: Run, log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("train", log, TINY).code == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["train-1", "train-2"]


def test_the_command_line_of_a_resumed_run_is_the_first_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/manygate", "train", "a b.parquet", "--debug"])
    assert command_line() == "manygate train 'a b.parquet'"
    (tmp_path / "config.yaml").write_text("# manygate compare log --seed 1\nseed: 1\n")
    assert command_line(tmp_path) == "manygate compare log --seed 1"
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert command_line(tmp_path) == "manygate train 'a b.parquet'"


def test_a_stop_names_the_command_that_continues(tmp_path: Path) -> None:
    def stopped() -> None:
        raise Interrupted(2, "Saved after step 7.")

    assert resumable("train", tmp_path, (), lambda: 3) == 3
    with pytest.raises(Interrupted) as caught:
        resumable("train", Path("a b"), (), stopped)
    assert caught.value.resume == "Saved after step 7. Continue with: manygate train --resume 'a b'"
    assert caught.value.exit_code == 130
    with pytest.raises(Interrupted, match="Continue with: manygate compare --resume run --import mine --import 'my own'"):
        resumable("compare", Path("run"), ("mine", "my own"), stopped)


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Interrupted(15), 143)])
def test_a_stop_between_two_trainings_names_the_command_that_continues(stop: KeyboardInterrupt, code: int) -> None:
    def stopped() -> None:
        raise stop

    with pytest.raises(Interrupted) as caught:
        resumable("compare", Path("run"), (), stopped)
    assert caught.value.resume == "Continue with: manygate compare --resume run"
    assert caught.value.exit_code == code


def test_the_first_free_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "train-1").mkdir(parents=True)
    (tmp_path / "runs" / "train-3").mkdir()
    assert (free_folder("train"), free_folder("compare")) == (Path("runs/train-2"), Path("runs/compare-1"))
