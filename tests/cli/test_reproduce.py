"""``manygate reproduce`` on the command line."""

from __future__ import annotations

import pytest

from command_line import Run


def test_a_study_from_the_command_line_says_each_claim_and_goes_on_in_its_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from manygate.datasets.synthetic import Tasks
    from manygate.studies import mmoe_synthetic
    from manygate.studies.sweep import Protocol

    small = Protocol(Tasks(inputs=6, alpha=(1.0,), beta=(0.1,)), 8, steps=4, steps_an_epoch=2, validation_rows=20, test_rows=20)
    monkeypatch.setattr(mmoe_synthetic, "BUDGET", 600)
    monkeypatch.setattr(mmoe_synthetic, "QUICK", replace(mmoe_synthetic.QUICK, protocol=small, trials=2, trial_rows=50))
    command = "reproduce mmoe-synthetic --quick --runs 5 --steps 6 --out study --progress none"
    first = run(command)
    assert first.code == 0, first.err
    assert "Both mixtures beat" in first.out
    assert "report.html" in first.out
    again = run(command, "--json").json
    assert again["command"] == "manygate reproduce mmoe-synthetic --quick --runs 5 --steps 6"
    assert again["plan"]["protocol"]["steps"] == 6
    other = run(command.replace("--steps 6", "--steps 7"))
    assert other.code == 2
    assert "other settings" in other.err
    assert run(command.replace("--steps 6", "--steps 7"), "--overwrite").code == 0
    wrong = run("reproduce mmoe-synthetic --runs 2 --steps 0 --threads 0 --seed -1")
    assert wrong.code == 2
    assert all(flag in wrong.err for flag in ("--runs 2", "--steps 0", "--threads 0", "--seed -1"))
