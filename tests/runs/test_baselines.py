"""Baselines in a comparison: fitted on its rows, measured as shipped, stored, and said where they fail or are missing."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from baseline_logs import encoded
from manygate.baselines import baseline, installed
from manygate.baselines.baseline import METHODS
from manygate.baselines.task_model import Fitted, TaskFailedError, TaskRows
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.files import to_json
from manygate.results.comparison import ComparisonDocument
from manygate.runs.baselines import against_fields, baseline_warnings, fit_baselines, untuned
from manygate.runs.comparison import compare_run, measures_as_kept, problem_of
from manygate.runs.folder import check_folder, mark
from manygate.runs.preflight import prepare
from manygate.training.progress import Progress

SMALL = {"experts": 2, "expert_hidden": 4, "tower_hidden": 4, "batch_size": 256, "epochs": 1, "threads": 1}


def config_of(**settings: Any) -> RunConfig:
    return RunConfig.build({**SMALL, "architectures": "single_task,mmoe", "replicas": 2, "seed": 7, **settings})


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded()


@pytest.fixture(scope="module")
def compared(log: EncodedLog, tmp_path_factory: pytest.TempPathFactory) -> tuple[ComparisonDocument, Any, Path]:
    folder = tmp_path_factory.mktemp("comparison")
    mark(folder)
    document, trained = compare_run(log, config_of(baselines="lightgbm,constant"), folder, Progress())
    return document, trained, folder


def test_the_gain_is_that_of_the_shipped_network_over_the_baseline_replica_by_replica(
    log: EncodedLog, compared: tuple[ComparisonDocument, Any, Path]
) -> None:
    document, trained, _ = compared
    assert document.against_baselines is not None
    test = log.parts["test"]
    label_N, weight_N = test.label_BT[:, 0], test.weight_BT[:, 0]
    outside = fit_baselines(log, config_of(baselines="lightgbm"), None, Progress())["lightgbm"]

    def auc(logit_N: np.ndarray) -> float:
        return float(roc_auc_score(label_N, logit_N, sample_weight=weight_N))

    gain_R = [auc(trained["mmoe"].test_logit_RNT[r, :, 0]) - auc(outside.test_logit_RNT[r, :, 0]) for r in range(2)]
    entry = document.against_baselines.gains["mmoe"]["lightgbm"]["click"]
    assert entry.gain == pytest.approx(np.mean(gain_R))
    assert entry.sd_replicas == pytest.approx(np.std(gain_R, ddof=1))
    assert set(document.against_baselines.gains) == {"single_task", "mmoe"}
    assert list(document.against_baselines.gains["mmoe"]) == ["lightgbm", "constant"]


def test_looks_count_every_baseline_and_task(compared: tuple[ComparisonDocument, Any, Path]) -> None:
    document, _, _ = compared
    assert document.against_baselines is not None
    looks = document.against_baselines.looks
    assert sum(3 * 2 / looks[name] for name in looks) == pytest.approx(1)


def test_baselines_are_never_the_choice_and_have_no_verdict(compared: tuple[ComparisonDocument, Any, Path]) -> None:
    document, trained, _ = compared
    assert document.best is not None
    for names in (document.architectures, document.best.valid, document.valid, document.results, document.verdicts, trained):
        assert not {"lightgbm", "constant"} & set(names)
    assert list(document.baselines or {}) == ["lightgbm", "constant"]


def test_replicas_have_the_seeds_of_the_networks(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def fit(rows: TaskRows) -> Fitted:
        seen.append(rows.seed)
        return METHODS["constant"].fit(rows)

    monkeypatch.setitem(baseline.METHODS, "lightgbm", dataclasses.replace(METHODS["lightgbm"], fit=fit))
    fit_baselines(log, config_of(replicas=4, replica_seeds="0,1", baselines="lightgbm"), None, Progress())
    assert seen == [7, 8, 7, 8] * 3


def test_a_resumed_comparison_reads_its_baselines_again(
    log: EncodedLog, compared: tuple[ComparisonDocument, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    document, trained, folder = compared
    assert sorted(path.name for path in (folder / "baselines").iterdir()) == ["constant", "lightgbm"]

    def fail(rows: TaskRows) -> Fitted:
        raise AssertionError("fitted again")

    for name in ("lightgbm", "constant"):
        monkeypatch.setitem(baseline.METHODS, name, dataclasses.replace(METHODS[name], fit=fail))
    fitted = fit_baselines(log, config_of(baselines="lightgbm,constant"), folder, Progress())
    networks, chosen = measures_as_kept(log, trained), document.best.architecture if document.best else None
    again = against_fields(log, problem_of(trained), networks, fitted, chosen)
    assert again == {"baselines": document.baselines, "against_baselines": document.against_baselines}
    assert ComparisonDocument.read(folder / "comparison.json") == document
    check_folder(folder, resume=False, overwrite=True)  # all that is in it is known as written by manygate
    (folder / "baselines/notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"baselines/notes\.txt"):
        check_folder(folder, resume=False, overwrite=True)
    (folder / "baselines/notes.txt").unlink()


def test_a_comparison_that_is_done_and_gets_other_baselines_writes_its_results_again(
    log: EncodedLog, compared: tuple[ComparisonDocument, Any, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "comparison"
    shutil.copytree(compared[2], folder)
    before = (folder / "comparison.json").read_bytes()
    compare_run(log, config_of(baselines="constant,lightgbm"), folder, Progress())
    assert (folder / "comparison.json").read_bytes() == before
    document, _ = compare_run(log, config_of(baselines="constant"), folder, Progress())
    assert list(document.baselines or {}) == ["constant"]
    assert ComparisonDocument.read(folder / "comparison.json") == document
    assert "LightGBM minus" not in (folder / "report.html").read_text()
    assert (folder / "DONE").is_file()


def test_a_task_that_fails_is_a_warning_and_the_others_are_compared(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(rows: TaskRows) -> Fitted:
        if rows.task == 0:
            raise TaskFailedError("no luck today")
        return METHODS["constant"].fit(rows)

    monkeypatch.setitem(baseline.METHODS, "lightgbm", dataclasses.replace(METHODS["lightgbm"], fit=fit))
    document, _ = compare_run(log, config_of(replicas=1, baselines="lightgbm"), None, Progress())
    assert "lightgbm has no model of 'click': no luck today." in [warning.text for warning in document.data.warnings]
    assert document.against_baselines is not None
    assert set(document.against_baselines.gains["mmoe"]["lightgbm"]) == {"watch", "buy"}
    ComparisonDocument.from_tree(document.to_tree(), "document")


def test_none_means_none(log: EncodedLog) -> None:
    document, _ = compare_run(log, config_of(replicas=1, baselines="none"), None, Progress())
    assert document.baselines is None
    assert document.against_baselines is None
    assert "baselines" not in to_json(document.to_tree()).replace('"baselines": []', "")


def test_untuned_baselines_beside_tuned_networks_are_said(log: EncodedLog) -> None:
    fitted = fit_baselines(log, config_of(baselines="logistic,constant"), None, Progress())
    (note,) = baseline_warnings(config_of(baselines="logistic,constant", tune=3), fitted)
    assert (note.level, note.text) == ("note", untuned(["logistic"])), "a constant has no settings"
    assert note.text == "logistic was not tuned, and the networks were. So a gain over it is also a gain by tuning."
    assert baseline_warnings(config_of(baselines="logistic,constant"), fitted) == []
    assert untuned(["lightgbm", "logistic"]).startswith("lightgbm and logistic were not tuned")


def test_without_lightgbm_the_default_leaves_a_note_and_a_wish_is_an_error(
    log: EncodedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    assert fit_baselines(log, config_of(), None, Progress()) == {}
    (note,) = baseline_warnings(config_of(), {})
    assert note.level == "note"
    assert "pip install 'manygate[baselines]'" in note.text
    assert baseline_warnings(config_of(baselines="none"), {}) == []
    with pytest.raises(InputError, match="not installed"):
        prepare(None, config_of(baselines="lightgbm"), architectures=["mmoe"])
