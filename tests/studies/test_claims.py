"""Verdicts follow from the numbers: made-up losses of known means and spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manygate.studies.claims import Outcome, as_json, claims, difference, resampled, spread_ratio, within
from manygate.studies.sweep import Sweep

P, RATES, RUNS = (0.5, 0.9, 1.0), (1e-3, 1e-2), 60
# As the paper tells it: mean and standard deviation by correlation.
PAPER = {
    "shared_bottom": {0.5: (0.44, 0.13), 0.9: (0.36, 0.10), 1.0: (0.30, 0.08)},
    "omoe": {0.5: (0.30, 0.06), 0.9: (0.24, 0.03), 1.0: (0.20, 0.02)},
    "mmoe": {0.5: (0.23, 0.02), 0.9: (0.22, 0.02), 1.0: (0.20, 0.02)},
}


def outcome(name: str, told: dict[float, tuple[float, float]], rates: tuple[float, ...] = RATES, seed: int = 0) -> Outcome:
    """Losses with exactly these means and standard deviations, at every rate; the first rate has the worse validation loss."""
    random = np.random.default_rng([seed, *name.encode()])
    loss_PLR = np.empty((len(told), len(rates), RUNS))
    for p, (mean, sd) in enumerate(told.values()):
        for place in range(len(rates)):
            draw = random.gamma(6.0, size=RUNS)
            loss_PLR[p, place] = mean + sd * (draw - draw.mean()) / draw.std(ddof=1)
    sweep = Sweep(name, name, {"architecture": name}, tuple(told), rates, RUNS)
    worse_L = np.linspace(1.0, 0.0, len(rates)).reshape(1, -1, 1)
    nothing = np.zeros(loss_PLR.shape)
    return Outcome(sweep, 1, 1, [1], loss_PLR, loss_PLR + worse_L, nothing > 0, nothing, nothing[None])


def found(told: dict[str, Any], third: dict[float, tuple[float, float]] | None = None) -> dict[str, str]:
    figure_3 = outcome("figure-3", third or {0.0: (0.9, 0.1), 0.5: (0.8, 0.1), 1.0: (0.5, 0.1)}, rates=(1e-3,))
    outcomes = {name: outcome(name, values) for name, values in told.items()}
    return {claim.key: claim.verdict for claim in claims(outcomes, figure_3)}


def test_everything_is_reproduced_where_runs_are_as_the_paper_tells():
    assert set(found(PAPER).values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("change", "falls"),
    [
        ({"shared_bottom": {0.5: (0.20, 0.10), 0.9: (0.36, 0.10), 1.0: (0.32, 0.10)}}, {"higher-is-better", "mixtures-win"}),
        ({"mmoe": {0.5: (0.38, 0.02), 0.9: (0.22, 0.02), 1.0: (0.20, 0.02)}}, {"smaller-gap", "gates-matter"}),
        ({"mmoe": {0.5: (0.27, 0.02), 0.9: (0.27, 0.02), 1.0: (0.26, 0.02)}}, {"identical-tasks"}),
        ({"omoe": {0.5: (0.30, 0.06), 0.9: (0.46, 0.03), 1.0: (0.20, 0.02)}}, {"mixtures-win"}),
        ({"omoe": {0.5: (0.30, 0.02), 0.9: (0.24, 0.03), 1.0: (0.20, 0.06)}}, {"omoe-less-robust", "similar-at-one"}),
        ({"shared_bottom": {0.5: (0.40, 0.01), 0.9: (0.36, 0.01), 1.0: (0.32, 0.01)}}, {"wider-spread", "comparable-minima"}),
    ],
)
def test_each_claim_falls_with_the_numbers_that_speak_against_it(change, falls):
    verdicts = found({**PAPER, **change})
    assert {key for key, verdict in verdicts.items() if verdict == "not reproduced"} >= falls


def test_figure_3_needs_every_step_in_order():
    assert found(PAPER, {0.0: (0.7, 0.05), 0.5: (0.8, 0.05), 1.0: (0.5, 0.05)})["shared-bottom-falls"] == "not reproduced"


def test_a_claim_that_holds_at_one_rate_says_so_and_where():
    outcomes = {name: outcome(name, values) for name, values in PAPER.items()}
    for one in outcomes.values():
        one.test_PLR[:, 0] = outcome("same", PAPER["omoe"]).test_PLR[:, 0]  # at 0.001 all models are alike
    (claim,) = [c for c in claims(outcomes, outcome("figure-3", PAPER["omoe"], (1e-3,))) if c.key == "mixtures-win"]
    assert claim.verdict == "reproduced, but depends on the learning rate"
    assert claim.where == "holds at chosen rates, 0.01; undecided at 0.001"
    for one in outcomes.values():
        one.validation_PLR[:, 0] = -1.0  # now validation chooses 0.001
    (claim,) = [c for c in claims(outcomes, outcome("figure-3", PAPER["omoe"], (1e-3,))) if c.key == "mixtures-win"]
    assert claim.verdict == "depends on the learning rate"


def test_a_run_that_diverged_is_left_out_and_its_rate_is_not_chosen():
    one = outcome("mmoe", PAPER["mmoe"])
    assert [one.chosen_rate(p) for p in range(3)] == [1, 1, 1]
    one.diverged_PLR[0, 1, 5] = True
    assert [one.chosen_rate(p) for p in range(3)] == [0, 1, 1]
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    assert difference("", values, np.ones(5)).estimate == pytest.approx(2.0)


def test_statistics_by_hand():
    a, b = np.array([3.0, 5.0, 4.0]), np.array([1.0, 2.0, 3.0])
    paired = difference("a - b", a, b)  # 2, 3, 1: mean 2, sd 1, t 4.303
    assert (paired.estimate, paired.low, paired.high) == pytest.approx((2.0, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    assert paired.holds is None
    assert difference("", b - 10, a).holds is False
    random = np.random.default_rng(0)
    wide, narrow = random.normal(0, 3.0, 200), random.normal(0, 1.0, 200)
    ratio = spread_ratio("", wide, narrow)
    assert ratio.estimate == pytest.approx(wide.std(ddof=1) / narrow.std(ddof=1))
    assert 2.3 < ratio.low < ratio.estimate < ratio.high < 3.9
    assert ratio.holds is True
    assert spread_ratio("", narrow, wide).holds is False
    assert resampled(lambda s: s[0].mean(axis=1), [np.array([1.0, np.nan])])[0] != 1.0
    assert [within("", (1.0, low, high), 0.9, 1.1).holds for low, high in ((0.95, 1.05), (0.5, 1.0), (1.2, 1.3))] == [
        True,
        None,
        False,
    ]


def test_the_json_of_a_claim_has_its_words_and_its_numbers():
    outcomes = {name: outcome(name, values) for name, values in PAPER.items()}
    trees = [as_json(claim) for claim in claims(outcomes, outcome("figure-3", PAPER["omoe"], (1e-3,)))]
    assert len({tree["key"] for tree in trees}) == 10
    for tree in trees:
        assert tree["claim"]
        assert tree["test"]
        assert all(finding["text"] for one in tree["evidence"] for finding in one["findings"])
