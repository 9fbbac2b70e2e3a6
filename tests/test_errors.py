"""An error shows a setting as an argument in Python and as a flag on the command line; everything else is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import manygate as mg
from command_line import Run, refused
from manygate.errors import InputError, did_you_mean, either, raise_all, setting


def both(text: str) -> tuple[str, str]:
    error = InputError(text)
    return str(error), error.for_command_line()


@pytest.mark.parametrize(
    ("words", "python", "command"),
    [
        (setting("learning_rate"), "learning_rate", "--learning-rate"),
        (setting("clip_norm", 1), "clip_norm=1", "--clip-norm 1"),
        (setting("funnel", "conditional"), "funnel='conditional'", "--funnel conditional"),
        (setting("out", Path("a b")), "out='a b'", "--out a b"),
        (setting("overwrite", True), "overwrite=True", "--overwrite"),
        (either("resume=True", "--resume run"), "resume=True", "--resume run"),
        ("--not-a-setting", "--not-a-setting", "--not-a-setting"),
    ],
)
def test_a_setting_in_python_and_on_the_command_line(words: str, python: str, command: str) -> None:
    assert both(f"Try {words}, or stop.") == (f"Try {python}, or stop.", f"Try {command}, or stop.")


def test_control_characters_of_the_user_do_not_break_a_setting() -> None:
    assert both(f"{setting('name', chr(3) + 'x' + chr(31))}!") == ("name='\\x03x\\x1f'!", "--name x!")


def test_several_problems_keep_their_settings_when_they_are_raised_again() -> None:
    first = InputError([f"{setting('dim')}: too small", "file 'b.csv' is empty"])
    again = InputError(f"mmoe: {problem}" for problem in first.marked)
    assert again.problems == ("mmoe: dim: too small", "mmoe: file 'b.csv' is empty")
    assert str(again) == "2 problems:\n  - mmoe: dim: too small\n  - mmoe: file 'b.csv' is empty"
    assert again.for_command_line() == "2 problems:\n  - mmoe: --dim: too small\n  - mmoe: file 'b.csv' is empty"


def test_raise_all_raises_one_error_or_none() -> None:
    raise_all([])
    with pytest.raises(InputError, match=r"^a$"):
        raise_all(iter(["a"]))
    with pytest.raises(InputError, match="2 problems"):
        raise_all(["a", "b"])


def test_a_near_name_is_a_hint_and_a_far_one_is_not() -> None:
    assert did_you_mean("clik", ["click", "buy"]) == " Did you mean 'click'?"
    assert did_you_mean("zzz", ["click", "buy"]) == ""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    table = pa.table({"user": [f"u{i % 7}" for i in range(200)], "age": list(range(200)), "click": [i % 2 for i in range(200)]})
    pq.write_table(table, tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


FAULTS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"dim": 0}, "--dim 0", "dim: Input", "--dim: Input"),
    ({"tucker_ranks": (1, 2)}, "--tucker-ranks 1,2", "tucker_ranks: three", "--tucker-ranks: three"),
    ({"expert_hidden": (8, 0)}, "--expert-hidden 8,0", "expert_hidden.1: Input", "--expert-hidden.1: Input"),
    ({"fractions": (1.0, 0.0, 0.0)}, "--fractions 1,0,0", "with valid.", "with --valid."),
    (
        {"replica_rates": (0.1, 1.0)},
        "--replica-rates 0.1,1",
        "replica_rates: 2 given, and replicas is 1",
        "--replica-rates: 2 given, and --replicas is 1",
    ),
    (
        {"learning_rate": 1e6, "optimizer": "sgd", "batch_size": 8, "weight_decay": 1e6},
        "--learning-rate 1e6 --optimizer sgd --batch-size 8 --weight-decay 1e6",
        "smaller learning_rate (now 1e+06), or clip_norm=1.",
        "smaller --learning-rate (now 1e+06), or --clip-norm 1.",
    ),
]


@pytest.mark.parametrize(("settings", "flags", "python", "command"), FAULTS, ids=[fault[1].split()[0] for fault in FAULTS])
def test_the_same_fault_on_both_sides(settings: dict[str, Any], flags: str, python: str, command: str, run: Run, log: Path) -> None:
    with pytest.raises(InputError) as caught:
        mg.Ranker(
            task="click", architecture="tensor_factorization" if "tucker_ranks" in settings else "mmoe", threads=1, **settings
        ).fit(log, progress="none")
    assert python in str(caught.value)
    assert "--" not in str(caught.value)
    refused(run("train", log, "--task click --threads 1 --progress none", flags), command)


def test_a_file_of_settings_names_its_keys(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("tucker_ranks: [1, 2]\ndim: 0\n")
    message = run("train", log, "--task click --config run.yaml").err
    assert "run.yaml:1: tucker_ranks: three ranks" in message
    assert "run.yaml:2: dim: Input should be" in message


def test_a_folder_that_is_taken_on_both_sides(run: Run, log: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "config.yaml").touch()
    with pytest.raises(InputError) as caught:
        mg.Ranker(task="click").fit(log, out=taken)
    assert (
        str(caught.value) == f"out={str(taken)!r} exists. Choose another out, continue it with resume=True, or add overwrite=True."
    )
    remedy = f"Choose another --out, continue it with --resume {taken}, or add --overwrite."
    refused(run("train", log, "--task click --out", taken), f"--out {taken} exists. {remedy}")
