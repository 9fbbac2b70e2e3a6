"""The study end to end, small: runs equal serial runs, a killed study goes on, the page follows from the numbers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.files import locked
from manygate.model import MultiTaskModel
from manygate.results.study import StudyResults
from manygate.studies import mmoe_synthetic
from manygate.studies.mmoe_synthetic import FULL, QUICK, Plan, figure_2, reproduce
from manygate.studies.page import headline, render
from manygate.studies.stream import Stream
from manygate.studies.sweep import Protocol
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

PROTOCOL = Protocol(
    Tasks(inputs=6, alpha=(1.0, 2.0), beta=(0.1, 0.2)), 8, steps=12, steps_an_epoch=5, validation_rows=30, test_rows=40
)


PLAN = Plan(PROTOCOL, runs=5, runs_beyond=5, schemes_beyond=("cross_stitch",), trials=4, trial_rows=200)


@pytest.fixture(autouse=True)
def small_budget(monkeypatch):
    monkeypatch.setattr(mmoe_synthetic, "BUDGET", 600)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmoe_synthetic, "BUDGET", 600)
        out = tmp_path_factory.mktemp("study") / "out"
        return out, reproduce(out, PLAN, Progress(), command="manygate reproduce mmoe-synthetic")


def test_a_study_that_was_stopped_goes_on_and_ends_as_if_it_had_not(study, tmp_path, monkeypatch):
    step, count = Trainer._step, 0

    def stop(self: Trainer, batch: Any) -> None:
        nonlocal count
        count += 1
        step(self, batch)
        if count == 30:
            self.state.batch, self.state.step = self.state.batch + 1, self.state.step + 1
            self._checkpoint()
            raise Interrupted(2, "stopped")

    monkeypatch.setattr(Trainer, "_step", stop)
    with pytest.raises(Interrupted):
        reproduce(tmp_path / "cut", PLAN, Progress())
    again = reproduce(tmp_path / "cut", PLAN, Progress(), command="manygate reproduce mmoe-synthetic")
    assert without_times(again) == without_times(study[1])


def without_times(results: StudyResults) -> Any:
    return json.loads(
        json.dumps(results.to_tree()), object_hook=lambda tree: {name: tree[name] for name in tree if name != "seconds"}
    )


def test_figure_2_lies_on_the_closed_form():
    points = figure_2(replace(PLAN, trials=30, trial_rows=2_000))
    assert [point.cosine for point in points] == [round(0.1 * i, 1) for i in range(11)]
    assert max(abs(point.standard_errors_off) for point in points) < 4
    assert all(point.sd > 0 for point in points)


def test_the_page_shows_every_claim_every_number_and_needs_no_network(study):
    out, results = study
    page = (out / "report.html").read_text()
    assert page == render(results)
    assert "http" not in page.replace("http-equiv", "")
    assert "nan" not in page.replace("finance", "")
    for claim in results.claims:
        assert claim.title.replace("'", "&#39;") in page
    assert page.count("<figure>") == 1 + 1 + 3 + 3 + 3 + 2
    assert headline(results).startswith("Of 13 claims of the paper")
    saved = json.loads((out / "results.json").read_text())
    assert saved["runs"] == sum(len(cell["loss"]) for group in saved["sweeps"].values() for one in group for cell in one["cells"])
    assert len(saved["sweeps"]["compared"][0]["cells"]) == 9


def test_other_folders_and_other_plans_are_refused(study, tmp_path):
    out, _ = study
    with locked(out), pytest.raises(InputError, match="another process is working in this folder"):
        reproduce(out, PLAN, Progress())
    with pytest.raises(InputError, match="holds a study with other settings"):
        reproduce(out, replace(PLAN, runs=6), Progress())
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no study"):
        reproduce(tmp_path, PLAN, Progress())
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [b'{"plan": 1}', b"", b"\xff", b"[]"])
def test_a_folder_with_another_plan_is_never_overwritten(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no study"):
        reproduce(tmp_path, PLAN, Progress(), overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "plan.json").read_bytes() == content


def test_overwriting_a_study_removes_what_a_study_writes_and_follows_links(study, tmp_path):
    shutil.copytree(study[0], tmp_path / "real")
    (tmp_path / "real" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    changed = replace(PLAN, protocol=replace(PROTOCOL, steps=6))
    results = reproduce(tmp_path / "link", changed, Progress(), overwrite=True)
    assert results.plan.protocol.steps == 6
    assert (tmp_path / "real" / "mine.txt").read_text() == "mine"


def test_the_papers_models_have_the_papers_sizes():
    sizes = {}
    for sweep in FULL.sweeps()["compared"]:
        config = sweep.config(FULL.protocol)
        stream = Stream(FULL.protocol.tasks, [0], [0.5])
        sizes[sweep.name] = MultiTaskModel(stream.problem, config.replace(replicas=1, replica_rates=())).parameter_count()
        assert config.learning_rate * np.array(config.replica_rates) == pytest.approx([1e-4, 1e-3, 1e-2])
        assert (config.optimizer, config.weight_decay, config.dropout, config.gate_bias) == ("adam", 0.0, 0.0, False)
    assert sizes == {"shared_bottom": 13_255, "omoe": 14_018, "mmoe": 14_818}
    runs = sum(s.runs * len(s.correlations) * len(s.rates) for s in FULL.sweeps()["compared"])
    assert runs == 200 * 3 * 3 * 3
    assert QUICK.runs < FULL.runs
