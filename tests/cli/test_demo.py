"""``manygate demo`` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command_line import Run, refused
from manygate.cli import demo as module


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    from manygate.config import RunConfig

    build = RunConfig.build
    small = {"epochs": 1, "experts": 2, "threads": 1, "device": "cpu", "fractions": (0.4, 0.3, 0.3)}
    monkeypatch.setattr(RunConfig, "build", classmethod(lambda cls, settings, where="": build({**settings, **small}, where)))


@pytest.mark.usefixtures("_small")
def test_json_of_demo(run: Run, tmp_path: Path) -> None:
    document = run("demo --rows 2000 --replicas 3 --seed 4 --out small --json").json
    assert document["architectures"] == ["single_task", "shared_bottom", "mmoe"]
    assert list(document["data"]["tasks"]) == ["click", "like", "buy"]
    assert document["data"]["rows"] == {"train": 800, "valid": 600, "test": 600}
    assert document["config"]["seed"] == 4
    assert document["command"] == "manygate demo --out small --rows 2000 --replicas 3 --seed 4"
    assert [claim["found"] for claim in document["story"]["claims"]].count("cannot tell") >= 1, "one epoch on 800 rows shows little"
    page = (tmp_path / "small" / "report.html").read_text(encoding="utf-8")
    assert document["story"]["summary"] in page
    assert "relatedness=(0.0, 0.0, 1.0), seed=4, turnover=0.1, buy_spread=3.0" in (tmp_path / "small/log/README.md").read_text()


def test_quick_takes_fewer_rows_and_replicas(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def compared(log: object, config: Any, *rest: object, **more: object) -> None:
        asked.append(config.replicas)

    monkeypatch.setattr(module, "write_schema", lambda path, out: None)
    monkeypatch.setattr("manygate.runs.preflight.prepare", lambda log, config, architectures, progress: None)
    monkeypatch.setattr(module, "compare_and_show", compared)

    class Written:
        schema = tmp_path

    monkeypatch.setattr("manygate.datasets.impressions", lambda out, **given: asked.append(given["rows"]) or Written)
    run("demo --quick --out quick")
    run("demo --out whole")
    run("demo --quick --rows 5000 --replicas 4 --out own")
    assert asked == [module.QUICK_ROWS, module.QUICK_REPLICAS, module.ROWS, module.REPLICAS, 5000, 4]


def test_too_few_rows_and_a_folder_of_something_else(run: Run, tmp_path: Path) -> None:
    refused(run("demo --rows 0 --out small"), "--rows 0: too few to compare anything on. Write at least 1,000.")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    refused(run("demo --out mine"), "--out mine exists and is not an earlier demo")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
