"""A made-up log and a trained model for the tests of the commands, which do not change them."""

from __future__ import annotations

from pathlib import Path

import pytest

import manygate as mg


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mg.datasets.impressions(tmp_path_factory.mktemp("data") / "log", rows=2000).folder


@pytest.fixture(scope="session")
def trained(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training run."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    small = {"epochs": 1, "experts": 2, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu"}
    mg.Ranker(**small).fit(log, out=folder, progress="none")
    return folder
