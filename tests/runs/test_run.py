"""A run is a folder: what it holds, when it is done, and when it may go on; memory that runs out; models that diverge."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from manygate.data.alarms import by_severity
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.results.evaluation import DataWarning
from manygate.runs import run as run_module
from manygate.runs.folder import record
from manygate.runs.run import diverged, document, finish, train_one, train_run
from manygate.scoring.bundle import load_bundle
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

FREE = {
    "log": "other.parquet",
    "valid": "v.parquet",
    "test": "t.parquet",
    "schema_file": "s.yaml",
    "context": ("user",),
    "threads": 2,
    "device": "cpu",
    "checkpoint_seconds": 1.0,
    "baselines": ("constant",),
    "memory": "1GB",
    "rows_folder": "rows",
    "table_sharding": "row_wise",
    "continued": "runs/before",
}
"""Settings that change nothing in what is trained, so that a run may go on with others."""
OTHERS: dict[str, Any] = {
    "task": ("click",),
    "group": "user",
    "time": "age",
    "weight": "weight",
    "bias": ("position",),
    "ignore": ("age",),
    "types": ("age=text",),
    "separator": ";",
    "quote": "'",
    "escape": "\\",
    "file_encoding": "latin-1",
    "header": False,
    "null_values": ("x",),
    "split": "group",
    "fractions": (0.5, 0.3, 0.2),
    "shuffle_seed": 1,
    "encoding": "minmax",
    "bins": 5,
    "min_count": 2,
    "number_ids": 5,
    "max_ids": 5,
    "dim_rule": "fourth_root",
    "table_optimizer": "rowwise_adagrad",
    "table_learning_rate": 0.1,
    "target_statistics": True,
    "architecture": "ple",
    "dim": 4,
    "cross_layers": 1,
    "cross_rank": 4,
    "lower_hidden": (6,),
    "experts": 4,
    "expert_hidden": (6,),
    "levels": 3,
    "level_hidden": ((5,), (5,)),
    "shared_experts": (2,),
    "task_experts": ((1,),),
    "task_expert_hidden": ((5,), (5,), (5,)),
    "bottom_hidden": (7,),
    "tower_hidden": (5,),
    "gate": "topk",
    "gate_bias": True,
    "gate_features": ("user",),
    "temperature": 2.0,
    "top_k": 3,
    "gate_dropout": 0.1,
    "importance_weight": 0.2,
    "load_weight": 0.2,
    "entropy_weight": 0.02,
    "ml_gate_input": "raw",
    "stem_gate_input": "sum",
    "stem_gate_hidden": (6,),
    "expert_norm": True,
    "fusion": "sum",
    "l2_alpha": 0.1,
    "stitch_rate": 1.0,
    "subspaces": 3,
    "orthogonality": 0.1,
    "tucker_ranks": (2, 2, 2),
    "tucker_init": "naive",
    "gate_hidden": 16,
    "match_parameters": 5000,
    "match_flops": 5000,
    "funnel": "aitm",
    "dropout": 0.2,
    "bias_dropout": 0.2,
    "id_dropout": 0.0,
    "replicas": 2,
    "seed": 1,
    "pack": 1,
    "replica_data": "order",
    "replica_seeds": (1,),
    "replica_rates": (2.0,),
    "replica_weights": ((1.0, 2.0, 3.0),),
    "replica_id_dropouts": (2.0,),
    "calibrator_weight": 0.5,
    "escm2_weight": 2.0,
    "escm2_joint_weight": 2.0,
    "propensity_floor": 0.1,
    "weighting": "dwa",
    "balance_every": 2,
    "gradnorm_alpha": 1.0,
    "cagrad_c": 0.5,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "weight_decay": 0.01,
    "schedule": "linear",
    "warmup": 0.1,
    "clip_norm": 1.0,
    "weight_average": 0.9,
    "batch_size": 16,
    "epochs": 3,
    "max_steps": 5,
    "keep": "last",
    "patience": 4,
    "monitor": "click",
    "evaluate_every": 0.5,
    "calibration": "platt",
    "precision": "bf16",
    "sparse_gradients": True,
    "architectures": ("mmoe",),
    "weightings": ("dwa",),
    "weight_sweep": 3,
    "id_dropouts": (0.0, 5.0),
    "tune": 4,
}
"""Another value of each setting than the tests' own."""


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    return encoded()


def test_a_finished_run_is_loaded_and_not_trained_again(log, settings, tmp_path, monkeypatch):
    config = settings(replicas=2)
    first = train_one(log, config, tmp_path, Progress())
    finish(tmp_path, first)
    monkeypatch.setattr(Trainer, "fit", lambda self: pytest.fail("trained again"))
    again = train_one(log, config, tmp_path, Progress())
    assert again.result == first.result
    assert again.valid_score_R == first.valid_score_R
    np.testing.assert_array_equal(again.test_logit_RNT, first.test_logit_RNT)


def test_metrics_jsonl_holds_one_whole_line_per_epoch(log, settings, tmp_path):
    trained, document = train_run(log, settings(epochs=3, patience=9, replicas=2), tmp_path, Progress())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [epoch.to_tree() for epoch in trained.result.history]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 9), (2, 18), (3, 27)]
    assert all(len(line["valid"][name]) == 2 for line in lines for name in log.schema.task_names)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == document.to_tree()
    assert {"metrics.jsonl", "bundle", "evaluation.json", "report.html", "DONE"} <= {path.name for path in tmp_path.iterdir()}


def test_done_comes_last(log, settings, tmp_path, monkeypatch):
    """A run that dies while it writes its report is not done; continued, it is whole."""

    def fail(*given: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "write_report", fail)
        with pytest.raises(OSError, match="disk full"):
            train_run(log, settings(), tmp_path, Progress())
    assert not (tmp_path / "DONE").exists()
    train_run(log, settings(), tmp_path, Progress())
    assert (tmp_path / "DONE").exists()
    assert (tmp_path / "report.html").exists()


def test_a_run_goes_on_with_its_own_settings_alone(log, settings, tmp_path, monkeypatch):
    """Over all settings: any of them changed gives another fingerprint, but for those that change nothing in what is trained."""

    class FoundError(Exception):
        pass

    def tell(folder: Path, fingerprint: str) -> None:
        raise FoundError(fingerprint)

    monkeypatch.setattr("manygate.runs.run.finished_state", tell)
    (tmp_path / "DONE").write_text("")

    def fingerprint(**changes: Any) -> str:
        with pytest.raises(FoundError) as found:
            train_one(log, settings(**changes), tmp_path, Progress())
        return str(found.value)

    own = fingerprint()
    assert set(OTHERS) | set(FREE) == set(type(settings()).model_fields) - {"config_version"}, "name a new setting in one"
    for name, value in FREE.items():
        assert fingerprint(**{name: value}) == own, name
    others = {name: fingerprint(**{name: value}) for name, value in OTHERS.items()}
    assert len({own, *others.values()}) == len(OTHERS) + 1, [name for name, found in others.items() if found == own]


def test_the_document_reports_each_run_and_adds_the_run_s_warnings_to_the_log_s(log, settings) -> None:
    config = settings(replicas=3, epochs=1)
    trained = train_one(log, config, None, Progress())
    found = document(log, config, {"mmoe": trained}, "manygate train", ["a model diverged"])
    assert found.architectures == ["mmoe"]
    assert found.command == "manygate train"
    assert found.config["replicas"] == 3
    warnings = found.data.warnings
    assert set(log.summary().warnings) < set(warnings)
    assert DataWarning(level="warning", text="a model diverged") in warnings
    assert warnings == by_severity(warnings)
    assert (found.baseline, found.best, found.verdicts, found.interval_note) == (None, None, {}, None)
    assert found.valid["mmoe"].values == pytest.approx(trained.valid_score_R)
    assert found.valid["mmoe"].mean == pytest.approx(np.mean(trained.valid_score_R))
    assert document(log, config.replace(replicas=2), {"mmoe": trained}, "").interval_note


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_what_a_run_reports_of_its_training(log, settings, architecture) -> None:
    """A model per task has a best epoch of its own for each task; a sharing scheme has the same for all."""
    trained = train_one(log, settings(architecture=architecture, replicas=2, epochs=3), None, Progress())
    (run,) = document(log, settings(), {"a": trained}, "").results.values()
    assert (run.architecture, run.weighting, run.replicas) == (architecture, "fixed", 2)
    assert run.network_parameters < run.parameters == trained.model.parameter_count()
    assert run.widths["expert_hidden"] == (5,)
    members = zip(trained.model.members, trained.state.best_epoch, strict=True)
    expected: dict[str, list[int]] = {"click": [0, 0], "like": [0, 0], "watch": [0, 0]}
    for member, epoch in members:
        for t in member.tasks:
            expected[log.schema.task_names[t]][member.replica] = epoch
    assert run.stopped.best_epoch == expected
    assert (run.stopped.best_epoch["click"] == run.stopped.best_epoch["watch"]) or architecture == "single_task"
    assert run.diverged == []


def test_models_that_diverged_are_named_by_replica(log, settings, monkeypatch) -> None:
    fit = Trainer.fit

    def diverging(self: Trainer) -> Any:
        state = fit(self)
        state.diverged[1] = 5
        return state

    monkeypatch.setattr(Trainer, "fit", diverging)
    trained, found = train_run(log, settings(replicas=3, epochs=1), None, Progress())
    assert [(entry.replica, entry.step) for entry in found.results["mmoe"].diverged] == [(1, 5)]
    (warning,) = (entry.text for entry in found.data.warnings if "diverged" in entry.text)
    assert warning.startswith("mmoe: 1 model diverged (replica 1) and count")
    assert diverged({"a": trained, "b": trained})[1].startswith("b: 1 model")
    two = SimpleNamespace(result=SimpleNamespace(diverged=[SimpleNamespace(replica=0, step=3), SimpleNamespace(replica=2, step=5)]))
    assert diverged({"a": two})[0].startswith("a: 2 models diverged (replica 0, 2)")
    assert diverged({"a": SimpleNamespace(result=SimpleNamespace(diverged=[]))}) == []


def test_a_score_that_was_never_defined_is_nan_and_not_a_number_of_another_model(log, settings, monkeypatch) -> None:
    fit = Trainer.fit

    def without_a_score(self: Trainer) -> Any:
        state = fit(self)
        state.kept[0].best = None
        return state

    monkeypatch.setattr(Trainer, "fit", without_a_score)
    found = train_one(log, settings(replicas=2, epochs=1), None, Progress()).valid_score_R
    assert math.isnan(found[0])
    assert math.isfinite(found[1])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_memory_that_runs_out_is_said_with_what_to_lower(log, settings, monkeypatch, error, told) -> None:
    def fail(self: Trainer) -> Any:
        raise error

    monkeypatch.setattr(Trainer, "fit", fail)
    with pytest.raises(InputError if told else RuntimeError) as found:
        train_one(log, settings(), None, Progress())
    text = str(found.value)
    if told:
        assert "mmoe: memory ran out. Lower " in text
        assert "(now 32)" in text
    else:
        assert text == "shapes do not match"


def test_validation_rows_fit_the_calibrators_and_none_fits_none(log, settings, monkeypatch) -> None:
    given = []
    fit_calibration = run_module.fit_calibration

    def seen(logit_RNT: np.ndarray, rows: Any, *arguments: Any, **named: Any) -> Any:
        given.append((len(logit_RNT[0]), rows))
        return fit_calibration(logit_RNT, rows, *arguments, **named)

    monkeypatch.setattr(run_module, "fit_calibration", seen)
    trained = train_one(log, settings(calibration="platt", epochs=1), None, Progress())
    ((count, rows),) = given
    assert rows is log.parts["valid"]
    assert count == len(rows)
    assert set(trained.predictor.calibration.tasks) == {"click", "like"}
    assert train_one(log, settings(calibration="none", epochs=1), None, Progress()).predictor.calibration is None
    assert len(given) == 1


def test_a_finished_run_without_its_state_is_refused(log, settings, tmp_path) -> None:
    config = settings(epochs=1)
    finish(tmp_path, train_one(log, config, tmp_path, Progress()))
    assert not (tmp_path / "checkpoints").exists()
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "best": [0.99]}))
    with pytest.raises(InputError, match=r"state\.json: .*changed\. Restore it"):
        train_one(log, config, tmp_path, Progress())
    for wrong in ([], {}, {**state, "more": 1}):
        (tmp_path / "state.json").write_text(json.dumps(wrong))
        record(tmp_path)
        with pytest.raises(InputError, match=r"state.json: not the state of a run. Restore it"):
            train_one(log, config, tmp_path, Progress())


def test_a_run_that_is_done_is_not_marked_again(tmp_path: Path) -> None:
    (tmp_path / "DONE").write_text("")
    finish(tmp_path, SimpleNamespace())
    assert not (tmp_path / "state.json").exists()
    finish(None, SimpleNamespace())


def test_the_batch_of_a_small_log_is_small_and_the_document_says_its_size(log, settings) -> None:
    rows = len(log.parts["train"])
    config = settings(epochs=1).replace(batch_size=None)
    assert rows < 128 * 64
    trained = train_one(log, config, None, Progress())
    assert trained.state.step == math.ceil(rows / 64) > 1
    assert trained.model.config.batch_size == 64
    said: list[str] = []
    progress = Progress()
    progress.say = said.append  # type: ignore[method-assign]
    assert train_run(log, config, None, progress)[1].config["batch_size"] == 64
    steps = math.ceil(rows / 64)
    assert said[0] == f"batches of 64 rows, {steps} steps an epoch (the setting batch_size gives another size)"


def test_what_a_large_log_has_by_default_is_said_and_kept(log, settings, monkeypatch) -> None:
    """The bundle names it, so that a model is read as it was trained, and a given setting is not replaced."""
    monkeypatch.setattr("manygate.config.settings.LARGE_LOG", len(log.parts["train"]))
    said: list[str] = []
    progress = Progress()
    progress.say = said.append  # type: ignore[method-assign]
    trained, results = train_run(log, settings(epochs=1), None, progress)
    assert "a large log, so by default with 2 cross layers (cross_layers) and an average of the weights (weight_average)" in said
    assert {name: results.config[name] for name in ("cross_layers", "weight_average")} == {
        "cross_layers": 2,
        "weight_average": 0.999,
    }
    assert trained.model.parameters["trunk.cross.up"].any(), "V has left zero"
    plain, _ = train_run(log, settings(epochs=1, cross_layers=0, weight_average=0.0), None, Progress())
    assert plain.model.config.weight_average == 0
    assert "trunk.cross.up" not in plain.model.parameters
    said.clear()
    train_run(log, settings(epochs=1, cross_layers=0), None, progress)
    assert "a large log, so by default with an average of the weights (weight_average)" in said


def test_a_bundle_of_a_large_log_predicts_as_its_model(log, log_table, settings, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("manygate.config.settings.LARGE_LOG", len(log.parts["train"]))
    trained, _ = train_run(log, settings(epochs=2), tmp_path / "run", Progress())
    monkeypatch.undo()
    again = load_bundle(tmp_path / "run")
    assert again.model.config.cross_layers == 2
    for name, value in trained.predictor.model.parameters.items():
        assert torch.equal(again.model.parameters[name], value)
