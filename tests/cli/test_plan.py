"""``manygate plan`` on the command line."""

from __future__ import annotations

from pathlib import Path

from command_line import Run

SMALL = "--experts 2 --expert-hidden 8 --tower-hidden 4 --threads 1"


def test_a_plan_says_how_each_number_is_known(run: Run, log: Path) -> None:
    found = run("plan", log, SMALL, "--rows 1e9 --machines 4 --processes 2")
    assert found.code == 0, found.err
    shown = " ".join(found.out.split())
    assert "1,000,000,000 rows, 1 replica" in shown
    for words in ("measured on one process, extrapolated to 8", "counted", "10 Gbit/s a machine", "Ids are the least certain part"):
        assert words in shown


def test_json_of_a_plan(run: Run, log: Path) -> None:
    document = run("plan", log, SMALL, "--rows 1e6 --json").json
    assert document["rows"] == 1_000_000
    assert document["epoch"] == document["steps"] * document["step"]
    assert document["cluster"] == {"machines": 1, "processes": 1, "gigabits": 10.0}


def test_a_sample_that_is_too_small_says_so(run: Run, log: Path) -> None:
    wrong = run("plan", log, "--sample 100")
    assert wrong.code == 2
    assert "a sample of 100 rows: " in wrong.err
    assert "A larger --sample may help." in wrong.err


def test_all_wrong_numbers_are_named(run: Run, log: Path) -> None:
    wrong = run("plan", log, "--rows 0.5 --machines -1 --network nan")
    assert wrong.code == 2
    for words in ("--rows 0.5", "--machines -1", "--network nan"):
        assert f"{words}: expected a number of at least 1." in wrong.err
    assert "no log is given" in run("plan").err
