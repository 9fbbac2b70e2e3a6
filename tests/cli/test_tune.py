"""``manygate tune`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run, refused
from manygate.cli.tune import study_settings
from manygate.config import RunConfig
from manygate.errors import InputError

QUICK = (
    "--epochs 1 --expert-hidden 8 --tower-hidden 4 --batch-size 1024 --threads 1 --device cpu --progress none --final-replicas 3"
)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text("learning_rate: {log: [1e-3, 3e-2]}\nexperts: {int: [2, 4]}\n", encoding="utf-8")
    return path


def test_a_search_from_the_log_to_the_tuned_settings(run: Run, log: Path, space: Path, tmp_path: Path) -> None:
    words = ("tune", log, QUICK, "--trials 3 --space", space, "--out runs/t --json")
    document = run(*words).json
    assert [trial["state"] for trial in document["trials"]] == ["complete"] * 3
    assert json.loads((tmp_path / "runs/t/tuning.json").read_text()) == document
    assert document["config"]["replicas"] == 2
    assert run(*words).json == document, "the same command again: everything is there"
    assert run("tune --resume runs/t --json --progress none").json == document
    shown = run("tune --resume runs/t --progress none")
    assert document["headline"] in shown.out
    assert "runs/t/tuned.yaml" in shown.out
    config = RunConfig.load(tmp_path / "runs/t/tuned.yaml")
    assert config.experts == document["chosen"]["settings"]["experts"]
    trained = run("train --config runs/t/tuned.yaml --out runs/again --progress none --json --threads 1").json
    assert trained["config"]["learning_rate"] == document["chosen"]["settings"]["learning_rate"]


def test_the_folder_of_a_search_is_its_tuned_model(run: Run, log: Path, space: Path, tmp_path: Path) -> None:
    document = run("tune", log, QUICK, "--trials 3 --space", space, "--out runs/t --json").json
    place = f"trial-{document['chosen']['number']}" if document["chosen"]["number"] else "default"
    used = run("evaluate runs/t", log, "--json")
    assert f"its model with the tuned settings, {place}, is used" in used.err
    assert used.json == run(f"evaluate runs/t/final/{place}", log, "--json").json
    (tmp_path / "runs/t/report.html").unlink()
    assert run("report runs/t --json").json == {"out": "runs/t/report.html", "headline": document["headline"]}
    assert (tmp_path / "runs/t/report.html").is_file()


def test_picking_another_trial(run: Run, log: Path, space: Path) -> None:
    document = run("tune", log, QUICK, "--trials 3 --space", space, "--out runs/t --json").json
    pick = next(n for n in (1, 2) if n != document["chosen"]["number"])
    assert run(f"tune --resume runs/t --pick {pick} --json --progress none").json["chosen"]["number"] == pick
    refused(run("tune --resume runs/t --trials 9"), "--resume continues a run")


def test_a_stopped_or_other_folder_is_named(run: Run, log: Path, space: Path, tmp_path: Path) -> None:
    assert run("tune", log, QUICK, "--trials 1 --space", space, "--out runs/t").code == 0
    refused(run("tune", log, QUICK, "--trials 2 --space", space, "--out runs/t"), "--trials: the study in runs/t was begun with 1")
    refused(run("train --resume runs/t"), "a search for settings", "manygate tune --resume runs/t")
    refused(run("compare --resume runs/t"), "manygate tune --resume runs/t")
    (tmp_path / "empty").mkdir()
    refused(run("tune --resume empty"), "no study here")


def test_bad_spaces_are_refused_before_anything_is_written(run: Run, log: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("nope: {int: [1, 2]}\nexperts: {int: [0, 4]}\nlevels: {int: [1, 3]}\n", encoding="utf-8")
    result = run("tune", log, QUICK, "--space", bad, "--objective clik --out runs/t")
    refused(result, "nope: unknown name", "experts: its range holds 0", "levels: mmoe does not read", "--objective: 'clik'")
    assert not (tmp_path / "runs").exists()
    bad.write_text("experts: {itn: [0, 4]}\n", encoding="utf-8")
    refused(run("tune", log, QUICK, "--space", bad), "bad.yaml:1: experts: 'itn' is no kind of range")
    refused(run("tune", log, QUICK, "--trials 0"), "--trials")
    refused(run("tune", log, QUICK, "--trials 3 --storage nope://x --out runs/t"), "--storage nope://x: it cannot be reached")


def test_flags_override_the_ranges_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("log: a\nexperts: {int: [2, 8]}\ndim: {int: [2, 8]}\ntrials: 9\n", encoding="utf-8")
    run, tuning = study_settings(None, path, None, {"experts": 4}, {"trials": 5})
    assert (run.experts, list(tuning.space), tuning.trials) == (4, ["dim"], 5)
    space = tmp_path / "space.yaml"
    space.write_text("experts: {int: [3, 5]}\n", encoding="utf-8")
    _, both = study_settings(None, path, space, {}, {})
    assert {name: values.ends for name, values in both.space.items()} == {"experts": (3, 5), "dim": (2, 8)}
    with pytest.raises(InputError, match=r"space\.yaml: experts: it has a range here and a value in --experts"):
        study_settings(None, path, space, {"experts": 4}, {})
    with pytest.raises(InputError, match="no log is given"):
        study_settings(None, None, space, {}, {})
