"""A small study of a made-up census, run once for all tests of the study."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from made_up_census import PLAN, write_census
from manygate.results.census import CensusResults
from manygate.studies.census.study import reproduce
from manygate.training.progress import Progress

METHODS = ("single_task", "mmoe", "lightgbm", "logistic")


class Done(NamedTuple):
    folder: Path
    data_dir: Path
    results: CensusResults


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("census-study")
    with pytest.MonkeyPatch.context() as patch:
        data_dir = write_census(folder / "source", patch)
        results = reproduce(folder / "study", PLAN, METHODS, ("income",), 3, data_dir, Progress(), threads=1)
    return Done(folder / "study", data_dir, results)
