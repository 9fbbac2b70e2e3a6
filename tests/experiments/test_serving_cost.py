"""experiments/serving-cost: its order, its choice of widths, what it times, and the page that is committed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

import manygate as mg
from manygate.schema import Schema

FOLDER = Path(__file__).parents[2] / "experiments" / "serving-cost"
MODULES = ("study", "choice", "timing", "run", "figure", "words", "table")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The modules of the experiment. Other experiments have modules of the same names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield SimpleNamespace(**{name: import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


def entry(scheme: str, width: str, flops: int, *quality: float) -> dict[str, Any]:
    """A training with two tasks whose mean is the quality of each seed."""
    metrics = [[value - 0.1 for value in quality], [value + 0.1 for value in quality]]
    return {"scheme": scheme, "width": width, "flops": flops, "valid": metrics, "test": metrics}


def own_models() -> list[dict[str, Any]]:
    """``single_task`` at all widths; 1/2 is the best."""
    levels = {"1": 0.70, "1/2": 0.71, "1/4": 0.69, "1/8": 0.68, "1/16": 0.60}
    return [entry("single_task", width, 1600 // int(width[2:] or 1), *[level] * 3) for width, level in levels.items()]


def test_a_width_is_equal_worse_or_cannot_be_told_by_its_whole_interval(study: SimpleNamespace) -> None:
    log = {"trainings": [*own_models(), entry("mmoe", "1/16", 100, 0.70, 0.71, 0.72), entry("mmoe", "1/8", 200, 0.7, 0.7, 0.7)]}
    difference = study.choice.against(log["trainings"][-2], study.choice.reference(log), "valid")
    half = 4.302653 * 0.01 / 3**0.5
    np.testing.assert_allclose(difference, (0.0, -half, half), atol=1e-7)
    assert study.choice.verdicts(log, "mmoe", 0.02) == {"1/16": "cannot tell", "1/8": "equal"}
    assert study.choice.verdicts(log, "mmoe", 0.005) == {"1/16": "cannot tell", "1/8": "worse"}
    assert study.choice.verdicts(log, "mmoe", 0.03) == {"1/16": "equal", "1/8": "equal"}
    assert study.choice.cheapest(log, "mmoe", 0.02)["width"] == "1/8"
    assert study.choice.cheapest(log, "mmoe", 0.005) is None
    assert study.choice.cheapest(log, "single_task", 0.025)["width"] == "1/4", "the models of each task may be narrower, too"


def test_the_narrowest_width_is_trained_first_and_wider_ones_until_one_is_equal(study: SimpleNamespace) -> None:
    order, log = [], {"trainings": [entry("mmoe", "1", 1600, 0.7, 0.7, 0.7)]}
    levels = {("mmoe", 16): 0.5, ("mmoe", 8): 0.71}
    own = {item["width"]: item for item in own_models()}
    while pair := study.run.next_training(log, ["single_task", "mmoe"], 0.02):
        scheme, divisor = pair
        order.append(pair)
        width = study.study.width_name(divisor)
        level = levels.get(pair, 0.71)
        log["trainings"].append(own[width] if scheme == "single_task" else entry(scheme, width, 1600 // divisor, *[level] * 3))
    assert order[:5] == [("single_task", divisor) for divisor in (16, 8, 4, 2, 1)]
    assert order[5:] == [("mmoe", 16), ("mmoe", 8), ("mmoe", 2), ("mmoe", 4)]


def tiny(folder: Path) -> Any:
    """A small log with ids, lists, numbers and a position."""
    written = mg.datasets.impressions(folder / "log", rows=6000, seed=3, overwrite=True)
    parts = {part: pq.read_table(path) for part, path in written.parts.items()}
    return import_module("logs").Log("made-up", parts, Schema.load(written.schema))


def test_a_stopped_study_goes_on_and_trains_nothing_twice(
    study: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study.run, "LOGS", {"made-up": lambda data: tiny(tmp_path)})
    monkeypatch.setattr(study.run, "DIVISORS", (8, 16))
    monkeypatch.setitem(study.study.TRAINING, "epochs", 1)
    monkeypatch.setitem(study.study.TRAINING, "replicas", 3)
    arguments = ["run.py", "--data", "unused", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "results.json")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--train-only", "--schemes", "single_task"])
    study.run.main()
    assert capsys.readouterr().out.count("single_task") == 2
    first = (tmp_path / "results.json").read_text(encoding="utf-8")
    found = json.loads(first)["made-up"]
    assert [(item["scheme"], item["width"]) for item in found["trainings"]] == [("single_task", "1/8"), ("single_task", "1/16")]
    assert np.shape(found["trainings"][0]["test"]) == (4, 3), "tasks and seeds"
    (tmp_path / "out" / "made-up" / "single_task-8.json").unlink()
    study.run.main()
    assert capsys.readouterr().out == "", "results.json has what the folder lacks"
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == first


def test_both_graphs_that_are_timed_predict_the_same(study: SimpleNamespace, tmp_path: Path) -> None:
    log = tiny(tmp_path)
    for encoded, scheme in ((study.study.encoded(log), "mmoe"), (study.timing.of_first_task(log), study.timing.ONE_TASK)):
        predictor = study.timing.untrained(encoded, scheme, "1/16")
        study.timing.write_graphs(predictor, tmp_path / scheme)
        (batch,) = log.parts["test"].slice(0, 50).combine_chunks().to_batches()
        cases = study.timing.cases(predictor, tmp_path / scheme, batch)
        ((logit_RBT,), columns) = cases["network"](), cases["whole"]()
        np.testing.assert_allclose(1 / (1 + np.exp(-logit_RBT[0, :, 0])), columns[0], atol=1e-6)
        assert np.ptp(logit_RBT[0, :, 0]) > 1e-3, "rows differ"


def test_the_figure_is_a_document_of_its_own(study: SimpleNamespace) -> None:
    lines = [study.figure.Line("mmoe", 2, [(100.0, -0.01), (1000.0, 0.0)]), study.figure.Line("ple", 5, [(200.0, 0.001)])]
    root = ElementTree.fromstring(study.figure.draw("census", lines, 0.001))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"mmoe", "ple", "FLOPs of a row's forward pass"} <= texts


def test_a_seed_is_lost_if_a_task_is_at_guessing(study: SimpleNamespace) -> None:
    at_guessing = {"test": [[0.5, 0.7, 0.495, 0.9], [0.8, 0.3, 0.004, 0.3]]}  # AUC, then R2
    assert study.table.lost_seeds(at_guessing) == 2
    assert study.table.lost_seeds({"test": [[0.52, 0.48], [0.02, -0.3]]}) == 0


def committed() -> tuple[dict[str, Any], dict[str, Any]]:
    results, times = (json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("results", "times"))
    return results, times


def test_the_page_that_is_committed_is_that_of_the_results(study: SimpleNamespace) -> None:
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == study.table.page(*committed())


def test_what_is_committed_is_whole(study: SimpleNamespace) -> None:
    results, times = committed()
    assert list(results) == list(study.study.LOGS)
    for name, log in results.items():
        sizes = {(item["scheme"], item["width"]): item["flops"] for item in times[name]["models"]}
        assert set(study.timing.wanted(name, log)) <= set(sizes)
        for item in log["trainings"]:
            assert np.shape(item["valid"]) == np.shape(item["test"]) == (len(log["tasks"]), 5)
            assert sizes.get((item["scheme"], item["width"]), item["flops"]) == item["flops"]
        assert {item["width"] for item in log["trainings"] if item["scheme"] == "single_task"} == {"1", "1/2", "1/4", "1/8", "1/16"}
        assert ElementTree.parse(FOLDER / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_claim_holds_on_its_side_of_the_bar(study: SimpleNamespace) -> None:
    most, least = study.words.CLAIMS[0], study.words.CLAIMS[-1]
    assert [most.holds(value) for value in (0.8, 0.81)] == [True, False]
    assert [least.holds(value) for value in (1.5, 1.49)] == [True, False]
