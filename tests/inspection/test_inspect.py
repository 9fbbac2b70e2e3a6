"""``manygate inspect`` and ``mg.inspect``: what they write, print and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import manygate as mg
from manygate.errors import InputError
from manygate.inspection import thresholds
from manygate.inspection.look import PARTS


@pytest.fixture(scope="module")
def table(log_table) -> pa.Table:
    return log_table()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, table, log_schema, settings) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    given = settings(architecture="ple", replicas=2, epochs=3).model_dump(exclude_unset=True)
    mg.Ranker(**given).fit(table, schema=log_schema(), out=folder / "run", progress="none")
    pq.write_table(table, folder / "log.parquet")
    return folder


def test_the_command_prints_writes_and_shows(run, trained):
    done = run(f"inspect {trained}/run {trained}/log.parquet --by country")
    assert done.code == 0, done.err
    first = done.out.splitlines()[0]
    document = json.loads((trained / "run" / "inspection.json").read_text(encoding="utf-8"))
    assert first == repr(mg.inspect(trained / "run", trained / "log.parquet", by="country")).partition("\n")[0]
    assert "click" in done.out
    assert f"page {trained / 'run' / 'inspection.html'}" in done.out
    assert document["parts"] == list(PARTS)
    assert document["rows_of_log"] == document["rows"] == 500
    assert [entry["epoch"] for entry in document["history"]] == [1, 2, 3]
    assert {entry["level"] for entry in document["gates"]} == {"level 1", "level 2"}
    assert document["segments"]["by"] == "country"
    for alarm in document["alarms"]:
        assert alarm["title"] in done.out


def test_json_is_one_object_and_parts_can_be_chosen(run, trained):
    done = run(f"inspect {trained}/run {trained}/log.parquet --only gates,noise --rows 100 --replicas 1 --out here --json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["parts"] == ["gates", "noise"]
    assert not {"dead", "experts", "conflict", "affinity", "importance", "embeddings"} & set(document)
    assert document["rows"] == 100
    assert document["replicas"] == {"looked_at": 1, "of": 2}
    assert {entry["replica"] for entry in document["gates"]} == {0}
    assert json.loads(Path("here/inspection.json").read_text(encoding="utf-8")) == document
    assert Path("here/inspection.html").is_file()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{run} {log} --only gate", "part 'gate' is unknown. Did you mean 'gates'?"),
        ("{run} {log} --only ,", "which parts?"),
        ("{run} {log} --rows 0", "rows: expected at least 1, found 0"),
        ("{run} {log} --by nonsense", "column 'nonsense' (named by --by) is missing"),
        ("{run} {log} --by country --only noise", "only the gates are shown by segment"),
        ("{run}/bundle {log}", "Say where to write with --out FOLDER"),
        ("{run} {log} --out {log}", "a file of this name exists"),
        ("nowhere {log}", "does not exist"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(run, trained, line, said):
    done = run("inspect " + line.format(run=trained / "run", log=trained / "log.parquet"))
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_bundle_can_be_inspected_into_a_folder(run, trained):
    done = run(f"inspect {trained}/run/bundle {trained}/log.parquet --only dead --out there")
    assert done.code == 0, done.err
    assert Path("there/inspection.html").is_file()
    assert mg.Ranker.load(trained / "run" / "bundle"), "nothing was written into it"


def test_python_takes_a_ranker_or_a_path_and_any_frame(trained, table):
    ranker = mg.Ranker.load(trained / "run")
    found = mg.inspect(ranker, table.to_pandas(), only=["gates", "noise"])
    assert found.document == mg.inspect(trained / "run", table, only=["gates", "noise"]).document.model_copy(
        update={"log": found.document.log}
    )
    assert "<strong>" in found._repr_html_()
    assert found.alarms == found.document.alarms


def test_an_unfitted_ranker_is_refused(table):
    with pytest.raises(InputError, match="not fitted"):
        mg.inspect(mg.Ranker(), table)


def test_a_damaged_history_is_named(trained, table, tmp_path):
    import shutil

    shutil.copytree(trained / "run" / "bundle", tmp_path / "run" / "bundle")
    (tmp_path / "run" / "metrics.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.jsonl: not the epochs of a run"):
        mg.inspect(tmp_path / "run", table)


def test_the_history_and_the_document_hold_the_mean_gates(trained):
    """Each epoch's, of the first replica: rows over the experts that a gate sees sum to one."""
    lines = [json.loads(line) for line in (trained / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluation = json.loads((trained / "run" / "evaluation.json").read_text(encoding="utf-8"))["results"]["ple"]
    assert [line["gates"] for line in lines] == [entry["gates"] for entry in evaluation["history"]]
    for line in lines:
        assert len(line["gates"]) == 2
        for level in line["gates"]:
            np.testing.assert_allclose(np.sum(level, axis=1), 1.0, atol=1e-3)
    assert evaluation["inspection"]["parts"] == ["gates", "dead", "experts", "noise"]


def test_the_run_s_report_shows_its_alarms(trained):
    page = (trained / "run" / "report.html").read_text(encoding="utf-8")
    assert '<section id="inspection">' in page
    document = json.loads((trained / "run" / "evaluation.json").read_text(encoding="utf-8"))
    loud = [alarm for alarm in document["results"]["ple"]["inspection"]["alarms"] if alarm["severity"] != "note"]
    assert ("Nothing found in ple" in page) == (not loud)


def test_what_is_looked_at_leaves_the_model_as_it_was(trained, table):
    ranker = mg.Ranker.load(trained / "run")
    before = {name: value.detach().clone() for name, value in ranker.model.parameters.items()}
    scores = ranker.predict(table)
    mg.inspect(ranker, table)
    assert ranker.predict(table) == scores
    for name, value in ranker.model.parameters.items():
        assert value.detach().equal(before[name])
        assert value.grad is None


def test_a_handful_of_rows_is_no_ground_for_alarms(trained, table):
    document = mg.inspect(trained / "run", table, rows=5).document
    assert {alarm.severity for alarm in document.alarms} == {"note"}
    assert "few_rows" in {alarm.kind for alarm in document.alarms}


def test_the_page_s_words_name_the_thresholds_of_the_code(trained, table):
    page = Path(trained / "run" / "inspection.html")
    mg.inspect(trained / "run", table, only=["noise"]).report(page)
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    assert f"more than {thresholds.COLLAPSED_WEIGHT:g} of a task" in text
    assert f"outputs are above {thresholds.IDENTICAL:g}" in text


def test_without_a_log_the_run_s_own_test_rows_are_looked_at(table, tmp_path):
    """They are those of the training's split, and another log in the place of the run's is refused."""
    pq.write_table(table, tmp_path / "log.parquet")
    settings = {"task": ["click"], "ignore": ["like", "watch"], "epochs": 1, "experts": 2, "threads": 1}
    ranker = mg.Ranker(**settings).fit(tmp_path / "log.parquet", out=tmp_path / "run", progress=False)
    document = mg.inspect(tmp_path / "run", only=["gates"]).document
    assert document.log == f"test rows of {tmp_path / 'log.parquet'}"
    assert document.rows_of_log == ranker.document.data.rows["test"]
    assert "training_rows" not in {alarm.kind for alarm in document.alarms}
    with_training_rows = mg.inspect(tmp_path / "run", table, only=["gates"]).document
    assert [alarm.severity for alarm in with_training_rows.alarms if alarm.kind == "training_rows"] == ["note"]
    pq.write_table(table.slice(1), tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"log\.parquet: it has .* rows, and had"):
        mg.inspect(tmp_path / "run", only=["gates"])
    assert mg.inspect(tmp_path / "run", table.slice(1), only=["gates"]).document.rows_of_log == table.num_rows - 1
    on_a_frame = mg.Ranker(**settings).fit(table, progress=False)
    with pytest.raises(InputError, match="trained on a dataframe"):
        mg.inspect(on_a_frame, only=["gates"])
