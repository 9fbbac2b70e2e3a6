"""A folder as the README's reader has it: log.parquet, today.parquet without labels and position; and quick settings."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate import datasets
from manygate.cli import main as cli
from manygate.config import RunConfig, TuneConfig

AT_MOST = {"epochs": 1, "replicas": 2}
TRIALS = 2
"""The number of trials to which searches are cut."""
UNLESS_GIVEN = {"architectures": ("single_task", "mmoe"), "experts": 2, "batch_size": 1024, "threads": 1, "device": "cpu"}
LATER = ["click", "like", "watch_time", "buy", "position"]


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's files."""
    folder = tmp_path_factory.mktemp("tables")
    log = datasets.impressions(folder / "log", rows=2000).folder
    parts = [pq.read_table(log / f"{part}.parquet") for part in ("train", "valid", "test")]
    pq.write_table(pa.concat_tables(parts), folder / "log.parquet")
    pq.write_table(parts[2].drop(LATER), folder / "today.parquet")
    later = datasets.impressions(folder / "later", rows=1000, seed=1).parts["train"]
    pq.write_table(pq.read_table(later), folder / "new.parquet")
    return folder


@pytest.fixture
def reader(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh working folder with the two files, in which runs are short whatever their settings."""
    for name in ("log.parquet", "today.parquet", "new.parquet"):
        os.link(tables / name, tmp_path / name)
    build = RunConfig.build

    def quick(cls: type[RunConfig], settings: dict[str, Any], where: str = "") -> RunConfig:
        least = {name: min(int(settings.get(name, most)), most) for name, most in AT_MOST.items()}
        return build({**UNLESS_GIVEN, **settings, **least}, where)

    def short(cls: type[TuneConfig], tree: Any) -> TuneConfig:
        return search({**tree, "trials": min(int(tree.get("trials", TRIALS)), TRIALS)})

    search = TuneConfig.model_validate
    monkeypatch.setattr(TuneConfig, "model_validate", classmethod(short))
    monkeypatch.setattr(RunConfig, "build", classmethod(quick))
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run a ``manygate`` command line in this process; fail unless it exits with 0."""

    def run(line: str) -> None:
        words = shlex.split(line, comments=True)
        assert words[0] == "manygate", f"only manygate commands are run; mark the block with <!-- skip: REASON -->: {line}"
        monkeypatch.setattr(sys, "argv", words)
        code: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        assert not code, f"exit code {code}: {line}"

    return run
