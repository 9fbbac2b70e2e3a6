"""A run on rows in files ends as one on rows in memory: documents, bundles and weights; what needs memory says so at the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.comparison import compare_run
from manygate.runs.preflight import prepare
from manygate.runs.run import train_run
from manygate.training.progress import Progress

pytestmark = pytest.mark.usefixtures("small_blocks")
NOTE = "the encoded rows (0.00 GB) are in files and not in memory; training reads them block by block (--memory)."


def document_of(results: Any) -> dict[str, Any]:
    """A document without times, paths, and the note that rows are in files."""
    tree = results.to_tree()
    for name in ("memory", "rows_folder"):
        tree["config"].pop(name)
    for result in tree["results"].values():
        result.pop("seconds")
    warnings = tree["data"]["warnings"]
    tree["data"]["warnings"] = [warning for warning in warnings if "in files" not in warning["text"]]
    return tree


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": "isotonic"},
        {"architecture": "single_task", "weighting": "pcgrad"},
        {"target_statistics": True, "replica_data": "bootstrap"},
    ],
    ids=["calibrated", "gradients", "statistics"],
)
def test_a_run_is_the_same(changes: dict[str, Any], log_table: Callable, log_schema: Callable, settings: Callable, tmp_path: Path):
    found = []
    for memory in ("1GB", "0"):
        config = settings(memory=memory, rows_folder=str(tmp_path / "rows"), replicas=2, epochs=2, **changes)
        log = prepare(log_table(900), config, log_schema())
        assert log.in_files == (memory == "0")
        assert (NOTE in map(str, log.warnings)) == log.in_files
        trained, results = train_run(log, config, tmp_path / memory, Progress())
        bundle = (tmp_path / memory / "bundle" / "model.safetensors").read_bytes()
        found.append((document_of(results), bundle, trained.test_logit_RNT.tobytes()))
        assert not log.in_files or "_labels" not in vars(log.parts["train"]), "not even the training labels were loaded at once"
    assert found[0] == found[1]


def test_a_run_that_was_started_in_memory_goes_on_with_files(log_table, log_schema, settings, tmp_path):
    """Where rows lie changes nothing, so the settings of memory may differ."""
    logits = []
    for memory in ("1GB", "0"):
        config = settings(memory=memory, rows_folder=str(tmp_path / "rows"), epochs=1)
        log = prepare(log_table(400), config, log_schema())
        logits.append(train_run(log, config, tmp_path / "run", Progress())[0].test_logit_RNT.tobytes())
    assert logits[0] == logits[1]


def test_a_comparison_is_the_same_and_leaves_out_the_default_baseline(log_table, log_schema, settings, tmp_path):
    found = []
    for memory in ("1GB", "0"):
        config = settings(memory=memory, rows_folder=str(tmp_path / "rows"), epochs=1, replicas=2, architectures="single_task,mmoe")
        config = config.replace(baselines=("constant",))
        log = prepare(log_table(400), config, log_schema(), architectures=config.architectures)
        found.append(document_of(compare_run(log, config, None, Progress())[0]))
    without = config.replace(baselines=())
    log = prepare(log_table(400), without, log_schema(), architectures=config.architectures)
    compare_run(log, without, None, Progress())
    assert "_labels" not in vars(log.parts["train"])
    for tree in found:
        tree["baselines"]["constant"].pop("seconds")
    assert found[0] == found[1]


def test_baselines_on_rows_in_files(log_table, log_schema, settings, tmp_path, monkeypatch):
    from manygate.runs.baselines import baseline_warnings, fit_baselines

    config: RunConfig = settings(memory="0", rows_folder=str(tmp_path), epochs=1)
    log = prepare(log_table(400), config, log_schema(), architectures=("mmoe",))
    assert fit_baselines(log, config, None, Progress()) == {}
    (note,) = baseline_warnings(config, {}, in_files=True)
    assert "LightGBM needs all rows in memory" in note.text
    asked = config.replace(baselines=("logistic",))
    pytest.importorskip("sklearn")
    prepare(log_table(400), asked, log_schema(), architectures=("mmoe",))
    fitted = fit_baselines(log, asked, None, Progress())
    memory = settings(memory="1GB", epochs=1, baselines="logistic")
    other = fit_baselines(prepare(log_table(400), memory, log_schema()), memory, None, Progress())
    assert fitted["logistic"].test_logit_RNT.tobytes() == other["logistic"].test_logit_RNT.tobytes()
    monkeypatch.setattr("manygate.runs.preflight.free_memory", lambda: 1000.0)
    with pytest.raises(InputError, match="baselines='logistic': they need all rows in memory, about"):
        prepare(log_table(400), asked, log_schema(), architectures=("mmoe",))
