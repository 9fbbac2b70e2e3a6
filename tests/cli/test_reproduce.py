"""``manygate reproduce`` on the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from command_line import Run
from manygate.cli.reproduce import Sizes, _command, _plan


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of a few steps, at two learning rates."""
    from manygate.datasets.synthetic import Tasks
    from manygate.studies import mmoe_synthetic, pilots, ple_synthetic
    from manygate.studies.sweep import Protocol

    protocol = Protocol(Tasks(inputs=6, alpha=(1.0,), beta=(0.1,)), 8, steps=4, steps_an_epoch=2, validation_rows=20, test_rows=20)
    changes: dict[str, Any] = {"longest": 4, "rates": (1e-3, 1e-2)}
    quick = replace(mmoe_synthetic.QUICK, protocol=protocol, trials=2, trial_rows=50, **changes)
    monkeypatch.setattr(mmoe_synthetic, "QUICK", quick)
    monkeypatch.setattr(mmoe_synthetic, "BUDGET", 600)
    monkeypatch.setattr(ple_synthetic, "QUICK", replace(ple_synthetic.QUICK, protocol=protocol, correlations=(0.1,), **changes))
    monkeypatch.setattr(ple_synthetic, "BUDGET", 1_500)
    monkeypatch.setattr(pilots, "LADDER", changes["rates"])


def test_a_study_from_the_command_line_says_each_claim_and_goes_on_in_its_folder(run: Run, small: None) -> None:
    command = "reproduce mmoe-synthetic --quick --runs 5 --pilot-runs 2 --steps 6 --out study --progress none"
    first = run(command)
    assert first.code == 0, first.err
    assert "Both mixtures beat" in first.out
    assert "report.html" in first.out
    again = run(command, "--json").json
    assert again["command"] == "manygate reproduce mmoe-synthetic --quick --runs 5 --pilot-runs 2 --steps 6"
    assert again["length"] == 6
    assert again["plan"]["lengths"] == [6]
    assert again["plan"]["runs"] == {"figure 3": 5, "compared": 5, "beyond": 5, "many tasks": 5}
    assert {sweep["runs"] for group in again["plan"]["pilots"].values() for sweep in group} == {2}
    other = run(command.replace("--steps 6", "--steps 7"))
    assert other.code == 2
    assert "other settings" in other.err


def test_the_ple_study_has_a_command_of_its_own(run: Run, small: None) -> None:
    found = run("reproduce ple-synthetic --quick --out study --progress none")
    assert found.code == 0, found.err
    assert "PLE gains most at every" in found.out
    assert run("reproduce ple-synthetic --quick --steps 2 --out study --progress none").code == 2
    assert run("reproduce ple-synthetic --quick --steps 2 --out study --progress none --overwrite").code == 0


@pytest.mark.parametrize("study", ["mmoe-synthetic", "ple-synthetic"])
def test_all_wrong_flags_are_named(run: Run, study: str) -> None:
    wrong = run(f"reproduce {study} --runs 2 --pilot-runs 0 --steps 0 --threads 0 --seed -1")
    assert wrong.code == 2
    assert all(flag in wrong.err for flag in ("--runs 2", "--pilot-runs 0", "--steps 0", "--threads 0", "--seed -1"))


def test_steps_that_are_given_are_the_length_of_all_runs() -> None:
    from manygate.studies.mmoe_synthetic import FULL

    assert _plan(FULL, Sizes(False, None, None, 5_000, 0)).lengths == [5_000]
    assert _plan(FULL, Sizes(False, None, None, None, 3)).lengths == [30_000, 60_000, 120_000]
    assert _plan(FULL, Sizes(False, None, None, None, 3)).protocol.first_seed == 3
    assert _command("mmoe-synthetic", Sizes(False, None, None, None, 0)) == "manygate reproduce mmoe-synthetic"
