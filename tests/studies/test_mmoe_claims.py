"""The verdicts of the MMoE paper's claims follow from the numbers: made-up losses of known means and spreads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from manygate.studies.claims import claim_record, larger
from manygate.studies.mmoe_claims import STATEMENTS, claims
from manygate.studies.sweep import Outcome, Sweep

P, RATES, RUNS = (0.5, 0.9, 1.0), (1e-3, 1e-2), 200
# As the paper has it: mean and standard deviation by correlation.
PAPER = {
    "shared_bottom": {0.5: (0.38, 0.11), 0.9: (0.33, 0.09), 1.0: (0.28, 0.07)},
    "omoe": {0.5: (0.29, 0.04), 0.9: (0.24, 0.03), 1.0: (0.20, 0.02)},
    "mmoe": {0.5: (0.204, 0.02), 0.9: (0.2, 0.02), 1.0: (0.195, 0.02)},
}
THREE_AT_FIRST = np.array([3.0, 1.0]).reshape(1, -1, 1, 1)
FIGURE_3 = {0.0: (0.9, 0.1), 0.5: (0.8, 0.1), 1.0: (0.5, 0.1)}


def outcome(name: str, told: dict[float, tuple[float, float]], rates: tuple[float, ...] = RATES) -> Outcome:
    """Losses with exactly these means and standard deviations, at every rate; the first rate has the worse validation loss.

    Runs of one seed go together, as they do where they share their data.
    """
    random = np.random.default_rng([*name.encode()])
    common = np.random.default_rng(1).gamma(8.0, size=RUNS)
    loss_PLRT = np.empty((len(told), len(rates), RUNS, 2))
    for p, (mean, sd) in enumerate(told.values()):
        for place, task in np.ndindex(len(rates), 2):
            draw = common + 0.6 * random.gamma(8.0, size=RUNS)
            loss_PLRT[p, place, :, task] = mean + sd * (draw - draw.mean()) / draw.std(ddof=1)
    sweep = Sweep(name, name, {"architecture": name}, tuple(told), rates, RUNS)
    loss_PLR = loss_PLRT.mean(axis=-1)
    worse_L = np.linspace(1.0, 0.0, len(rates)).reshape(1, -1, 1)
    nothing = np.zeros(loss_PLR.shape)
    rested = np.ones((6, *loss_PLR.shape))
    return Outcome(sweep, 1, 1, [1], loss_PLRT, loss_PLR + worse_L, nothing > 0, nothing, rested, 0.0, {})


def outcomes(told: dict[str, Any]) -> dict[str, Outcome]:
    return {name: outcome(name, values) for name, values in told.items()}


def found(told: dict[str, Any], third: dict[float, tuple[float, float]] | None = None) -> dict[str, str]:
    return {claim.key: claim.verdict for claim in claims(outcomes(told), outcome("figure-3", third or FIGURE_3, (1e-3,)))}


def test_everything_is_reproduced_where_runs_are_as_the_paper_tells():
    assert {key: verdict for key, verdict in found(PAPER).items() if verdict != "reproduced"} == {}


@pytest.mark.parametrize(
    ("change", "falls"),
    [
        ({"shared_bottom": {0.5: (0.20, 0.10), 0.9: (0.36, 0.10), 1.0: (0.32, 0.10)}}, {"higher-is-better", "mixtures-win"}),
        ({"shared_bottom": {0.5: (0.2, 0.12), 0.9: (0.3, 0.12), 1.0: (0.4, 0.12)}}, {"trend-general", "smaller-gap"}),
        ({"shared_bottom": {0.5: (0.40, 0.03), 0.9: (0.40, 0.03), 1.0: (0.40, 0.03)}}, {"smaller-gap", "wider-spread"}),
        ({"mmoe": {0.5: (0.38, 0.02), 0.9: (0.22, 0.02), 1.0: (0.20, 0.02)}}, {"smaller-gap", "gates-matter"}),
        ({"mmoe": {0.5: (0.20, 0.02), 0.9: (0.35, 0.02), 1.0: (0.19, 0.02)}}, {"higher-is-better"}),
        ({"mmoe": {0.5: (0.27, 0.02), 0.9: (0.27, 0.02), 1.0: (0.26, 0.02)}}, {"identical-tasks"}),
        ({"omoe": {0.5: (0.205, 0.04), 0.9: (0.20, 0.03), 1.0: (0.20, 0.02)}}, {"gates-matter"}),
        ({"omoe": {0.5: (0.30, 0.06), 0.9: (0.46, 0.03), 1.0: (0.20, 0.02)}}, {"mixtures-win"}),
        ({"omoe": {0.5: (0.30, 0.02), 0.9: (0.24, 0.03), 1.0: (0.20, 0.06)}}, {"omoe-less-robust", "similar-at-one"}),
        ({"shared_bottom": {0.5: (0.40, 0.01), 0.9: (0.36, 0.01), 1.0: (0.32, 0.01)}}, {"wider-spread", "comparable-minima"}),
    ],
)
def test_each_claim_falls_with_the_numbers_that_speak_against_it(change, falls):
    verdicts = found({**PAPER, **change})
    assert {key for key, verdict in verdicts.items() if verdict == "not reproduced"} >= falls


def test_figure_3_is_about_the_trend_not_every_step():
    assert found(PAPER, {0.0: (0.8, 0.05), 0.5: (0.82, 0.05), 1.0: (0.5, 0.05)})["shared-bottom-falls"] == "reproduced"
    assert found(PAPER, {0.0: (0.5, 0.05), 0.5: (0.6, 0.05), 1.0: (0.7, 0.05)})["shared-bottom-falls"] == "not reproduced"
    assert found(PAPER, {0.0: (0.6, 0.3), 0.5: (0.6, 0.3), 1.0: (0.6, 0.3)})["shared-bottom-falls"] == "cannot tell"


def test_tasks_that_are_not_symmetric_are_seen():
    told = outcomes(PAPER)
    told["omoe"].test_PLRT[..., 1] *= 1.3
    verdicts = {claim.key: claim.verdict for claim in claims(told, outcome("figure-3", FIGURE_3, (1e-3,)))}
    assert verdicts["symmetric"] == "not reproduced"


def mixtures_win(told: dict[str, Outcome]) -> Any:
    (claim,) = [c for c in claims(told, outcome("figure-3", FIGURE_3, (1e-3,))) if c.key == "mixtures-win"]
    return claim


def test_the_verdict_is_that_of_the_chosen_rates_and_says_where_it_turns():
    told = outcomes(PAPER)
    assert mixtures_win(told).where == "holds at the chosen rates, 0.01 and 0.001"
    told["shared_bottom"].test_PLRT[:, 0] = 0.5 * told["mmoe"].test_PLRT[:, 0]  # at 0.001 it is far better
    turned = mixtures_win(told)
    assert turned.verdict == "depends on the learning rate"
    assert turned.where == "holds at the chosen rates, 0.01; does not hold at 0.001"
    far = mixtures_win({**told, "mmoe": dataclasses.replace(told["mmoe"], test_PLRT=told["mmoe"].test_PLRT * THREE_AT_FIRST)})
    assert far.where == "holds at the chosen rates, 0.01; does not hold at 0.001 (unfinished)"
    told["omoe"].curve_EPLR[:, 1, 0] = np.linspace(2.0, 1.0, 6)[:, None]  # still falling there: it decides nothing
    learning = mixtures_win(told)
    assert learning.verdict == "reproduced"
    assert learning.where == "holds at the chosen rates, 0.01; does not hold at 0.001 (unfinished)"
    for one in told.values():
        one.validation_PLR[:, 0] = -1.0  # now validation chooses 0.001
    assert mixtures_win(told).where == "holds at 0.01 (unfinished); does not hold at the chosen rates, 0.001 (unfinished)"


def test_undecided_elsewhere_changes_no_verdict():
    told = outcomes(PAPER)
    told["shared_bottom"].test_PLRT[:, 0] = outcome("same", PAPER["omoe"]).test_PLRT[:, 0]
    assert mixtures_win(told).verdict == "reproduced"


def test_runs_that_diverged_are_left_out_and_the_rate_with_the_fewest_is_chosen():
    one = outcome("mmoe", PAPER["mmoe"])
    assert [one.chosen_rate(p) for p in range(3)] == [1, 1, 1]
    one.diverged_PLR[0, 1, 5] = True
    one.validation_PLR[0, 1, 5] = np.nan
    assert [one.chosen_rate(p) for p in range(3)] == [0, 1, 1]
    assert np.isnan(one.losses(0, 1)).nonzero()[0].tolist() == [5]
    one.diverged_PLR[0, 0, :2] = True
    assert one.chosen_rate(0) == 1, "two lost there, one here"
    one.diverged_PLR[0] = True
    assert one.chosen_rate(0) in (0, 1)
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    assert larger("", values, np.ones(5)).value == pytest.approx(2.0)


def test_a_model_without_a_run_that_ended_decides_nothing():
    told = outcomes(PAPER)
    told["omoe"].diverged_PLR[:] = True
    verdicts = {claim.key: claim.verdict for claim in claims(told, outcome("figure-3", FIGURE_3, (1e-3,)))}
    assert verdicts["comparable-minima"] == "cannot tell"
    assert verdicts["shared-bottom-falls"] == "reproduced"


def test_the_json_of_a_claim_has_its_words_and_its_numbers():
    trees = [claim_record(claim).to_tree() for claim in claims(outcomes(PAPER), outcome("figure-3", FIGURE_3, (1e-3,)))]
    assert len({tree["key"] for tree in trees}) == 12
    for tree in trees:
        assert tree["claim"]
        assert tree["test"]
        assert all(finding["text"] for one in tree["evidence"] for finding in one["findings"])


def test_the_claims_are_in_our_words_and_have_a_test_with_the_study_s_correlations():
    tree = {tree.key: tree for tree in (claim_record(claim) for claim in claims(outcomes(PAPER), outcome("f", FIGURE_3, (1e-3,))))}
    assert [*tree] == ["shared-bottom-falls", *(statement.key for statement in STATEMENTS)]
    assert tree["smaller-gap"].test == "Gap: loss at 0.5 minus that at 1. 0.5 times the other model's gap minus MMoE's: above 0."
    assert tree["comparable-minima"].test.endswith("at each correlation: at most 1.5.")
    assert tree["higher-is-better"].evidence[0].findings[0].text == "shared_bottom: 0.5 − 0.9"
