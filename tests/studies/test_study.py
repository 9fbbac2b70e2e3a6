"""A study end to end, small: a killed study goes on, its decisions are made again, the page follows from the numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.files import locked
from manygate.results.study import StudyResults
from manygate.studies import pilots
from manygate.studies.page import render
from manygate.studies.ple_synthetic import PlePlan
from manygate.studies.study import reproduce, summary
from manygate.studies.sweep import Protocol
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer
from study_outcomes import trained

PROTOCOL = Protocol(Tasks(inputs=6, alpha=(), beta=()), 8, steps=4, steps_an_epoch=2, validation_rows=20, test_rows=30, sines=2)
PLAN = PlePlan(protocol=PROTOCOL, runs=5, pilot_runs=2, longest=8, rates=(1e-3, 1e-2), correlations=(0.1, 1.0))
COMMAND = "manygate reproduce ple-synthetic"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manygate.studies.ple_synthetic.BUDGET", 1_500)
    monkeypatch.setattr(pilots, "LADDER", (1e-3, 1e-2, 3e-2))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, StudyResults]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("manygate.studies.ple_synthetic.BUDGET", 1_500)
        patch.setattr(pilots, "LADDER", (1e-3, 1e-2, 3e-2))
        out = tmp_path_factory.mktemp("study") / "out"
        yield out, reproduce(out, PLAN, Progress(), command=COMMAND)


def without_times(results: StudyResults) -> Any:
    return json.loads(
        json.dumps(results.to_tree()), object_hook=lambda tree: {name: tree[name] for name in tree if name != "seconds"}
    )


def test_a_study_that_was_stopped_three_times_goes_on_and_ends_as_if_it_had_not(study, tmp_path, monkeypatch):
    """The stops are in the first pilots, in pilots that go on, and in the long runs: after 7, 61 and 130 steps in all."""
    step, count, stops = Trainer._step, 0, (7, 61, 130)

    def stop(self: Trainer, batch: Any) -> None:
        nonlocal count
        count += 1
        step(self, batch)
        if count in stops:
            self.state.batch, self.state.step = self.state.batch + 1, self.state.step + 1
            self._checkpoint()
            raise Interrupted(2, "stopped")

    monkeypatch.setattr(Trainer, "_step", stop)
    for steps in stops:
        with pytest.raises(Interrupted):
            reproduce(tmp_path / "cut", PLAN, Progress())
        assert count == steps
        assert not (tmp_path / "cut" / "results.json").exists()
    again = reproduce(tmp_path / "cut", PLAN, Progress(), command=COMMAND)
    assert without_times(again) == without_times(study[1])


def test_long_runs_have_the_rate_that_the_pilots_chose_and_seeds_of_their_own(study):
    out, results = study
    for sweep in results.sweeps["compared"]:
        assert [cell.rate for cell in sweep.cells] == [*sweep.chosen_rate.values()]
        assert [len(cell.loss) for cell in sweep.cells] == [5, 5]
        for p, chosen in sweep.chosen_rate.items():
            tried = {cell.rate: cell.validation_mean for cell in sweep.pilots if f"{cell.correlation:g}" == p}
            assert min(tried, key=lambda rate: tried[rate]) == chosen
            assert (float(p) in sweep.on_edge) == (chosen in (min(tried), max(tried)))
    assert results.length in PLAN.lengths
    assert results.runs == sum(len(cell.loss) for sweep in results.sweeps["compared"] for cell in (*sweep.cells, *sweep.pilots))
    seeds = {part: {int(path.name.split("-")[-2]) for path in (out / "packs" / part).iterdir()} for part in ("pilots", "runs")}
    assert min(seeds["pilots"]) == 1_000_000
    assert max(seeds["runs"]) < 5
    assert not [*out.rglob("checkpoints")]


def test_the_page_shows_every_claim_and_needs_no_network(study):
    out, results = study
    page = (out / "report.html").read_text()
    assert page == render(results)
    assert "http" not in page.replace("http-equiv", "")
    assert "nan" not in page.replace("finance", "")
    for claim in results.claims:
        assert claim.title.replace("'", "&#39;") in page
    assert page.count("<figure>") == 1 + 2
    saved = json.loads((out / "results.json").read_text())
    assert StudyResults.from_tree(saved, "results.json") == results


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
    changed = replace(PLAN, protocol=replace(PROTOCOL, steps=2), longest=2)
    results = reproduce(tmp_path / "link", changed, Progress(), overwrite=True)
    assert results.plan.protocol.steps == results.length == 2
    assert (tmp_path / "real" / "mine.txt").read_text() == "mine"


def test_a_summary_has_the_long_runs_and_the_pilots():
    model = trained("mmoe", {0.5: (1.0, 0.1), 1.0: (2.0, 0.2)}, runs=20)
    model.long.at(0.5).diverged_R[3] = True
    model.long.at(1.0).curve_ER[:] = np.linspace(2.0, 1.0, 6)[:, None]
    found = summary(model)
    assert [(cell.correlation, cell.rate, cell.diverged, cell.at_rest) for cell in found.cells] == [
        (0.5, 0.01, 1, True),
        (1.0, 0.01, 0, False),
    ]
    assert [(cell.correlation, cell.rate) for cell in found.pilots] == [(0.5, 0.001), (0.5, 0.01), (1.0, 0.001), (1.0, 0.01)]
    assert found.chosen_rate == {"0.5": 0.01, "1": 0.01}
    assert found.on_edge == [0.5, 1.0]
    assert found.cells[1].mean == pytest.approx(2.0)
    assert found.cells[0].loss[3] is None
    assert found.seconds == 3.0
