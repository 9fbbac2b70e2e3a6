"""The MMoE study: its models and figures, and the README of the experiment that its results become."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from manygate.datasets.synthetic import Tasks
from manygate.model import MultiTaskModel
from manygate.results.study import StudyResults
from manygate.studies import mmoe_synthetic, pilots
from manygate.studies.mmoe_synthetic import FULL, QUICK, MmoePlan, figure_2
from manygate.studies.page import render
from manygate.studies.sentences import five_sentences
from manygate.studies.study import reproduce
from manygate.studies.sweep import Protocol
from manygate.training.progress import Progress

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "mmoe-synthetic"
PROTOCOL = Protocol(
    Tasks(inputs=6, alpha=(1.0, 2.0), beta=(0.1, 0.2)), 8, steps=4, steps_an_epoch=2, validation_rows=20, test_rows=30
)
PLAN = MmoePlan(
    protocol=PROTOCOL,
    runs=5,
    pilot_runs=2,
    longest=4,
    rates=(1e-3, 1e-2),
    runs_beyond=5,
    schemes_beyond=("cross_stitch",),
    trials=4,
    trial_rows=200,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, StudyResults]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmoe_synthetic, "BUDGET", 600)
        patch.setattr(pilots, "LADDER", PLAN.rates)
        out = tmp_path_factory.mktemp("study") / "out"
        yield out, reproduce(out, PLAN, Progress(), command="manygate reproduce mmoe-synthetic --steps 4")


@pytest.fixture
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table", EXPERIMENT / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_every_claim_and_every_figure(study):
    out, results = study
    page = (out / "report.html").read_text()
    assert page == render(results)
    assert "http" not in page.replace("http-equiv", "")
    assert "nan" not in page.replace("finance", "")
    for claim in results.claims:
        assert claim.title.replace("'", "&#39;") in page
    assert page.count("<figure>") == 1 + 1 + 3 + 3 + 3 + 2
    assert len(results.claims) == 13
    assert results.runs == (2 * 2 + 5) * (6 + 9 + 3 + 6)
    assert "Of 13 claims of the paper" in page
    assert "5 long runs for each model and correlation" in page


def test_the_table_writes_the_readme_of_the_results(study, table):
    _, results = study
    readme = "\n".join(table.lines(results.to_tree()))
    assert readme.split("\n")[2] == " ".join(five_sentences(results))
    assert "manygate reproduce mmoe-synthetic --steps 4" in readme
    assert "earlier protocol" not in readme
    compared = results.sweeps["compared"]
    losses = readme.partition("## Final losses")[2].partition("## Figure 3")[0]
    for sweep in compared:
        for cell in sweep.cells:
            assert f"| {sweep.name} | {cell.correlation:g} | **{cell.rate:g}** | {cell.mean:.4f} ± " in losses
    assert losses.count("\n| ") == 1 + 9, "the chosen rates alone"
    beyond = readme.partition("## Other schemes, and four tasks")[2].partition("| 4 tasks |")[0]
    assert re.search(r"^\| cross_stitch \| [\d,]+ \| 5 \| .+ \| .+ \| .+ \|$", beyond, re.M)
    tried = readme.partition("## Pilots")[2]
    assert tried.count("**") == 2 * (6 + 9) + 2, "one chosen rate for each model and correlation"
    for claim in results.claims:
        needed = "" if claim.runs_needed is None else f" (about {claim.runs_needed:,} runs would)"
        assert f"| {claim.title} | {claim.section} | {claim.verdict}{needed} | {claim.where} |" in readme


def test_the_committed_readme_is_that_of_the_committed_results(table):
    results = json.loads((EXPERIMENT / "results.json").read_text(encoding="utf-8"))
    readme = (EXPERIMENT / "README.md").read_text(encoding="utf-8")
    assert readme == "\n".join(table.lines(results))
    assert ("**These results are of an earlier protocol.**" in readme) == (results["results_version"] == 1)


def test_figure_2_lies_on_the_closed_form():
    points = figure_2(replace(PLAN, trials=30, trial_rows=2_000))
    assert [point.cosine for point in points] == [round(0.1 * i, 1) for i in range(11)]
    assert max(abs(point.standard_errors_off) for point in points) < 4
    assert all(point.sd > 0 for point in points)


def test_the_papers_models_have_the_papers_sizes():
    sizes = {}
    for sweep in FULL.pilots()["compared"]:
        config = sweep.config(FULL.protocol)
        stream = sweep.stream(FULL.protocol, [0])
        sizes[sweep.name] = MultiTaskModel(stream.problem, config.replace(replicas=1, replica_rates=())).parameter_count()
        rates = config.learning_rate * np.array(config.replica_rates)
        assert rates == pytest.approx([1e-4, 1e-3, 3e-3, 1e-2, 3e-2] * 3)
        assert (config.optimizer, config.weight_decay, config.dropout, config.gate_bias) == ("adam", 0.0, 0.0, False)
        assert (config.schedule, config.warmup) == ("constant", 0.0)
    assert sizes == {"shared_bottom": 13_255, "omoe": 14_018, "mmoe": 14_818}
    assert FULL.lengths == [30_000, 60_000, 120_000]
    assert (FULL.runs_of("compared"), FULL.runs_of("figure 3"), FULL.runs_of("many tasks")) == (200, 200, 22)
    assert QUICK.rows(QUICK.protocol) < FULL.rows(FULL.protocol) / 200
