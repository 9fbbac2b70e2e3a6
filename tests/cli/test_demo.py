"""``manygate demo`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run


def test_json_of_demo(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from manygate.config import RunConfig

    build = RunConfig.build
    small = {"epochs": 1, "experts": 2, "expert_hidden": 8, "threads": 1, "device": "cpu"}
    monkeypatch.setattr(RunConfig, "build", classmethod(lambda cls, settings, where="": build({**settings, **small}, where)))
    document = run("demo --rows 2000 --replicas 1 --out small --json").json
    assert document["architectures"] == ["single_task", "shared_bottom", "mmoe", "ple"]
    assert (tmp_path / "small" / "report.html").is_file()
