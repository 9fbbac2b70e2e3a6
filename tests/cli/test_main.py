"""The command line as a user meets it: exit codes, messages, one JSON object, settings from a file and from flags."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from command_line import Run, refused
from manygate import datasets

COMMANDS = [
    *(
        "demo",
        "dataset census",
        "dataset impressions",
        "dataset synthetic",
        "reproduce mmoe-synthetic",
        "schema",
        "train",
        "compare",
        "architectures",
    ),
    *("calibrate", "evaluate", "fuse", "inspect", "predict", "report"),
]
TINY = "--epochs 1 --experts 2 --expert-hidden 8 --tower-hidden 4 --threads 1 --device cpu --progress none"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets.impressions(tmp_path_factory.mktemp("data") / "log", rows=2000).folder


@pytest.fixture(scope="module")
def trained(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training run."""
    import manygate as mg

    folder = tmp_path_factory.mktemp("runs") / "trained"
    small = {"epochs": 1, "experts": 2, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu"}
    mg.Ranker(**small).fit(log, out=folder, progress="none")
    return folder


# --- help ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"Example: manygate {command}" in " ".join(result.out.split())
    assert "Exit codes" in result.out


@pytest.mark.parametrize("arguments", ["", "--help", "dataset", "dataset --help"])
def test_help_lists_the_commands(run: Run, arguments: str) -> None:
    result = run(arguments)
    assert result.code == 0
    wanted = ("census", "log") if arguments.startswith("dataset") else [c for c in COMMANDS if " " not in c]
    assert all(command in result.out for command in wanted)


def test_version(run: Run) -> None:
    assert run("--version").out.strip().count(".") == 2


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from manygate.cli.main import main
sys.argv = ["manygate", "--help"]
main()
heavy = {"torch", "pandas", "numpy", "pyarrow", "polars", "matplotlib", "narwhals", "safetensors"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else 0)
"""
    began = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    print(f"manygate --help took {time.perf_counter() - began:.2f} s")
    assert result.returncode == 0, result.stderr
    assert "Usage: manygate" in result.stdout


# --- errors ----------------------------------------------------------------------------------------------------------------------


def test_bad_commands_and_flags(run: Run) -> None:
    refused(run("compair log"), "compair")
    refused(run("compare log --expert 4"), "--expert", "--experts")
    refused(run("compare log --replicas two"), "replicas", "two")
    refused(run("compare"), "no log is given")
    refused(run("predict"), "--help")


def test_bad_files(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    refused(run("compare lgo"), "lgo", "Did you mean 'log'?")
    (tmp_path / "empty.parquet").touch()
    refused(run("compare empty.parquet --task click"), "empty.parquet", "empty")
    refused(run("compare", log, "--config nothing.yaml"), "nothing.yaml", "does not exist")
    refused(run("evaluate nowhere", log), "nowhere", "does not exist")
    refused(run("report nowhere"), "nowhere", "no results here")
    assert not (tmp_path / "runs").exists()


def test_bad_columns_and_tasks(run: Run, log: Path, tmp_path: Path) -> None:
    train = log / "train.parquet"
    refused(run("schema", train, "--task clik"), "clik", "Did you mean 'click'?")
    refused(run("compare", train), "--task")
    refused(run("train", log, "--task clik"), "clik", "Did you mean 'click'?")
    refused(run("train", train, "--task click:kinf=binary"), "kinf", "Did you mean 'kind'?")
    refused(run("train", log, "--monitor clik"), "clik", "Did you mean 'click'?")
    assert not (tmp_path / "runs").exists()


def test_bad_settings(run: Run, log: Path) -> None:
    refused(run("compare", log, "--architectures mmeo"), "mmeo", "Did you mean 'mmoe'?")
    refused(run("compare", log, "--replicas 0"), "replicas", "found 0")
    refused(run("compare", log, "--fractions 0.8,0.3,0.1"), "fractions")
    refused(run("train", log, "--device tpu9"), "tpu9")


def test_all_problems_at_once(run: Run, log: Path, tmp_path: Path) -> None:
    table = pq.read_table(log / "train.parquet").drop(["age", "device"])
    pq.write_table(table, tmp_path / "less.parquet")
    refused(run("train less.parquet --schema-file", log / "schema.yaml"), "2 problems", "'age'", "'device'")


def test_debug_shows_the_traceback() -> None:
    code = "from manygate.cli.main import main; main()"
    arguments = ["compare", "nowhere", "--task", "click", "--debug"]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "InputError: nowhere" in result.stderr


def test_a_fault_of_ours_is_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("manygate.runs.preflight.prepare", broken)
    result = run("compare", log)
    assert result.code == 1
    assert "RuntimeError: wires crossed" in result.err
    assert "--debug" in result.err
    assert "Traceback" not in result.err


# --- one JSON object -------------------------------------------------------------------------------------------------------------


def test_json_of_datasets(run: Run, tmp_path: Path) -> None:
    assert run("dataset impressions --rows 200 --out made --json").json == {
        "out": "made",
        "rows": {"train": 160, "valid": 20, "test": 20},
        "parts": {part: f"made/{part}.parquet" for part in ("train", "valid", "test")},
        "schema": "made/schema.yaml",
        "truth": "made/truth",
        "ceiling": "made/truth/ceiling.yaml",
    }
    refused(run("dataset log --rows 200 --out made"), "manygate dataset log is now manygate dataset impressions")
    assert (tmp_path / "made" / "schema.yaml").is_file()


def test_json_of_schema(run: Run, log: Path, tmp_path: Path) -> None:
    arguments = ("--task click --task buy:where=click==1 --ignore like --ignore watch_time --out schema.yaml --json",)
    found = run("schema", log / "train.parquet", *arguments).json
    assert [task["name"] for task in found["tasks"]] == ["click", "buy"]
    assert yaml.safe_load((tmp_path / "schema.yaml").read_text())["group"] == "user_id"


def test_json_of_train(run: Run, log: Path, tmp_path: Path) -> None:
    document = run("train", log, TINY, "--json").json
    assert list(document["results"]) == ["mmoe"]
    assert set(document["results"]["mmoe"]["tasks"]) == {"click", "like", "watch_time", "buy"}
    assert document["command"].startswith("manygate train ")
    assert json.loads((tmp_path / "runs" / "train-1" / "evaluation.json").read_text()) == document


def test_json_of_compare(run: Run, log: Path, tmp_path: Path) -> None:
    document = run("compare", log, TINY, "--architectures single_task,mmoe --replicas 2 --out runs/x --json").json
    assert document["architectures"] == ["single_task", "mmoe"]
    assert set(document["verdicts"]) == {"mmoe"}
    assert json.loads((tmp_path / "runs" / "x" / "comparison.json").read_text()) == document
    assert list(document["transfer"]["gains"]) == ["mmoe"]
    assert document["recommendation"]["text"] in (tmp_path / "runs" / "x" / "report.html").read_text()
    assert run("report runs/x --json").json["out"] == "runs/x/report.html"


def test_json_of_demo(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from manygate.config import RunConfig

    build = RunConfig.build
    small = {"epochs": 1, "experts": 2, "expert_hidden": 8, "threads": 1, "device": "cpu"}
    monkeypatch.setattr(RunConfig, "build", classmethod(lambda cls, settings, where="": build({**settings, **small}, where)))
    document = run("demo --rows 2000 --replicas 1 --out small --json").json
    assert document["architectures"] == ["single_task", "shared_bottom", "mmoe", "ple"]
    assert (tmp_path / "small" / "report.html").is_file()


def test_json_of_evaluate_predict_and_report(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    report = run("evaluate", trained, log, "--json").json
    assert report["rows"] == 200
    assert report["tasks"]["click"]["ensemble"]["auc"] is not None
    scores = run("predict", trained, log / "test.parquet", "--keep user_id --out scores.parquet --json").json
    tasks = ["click", "like", "watch_time", "buy"]
    assert scores == {"out": "scores.parquet", "rows": 200, "tasks": tasks, "columns": tasks, "calibrated": False}
    assert pq.read_table(tmp_path / "scores.parquet").column_names == ["user_id", *scores["tasks"]]
    assert run("report", trained, "--out again.html --json").json["headline"]
    assert "<html" in (tmp_path / "again.html").read_text()


def test_without_json_people_get_tables(run: Run, log: Path, trained: Path) -> None:
    result = run("evaluate", trained, log)
    assert result.code == 0
    assert "normalised_entropy" in result.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.out)


# --- settings --------------------------------------------------------------------------------------------------------------------


def test_flags_override_the_file(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"log: {log}\nexperts: 3\nreplicas: 2\nlearning_rate: 0.01\nexpert_hidden: [16, 8]\n")
    config = run("train --config run.yaml", "--experts 2 --epochs 1 --threads 1 --progress none --json").json["config"]
    assert (config["experts"], config["replicas"], config["learning_rate"]) == (2, 2, 0.01)
    assert (config["expert_hidden"], config["epochs"], config["log"]) == ([16, 8], 1, str(log))


def test_comparisons_have_eight_replicas_unless_told(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []
    monkeypatch.setattr("manygate.runs.preflight.prepare", lambda log, settings, **more: seen.append(settings.replicas))
    monkeypatch.setattr("manygate.cli.compare.compare_and_show", lambda *arguments: None)
    (tmp_path / "run.yaml").write_text("replicas: 3\n")
    for number, more in enumerate(("", "--replicas 2", "--config run.yaml", "--config run.yaml --replicas 4")):
        assert run("compare", log, more, f"--out runs/{number}").code == 0
    assert seen == [8, 2, 3, 4]


def test_unknown_keys_of_a_file(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("expert: 3\nreplica: 2\n")
    refused(run("compare", log, "--config run.yaml"), "run.yaml", "expert", "'experts'", "replica", "'replicas'", "2 problems")
    (tmp_path / "broken.yaml").write_text("experts: [3\n")
    refused(run("compare", log, "--config broken.yaml"), "broken.yaml:", "not valid YAML")


# --- folders ---------------------------------------------------------------------------------------------------------------------


def test_existing_output_is_refused(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    for name in ("data", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    refused(run("train", log, TINY, "--out notes"), "notes", "exists")
    refused(run("compare", log, TINY, "--out notes"), "notes", "exists")
    refused(run("train", log, TINY, "--out notes --overwrite"), "notes", "not a run's folder")
    refused(run("dataset impressions --rows 200 --out data"), "data", "exists")
    (tmp_path / "taken.parquet").touch()
    refused(run("predict", trained, log / "test.parquet", "--out taken.parquet"), "taken.parquet", "exists")
    refused(run("schema", log / "train.parquet", "--task click --out taken.parquet"), "taken.parquet", "exists")
    assert {path.name for path in (tmp_path / "notes").iterdir()} == {"mine.txt"}


def test_a_run_is_overwritten_or_resumed_when_asked(run: Run, log: Path, tmp_path: Path) -> None:
    first = run("train", log, TINY, "--out runs/a --json").json
    refused(run("train", log, TINY, "--out runs/a"), "--overwrite", "--resume")
    again = run("train --resume runs/a --progress none --json").json
    assert again["results"]["mmoe"]["tasks"] == first["results"]["mmoe"]["tasks"]
    assert again["command"] == first["command"], "the command that began it"
    other = run("train", log, TINY, "--seed 1 --out runs/a --overwrite --json").json
    assert other["config"]["seed"] == 1
    refused(run("train --resume runs/a --seed 2"), "--resume")
    refused(run("train --resume runs/b"), "runs/b", "no run here")


def test_free_folders_are_numbered(run: Run, log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("train", log, TINY).code == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["train-1", "train-2"]


def test_predicting_a_data_set_asks_for_a_part(run: Run, log: Path, trained: Path) -> None:
    refused(run("predict", trained, log, "--out scores.csv"), "test.parquet")
    refused(run("predict", trained, log / "test.parquet", "--out scores.xlsx"), ".parquet, .csv, .arrow")
    refused(run("predict", trained, log / "test.parquet", "--keep click --out scores.csv"), "click")


def test_a_comparison_has_several_models(run: Run, log: Path, tmp_path: Path) -> None:
    assert run("compare", log, TINY, "--architectures omoe,mmoe --replicas 1 --out runs/x").code == 0
    refused(run("evaluate runs/x", log), "runs/x/mmoe")
    assert run("evaluate runs/x/omoe", log).code == 0


def test_csv_goes_in_and_out(run: Run, tmp_path: Path) -> None:
    import pyarrow.csv as pa_csv

    rows = range(400)
    table = pa.table({"item": [f"i{n % 7}" for n in rows], "age": [n % 50 for n in rows], "click": [n % 3 % 2 for n in rows]})
    pa_csv.write_csv(table, tmp_path / "log.csv")
    assert run("train log.csv --task click", TINY, "--out runs/csv").code == 0
    assert run("predict runs/csv log.csv --out scores.csv").code == 0
    assert pa_csv.read_csv(tmp_path / "scores.csv").num_rows == 400


def test_a_study_from_the_command_line_says_each_claim_and_goes_on_in_its_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from manygate.datasets.synthetic import Tasks
    from manygate.studies import mmoe_synthetic
    from manygate.studies.sweep import Protocol

    small = Protocol(Tasks(inputs=6, alpha=(1.0,), beta=(0.1,)), 8, steps=4, steps_an_epoch=2, validation_rows=20, test_rows=20)
    monkeypatch.setattr(mmoe_synthetic, "BUDGET", 600)
    monkeypatch.setattr(mmoe_synthetic, "QUICK", replace(mmoe_synthetic.QUICK, protocol=small, trials=2, trial_rows=50))
    command = "reproduce mmoe-synthetic --quick --runs 5 --steps 6 --out study --progress none"
    first = run(command)
    assert first.code == 0, first.err
    assert "Both mixtures beat" in first.out
    assert "report.html" in first.out
    again = run(command, "--json").json
    assert again["command"] == "manygate reproduce mmoe-synthetic --quick --runs 5 --steps 6"
    assert again["plan"]["protocol"]["steps"] == 6
    other = run(command.replace("--steps 6", "--steps 7"))
    assert other.code == 2
    assert "other settings" in other.err
    assert run(command.replace("--steps 6", "--steps 7"), "--overwrite").code == 0
    wrong = run("reproduce mmoe-synthetic --runs 2 --steps 0 --threads 0 --seed -1")
    assert wrong.code == 2
    assert all(flag in wrong.err for flag in ("--runs 2", "--steps 0", "--threads 0", "--seed -1"))
