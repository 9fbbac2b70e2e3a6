"""What is kept of a method: metrics of its logits, influences for paired gains, and what a method without seeds is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up_census import outcome
from manygate import metrics
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.studies.census.data import CensusData
from manygate.studies.census.outcome import GROUPS, Outcome, judge, kept, summed
from manygate.studies.census.plan import Job


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from made_up_census import PLAN, write_census

    return CensusData(write_census(tmp_path / "source", monkeypatch), PLAN).log(Job("mmoe", ("income", "never_married")))


def test_logits_are_judged_row_by_row(log: Any) -> None:
    random = np.random.default_rng(0)
    problem = Problem.of(log.encoder, RunConfig())
    logit_RNT = {part: random.normal(size=(3, len(log.parts[part]), 2)).astype(np.float32) for part in ("valid", "test")}
    tasks, influence_G = judge(log, problem, logit_RNT)
    for t, name in enumerate(("income", "never_married")):
        label_N = log.parts["test"].label_BT[:, t]
        expected = [metrics.auc(label_N, logit_N) for logit_N in logit_RNT["test"][..., t]]
        assert tasks[name].test.values == pytest.approx(expected)
        assert tasks[name].valid.values == pytest.approx(
            [metrics.auc(log.parts["valid"].label_BT[:, t], logit_N) for logit_N in logit_RNT["valid"][..., t]]
        )
        output_N = (1 / (1 + np.exp(-logit_RNT["test"][..., t].astype(float)))).mean(axis=0)
        assert tasks[name].ensemble == pytest.approx(metrics.auc(label_N, output_N))
        assert tasks[name].positives == label_N.sum()
        assert tasks[name].se_test == pytest.approx(metrics.standard_error(influence_G[name]))


def test_influences_are_summed_in_groups_of_equal_size() -> None:
    """The luck of the rows hardly changes, and two methods keep what they have in common, row by row."""
    ones_G = summed(np.ones(50_001))
    assert len(ones_G) == GROUPS
    assert sorted({*ones_G}) == [25.0, 26.0]
    random = np.random.default_rng(0)
    one_N = random.normal(size=49_881)
    other_N = 0.8 * one_N + 0.6 * random.normal(size=len(one_N))
    for value_N in (one_N, one_N - other_N):
        assert metrics.standard_error(summed(value_N)) == pytest.approx(metrics.standard_error(value_N), rel=0.06)
    assert np.corrcoef(summed(one_N), summed(other_N))[0, 1] == pytest.approx(0.8, abs=0.06)


def test_an_outcome_is_kept_and_its_work_is_not_done_again(tmp_path: Path) -> None:
    made, calls = outcome("mmoe", {"income": 0.9}), list[int]()

    def work() -> Outcome:
        calls.append(1)
        return made

    first, again = (kept(tmp_path / "a", "mmoe", settings, work) for settings in ({"experts": 8}, {"experts": 8, "added": 1}))
    assert len(calls) == 1
    assert first.model == again.model
    np.testing.assert_array_equal(first.influence_G["income"], again.influence_G["income"])
    with pytest.raises(InputError, match="it belongs to mmoe, and now it is ple"):
        kept(tmp_path / "a", "ple", {"experts": 8}, work)
    with pytest.raises(InputError, match="other default settings: experts 8"):
        kept(tmp_path / "a", "mmoe", {"experts": 4}, work)


def test_a_method_without_seeds_counts_the_same_in_every_run() -> None:
    assert len(outcome("mmoe", {"income": 0.9}, runs=5).measured("income", 5).value_R) == 5
    single = outcome("logistic", {"income": 0.9}, runs=5).measured("income", 5).value_R
    assert single.tolist() == [single[0]] * 5
