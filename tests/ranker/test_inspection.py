"""mg.inspect takes a ranker or a path, and gives the same document for both."""

from __future__ import annotations

import pyarrow as pa
import pytest

import manygate as mg
from manygate.errors import InputError


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return pa.table({"item": ["a", "b", "c"] * 40, "age": [2, 3, 5, 7, 9] * 24, "click": [0, 1] * 60, "like": [1, 0, 0, 1] * 30})


def test_a_ranker_and_its_bundle_are_inspected_alike(log, tmp_path):
    ranker = mg.Ranker(task=["click", "like"], epochs=1, threads=1, device="cpu").fit(log, progress=False)
    ranker.save(tmp_path / "bundle")
    of_ranker, of_path = (mg.inspect(which, log, only=["gates", "dead"]) for which in (ranker, tmp_path / "bundle"))
    assert of_ranker.document.gates == of_path.document.gates
    assert of_ranker.document.parts == ["gates", "dead"]
    of_path.report(tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert repr(of_path).splitlines()[1:] == [f"- {alarm.title}" for alarm in of_path.alarms]


def test_an_unknown_part_is_refused(log):
    ranker = mg.Ranker(task="click", epochs=1, threads=1, device="cpu").fit(log, progress=False)
    with pytest.raises(InputError, match="part 'gate' is unknown"):
        mg.inspect(ranker, log, only=["gate"])
