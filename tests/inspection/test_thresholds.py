"""Every threshold of an inspection at both sides of it: just below nothing is raised, just above it is, or the reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from documents import filled
from manygate.inspection import thresholds
from manygate.inspection.chance import verdict
from manygate.inspection.gates import one_gate, unused_experts
from manygate.inspection.rules import raise_alarms
from manygate.inspection.units import dead_towers, unit_report
from manygate.results.inspection import Inspection


def raised(**parts: Any) -> dict[str, str]:
    """The alarms of a document with some parts, each with its severity."""
    return {alarm.kind: alarm.severity for alarm in raise_alarms(filled(Inspection, {"rows": 1000, "gate": "softmax", **parts}))}


def gate(mean: list[float], polarised: float = 0.0, alone: bool = False) -> dict[str, Any]:
    """A level whose first task has this gate; the second sees no expert of the first where that is ``alone``."""
    other = {"task": "b", "mean": [0.5] * len(mean), "sees": [1] if alone else [0, 1], "polarised": 0.0, "entropy_share": 0.5}
    use = {"task": "a", "mean": mean, "sees": [0, 1], "polarised": polarised, "entropy_share": 0.5}
    return {"replica": 0, "level": "experts", "tasks": [use, other], "unused": [], "unused_share": 0.0, "distances": []}


def mixtures(of_means: float, by_row: float) -> bool:
    pair = {"tasks": ["a", "b"], "of_means": of_means, "by_row": by_row}
    return "same_mixture" in raised(gates=[gate([0.5, 0.5]) | {"distances": [pair]}])


def network(dead: float, zeros: float) -> dict[str, str]:
    one = {"name": "expert 1", "units": 100, "dead": dead, "zeros": zeros, "mostly_zero": dead}
    layer = {"replica": 0, "part": "experts", "layer": 1, "networks": [one]}
    return raised(dead={"layers": [layer], "towers": []})


def alike(cka: float, cosine: float) -> bool:
    square = lambda value: [[1.0, value], [value, 1.0]]  # noqa: E731
    return "identical_experts" in raised(experts=[{"replica": 0, "level": "experts", "cka": square(cka), "cosine": square(cosine)}])


def pull(mean: float, below_zero: float) -> bool:
    return "conflict" in raised(conflict=[{"tasks": ["a", "b"], "layer": "experts", "mean": mean, "below_zero": below_zero}])


def table(plain: float, by_use: float, possible: int = 3) -> bool:
    ranks = {"plain": {"rank": 1.0, "share": plain}, "by_use": {"rank": 1.0, "share": by_use}}
    entry = {"replica": 0, "feature": "user", "of": "shared", "dim": 8, "possible": possible, **ranks}
    return "collapsed_embedding" in raised(embeddings=[entry])


def unused(share: float) -> bool:
    entry = gate([0.5, 0.5]) | {"unused": [1], "unused_share": share}
    return raised(gates=[entry])["unused_expert"] == "serious"


def lonely(mean: float) -> bool:
    """A step for a, of standard error .01, on b."""
    return "helps_no_task" in raised(affinity=[{"of": "a", "on": "b", "mean": mean, "se": 0.01}])


def perfect(auc: float) -> str:
    """The severity of the alarm that a task is predicted too well; nothing where there is no alarm."""
    return raised(noise=[{"task": "a", "metric": "auc", "value": auc, "rows": 1000}]).get("perfect_task", "")


def few(rows: int) -> bool:
    return "few_rows" in {alarm.kind for alarm in raise_alarms(filled(Inspection, {"rows": rows}))}


def idle(weight: float, experts: int = 2) -> bool:
    return unused_experts(np.array([[weight, *[0.5] * (experts - 1)]]), [range(experts)]) == [0]


def constant(spread: float) -> bool:
    """A logit from 1 to 1 + spread: its size counts as 1 + 1."""
    return bool(dead_towers(np.array([[1.0], [1.0 + spread]]), [], ["a"]))


def polarised(weight: float) -> bool:
    return one_gate(np.array([[weight, 1 - weight]]), (0, 1)).polarised == 1.0


def collapsed(weight: float, alone: bool = False) -> dict[str, str]:
    return raised(gates=[gate([weight, 1 - weight], alone=alone)])


SIDES: dict[str, tuple[Callable[[float], bool], float, float]] = {
    "few rows: below 100": (lambda rows: few(int(rows)), 100, 99),
    "a polarised row: above .95": (polarised, 0.949, 0.951),
    "a polarised gate: above half of the rows": (lambda x: "polarised_gate" in raised(gates=[gate([0.6, 0.4], x)]), 0.5, 0.51),
    "a polarised gate of a mean weight up to .9": (lambda x: "polarised_gate" in raised(gates=[gate([x, 1 - x], 1.0)]), 0.91, 0.89),
    "a collapsed gate: above .9": (lambda x: "collapsed_gate" in collapsed(x), 0.89, 0.91),
    "on an expert of its own: above .9": (lambda x: "own_expert_only" in collapsed(x, True), 0.89, 0.91),
    "an unused expert: below .01": (idle, 0.0101, 0.0099),
    "an unused expert among 20: below a tenth of 1/20": (lambda x: idle(x, 20), 0.0051, 0.0049),
    "unused experts are serious from half on": (unused, 0.49, 0.5),
    "dead units: .8 or more": (lambda x: "dead_units" in network(x, 0.5), 0.79, 0.8),
    "outputs at zero: above .9": (lambda x: "dead_units" in network(0.5, x), 0.9, 0.91),
    "dead units are serious above .9": (lambda x: network(x, 0.5).get("dead_units") == "serious", 0.9, 0.91),
    "a unit that is mostly zero: above .9": (lambda x: unit_report(np.array([[x]]), ["e"])[0].mostly_zero == 1, 0.9, 0.91),
    "a constant logit: a range of 1e-6 of its size": (constant, 2.1e-6, 1.9e-6),
    "identical experts: CKA above .99": (lambda x: alike(x, 1.0), 0.989, 0.991),
    "identical experts: cosine above .99": (lambda x: alike(1.0, x), 0.989, 0.991),
    "the same mixture: means below .03": (lambda x: mixtures(x, 0.001), 0.031, 0.029),
    "the same mixture: rows below .03": (lambda x: mixtures(0.001, x), 0.031, 0.029),
    "better than chance: by more than two standard errors": (lambda x: verdict(x, 0.01, 0.5) == "better", 0.5199, 0.5201),
    "telling: two standard errors of no more than .1": (lambda se: verdict(0.5, se, 0.5) == "noise", 0.0501, 0.0499),
    "helps no task: two standard errors below zero": (lonely, -0.0199, -0.0201),
    "a high AUC: above .99": (lambda x: perfect(x) == "note", 0.9899, 0.9901),
    "a perfect AUC: above .999": (lambda x: perfect(x) == "serious", 0.9989, 0.9991),
    "a conflict: a cosine below -.3": (lambda x: pull(x, 1.0), -0.29, -0.31),
    "a conflict: negative in nine batches of ten": (lambda x: pull(-0.5, x), 0.89, 0.9),
    "a collapsed table: plain rank below a third": (lambda x: table(x, 0.1), 0.34, 0.33),
    "a collapsed table: rank by use below a third": (lambda x: table(0.1, x), 0.34, 0.33),
    "a table of three dimensions or more": (lambda x: table(0.1, 0.1, int(x)), 2, 3),
}


@pytest.mark.parametrize("name", SIDES)
def test_a_threshold_lies_where_it_is_said_to(name: str) -> None:
    is_raised, quiet, loud = SIDES[name]
    assert not is_raised(quiet)
    assert is_raised(loud)


def test_the_thresholds_are_those_of_the_docstrings() -> None:
    """A threshold that nobody tests at both sides is one that may be moved; so a new one needs a line above."""
    found = {name: value for name, value in vars(thresholds).items() if name.isupper()}
    assert found == {
        "FEWEST_ROWS": 100,
        "POLARISED_WEIGHT": 0.95,
        "POLARISED_ROWS": 0.5,
        "COLLAPSED_WEIGHT": 0.9,
        "UNUSED_WEIGHT": 0.01,
        "MOSTLY_ZERO": 0.9,
        "DEAD_UNITS": 0.8,
        "CONSTANT_LOGIT": 1e-6,
        "IDENTICAL": 0.99,
        "SAME_MIXTURE": 0.03,
        "CHANCE_ERRORS": 2.0,
        "TELLING_ERROR": 0.1,
        "CONFLICT": -0.3,
        "CONFLICT_BATCHES": 0.9,
        "COLLAPSED_RANK": 1 / 3,
        "FEWEST_DIMENSIONS": 3,
        "HIGH_AUC": 0.99,
        "PERFECT_AUC": 0.999,
    }
