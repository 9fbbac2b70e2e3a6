"""``manygate compare`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import TINY, Run, refused


def test_json_of_compare(run: Run, log: Path, tmp_path: Path) -> None:
    document = run("compare", log, TINY, "--architectures single_task,mmoe --replicas 2 --out runs/x --json").json
    assert document["architectures"] == ["single_task", "mmoe"]
    assert set(document["verdicts"]) == {"mmoe"}
    assert json.loads((tmp_path / "runs" / "x" / "comparison.json").read_text()) == document
    assert list(document["transfer"]["gains"]) == ["mmoe"]
    assert document["recommendation"]["text"] in (tmp_path / "runs" / "x" / "report.html").read_text()
    assert run("report runs/x --json").json["out"] == "runs/x/report.html"


def test_comparisons_have_eight_replicas_unless_told(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []
    monkeypatch.setattr("manygate.runs.preflight.prepare", lambda log, settings, **more: seen.append(settings.replicas))
    monkeypatch.setattr("manygate.cli.compare.compare_and_show", lambda *arguments: None)
    (tmp_path / "run.yaml").write_text("replicas: 3\n")
    for number, more in enumerate(("", "--replicas 2", "--config run.yaml", "--config run.yaml --replicas 4")):
        assert run("compare", log, more, f"--out runs/{number}").code == 0
    assert seen == [8, 2, 3, 4]


def test_an_architecture_of_train_is_refused_and_not_ignored(run: Run, log: Path) -> None:
    refused(run("compare", log, TINY, "--architecture ple --out runs/x"), "--architecture ple: ", "--architectures")


def test_of_a_comparison_the_chosen_model_is_used_and_named(run: Run, log: Path, tmp_path: Path) -> None:
    assert run("compare", log, TINY, "--architectures omoe,mmoe --replicas 1 --out runs/x").code == 0
    best = json.loads((tmp_path / "runs/x/comparison.json").read_text(encoding="utf-8"))["best"]["architecture"]
    chosen = run("evaluate runs/x", log, "--json")
    assert f"its model with the best validation score, {best}, is used" in chosen.err
    alone = run(f"evaluate runs/x/{best}", log, "--json")
    assert "is a comparison" not in alone.err
    assert chosen.out == alone.out
