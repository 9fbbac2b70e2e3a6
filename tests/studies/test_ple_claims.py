"""The verdicts of the PLE paper's claims follow from the numbers: made-up losses of known means and spreads."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.studies.claims import Claim
from manygate.studies.ple_claims import MORE, claims
from study_outcomes import trained

LOW, HIGH = 0.1, 1.0
SINGLE = {"single_task": {LOW: (1.0, 0.05), HIGH: (1.0, 0.05)}}
# Gains of 0.2 for MMoE and 1.87 times as much for PLE; hard sharing gains half as much as MMoE.
PAPER = SINGLE | {
    "shared_bottom": {LOW: (0.9, 0.05), HIGH: (0.9, 0.05)},
    "mmoe": {LOW: (0.8, 0.05), HIGH: (0.8, 0.05)},
    "ple": {LOW: (1 - 0.2 * MORE, 0.05), HIGH: (1 - 0.2 * MORE, 0.05)},
}


def found(told: dict[str, dict[float, tuple[float, float]]]) -> dict[str, Claim]:
    return {claim.key: claim for claim in claims({name: trained(name, values) for name, values in told.items()})}


def test_gains_as_in_the_paper_are_reproduced():
    tested = found(PAPER)
    assert tested["most-gain"].verdict == tested["more-gain"].verdict == "reproduced"
    findings = {finding.text: finding.value for finding in tested["more-gain"].evidence[0].findings}
    assert findings["mmoe's gain"] == pytest.approx(0.2)
    assert findings["ple's gain − 1.4 × mmoe's"] == pytest.approx(0.374 - 0.75 * MORE * 0.2)
    assert findings["2.34 × mmoe's gain − ple's"] == pytest.approx(1.25 * MORE * 0.2 - 0.374)
    differences = [finding.value for finding in tested["most-gain"].evidence[0].findings]
    assert differences == pytest.approx([0.174, 0.274] * 2), "MMoE's loss minus PLE's, then hard sharing's, at each correlation"


@pytest.mark.parametrize(
    ("change", "falls"),
    [
        ({"ple": {LOW: (0.626, 0.05), HIGH: (0.85, 0.05)}}, "most-gain"),
        ({"shared_bottom": {LOW: (0.5, 0.05), HIGH: (0.9, 0.05)}}, "most-gain"),
        ({"ple": {LOW: (0.75, 0.05), HIGH: (0.75, 0.05)}}, "more-gain"),
        ({"ple": {LOW: (0.3, 0.05), HIGH: (0.3, 0.05)}}, "more-gain"),
        ({"mmoe": {LOW: (1.1, 0.05), HIGH: (1.1, 0.05)}}, "more-gain"),
    ],
)
def test_a_claim_falls_with_the_numbers_that_speak_against_it(change, falls):
    assert found({**PAPER, **change})[falls].verdict == "not reproduced"


def test_a_seesaw_is_one_task_that_gains_while_the_other_loses():
    models = {name: trained(name, values) for name, values in PAPER.items()}
    sign_R = np.where(np.arange(200) % 2, 1.0, -1.0)
    for name in ("mmoe", "shared_bottom"):
        single_RT = models["single_task"].long.at(LOW).test_RT
        for runs in (models[name].long.at(LOW), *(models[name].pilots.at(LOW, rate) for rate in (1e-3, 1e-2))):
            runs.test_RT[:] = single_RT + 0.1 * np.stack([sign_R, -sign_R], axis=1)
    (claim,) = [claim for claim in claims(models) if claim.key == "seesaw"]
    assert claim.verdict == "reproduced"
    assert [finding.value for finding in claim.evidence[0].findings] == [1.0, 1.0]
    assert found(PAPER)["seesaw"].verdict == "not reproduced", "both tasks gain in nearly every run"


def test_tasks_that_gain_or_lose_by_chance_are_no_seesaw():
    models = {name: trained(name, values) for name, values in PAPER.items()}
    random = np.random.default_rng(0)
    for name in ("mmoe", "shared_bottom"):
        models[name].long.at(LOW).test_RT[:] = models["single_task"].long.at(LOW).test_RT + random.normal(0, 0.1, (200, 2))
    (claim,) = [claim for claim in claims(models) if claim.key == "seesaw"]
    assert claim.verdict == "cannot tell"
