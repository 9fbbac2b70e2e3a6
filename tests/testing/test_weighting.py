"""Every weighting passes the checks, each check finds its fault, and a weighting of one's own trains by its name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import manygate as mg
import manygate.testing
from manygate.config.names import WEIGHTINGS
from manygate.objective.weighting import Weighting, find_weighting
from manygate.objective.weighting.gramian import GramianWeighting
from manygate.testing import check_weighting

GUIDE = Path(__file__).parents[2] / "docs" / "questions" / "own-weighting.md"


class Own(Weighting):
    """Weights that follow the losses of the step before."""

    def __init__(self, setup):
        super().__init__(setup)
        self.state = {"before": torch.ones_like(setup.weight_MT)}

    def weigh(self, loss_MT, context):
        weight_MT = self.setup.weight_MT * self.state["before"]
        self.state["before"].copy_(loss_MT)
        return weight_MT


class Unfinished(Weighting):
    """Has no weigh."""


class Divides(Own):
    """Divides by losses that are 0 where a task has no rows."""

    def weigh(self, loss_MT, context):
        return self.setup.weight_MT / loss_MT


class Forgetful(Own):
    """Keeps beside ``state`` what a later step reads."""

    def __init__(self, setup):
        super().__init__(setup)
        self.state, self.kept = {}, {"before": torch.ones_like(setup.weight_MT)}

    def weigh(self, loss_MT, context):
        weight_MT = self.setup.weight_MT * self.kept["before"]
        self.kept["before"] = loss_MT
        return weight_MT


class Mixed(Own):
    """Takes a mean over the members."""

    def weigh(self, loss_MT, context):
        return self.setup.weight_MT * loss_MT.mean(dim=0)


class Equal(Own):
    """Ignores the fixed weights."""

    def weigh(self, loss_MT, context):
        return torch.ones_like(loss_MT)


class Chance(Own):
    """Draws from torch's own generator."""

    def weigh(self, loss_MT, context):
        return self.setup.weight_MT * torch.rand(1)


class Leaky(Own):
    """Gives weights with a gradient."""

    def objective(self, loss_MT, context):
        self.weight_MT = self.setup.weight_MT * loss_MT
        return self.weight_MT.sum(dim=1)


class Other(Own):
    """Says other weights than it uses."""

    def objective(self, loss_MT, context):
        return 2 * super().objective(loss_MT, context)


class Everywhere(GramianWeighting):
    """Weights the losses too, though it is to scale what is shared alone."""

    def solve(self, gramian_mTT, members, tasks, step):
        return 2 * np.ones(gramian_mTT.shape[:2])

    def objective(self, loss_MT, context):
        super().objective(loss_MT, context)
        return (self.weight_MT * loss_MT).sum(dim=1)


class Blind(Own):
    """Scales what is shared, and needs no gradients."""

    scales_shared_alone = True


class Flat(Own):
    """Keeps one number for all members."""

    def __init__(self, setup):
        super().__init__(setup)
        self.state["one"] = torch.zeros(())


class Thorough(Weighting):
    """Learns a factor, and resets the factors of all members at once."""

    def __init__(self, setup):
        super().__init__(setup)
        self.factor_MT = torch.zeros_like(setup.weight_MT).requires_grad_()
        self.parameters = {"weighting.factor": self.factor_MT}

    @torch.no_grad()
    def weigh(self, loss_MT, context):
        return self.setup.weight_MT * self.factor_MT.exp()

    def objective(self, loss_MT, context):
        self.weight_MT = self.weigh(loss_MT, context)
        return (self.setup.weight_MT * (self.factor_MT.exp() * loss_MT - self.factor_MT)).sum(dim=1)

    @torch.no_grad()
    def reset_members(self, members):
        self.factor_MT.zero_()


@pytest.mark.parametrize("weighting", [*map(find_weighting, WEIGHTINGS), Own], ids=lambda kind: kind.__name__)
def test_sound_weightings_pass_every_check(weighting) -> None:
    check_weighting(weighting)


@pytest.mark.parametrize(
    ("weighting", "problem"),
    [
        ("dwa", "give the class itself"),
        (int, "int is no subclass"),
        (Unfinished, "Unfinished does not define weigh"),
        (Divides, "NaN or infinit"),
        (Forgetful, "after restore the weights of step"),
        (Mixed, "other weights beside others than alone"),
        (Equal, "whose fixed weight is 0 moves the objective"),
        (Chance, "torch's global generator is used"),
        (Leaky, "weights have a gradient"),
        (Other, "which is not weight_MT"),
        (Everywhere, "which is not the fixed weights"),
        (Blind, "scales_shared_alone needs needs_gradients"),
        (Flat, "one has no axis for the members"),
        (Thorough, "reset_members changes weighting.factor of another member"),
    ],
)
def test_faults_are_found(weighting, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_weighting(weighting)


def test_public_names_stay() -> None:
    assert {"check_architecture", "check_weighting", "Case", "CHECKS"} <= set(vars(manygate.testing))


TINY = {"epochs": 1, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu", "task": ["click", "like"]}


def test_a_weighting_of_one_s_own_trains_by_its_class_and_by_its_name(log_table, tmp_path, monkeypatch) -> None:
    text = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert text is not None
    (tmp_path / "my_weighting.py").write_text(text[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    log = log_table(400)
    try:
        first = mg.Ranker(weighting="my_weighting:Steady", **TINY).fit(log, out="run", progress="none")
        check_weighting(find_weighting("my_weighting:Steady"))
    finally:
        sys.modules.pop("my_weighting", None)
    assert mg.Ranker.load("run").predict(log).equals(first.predict(log)), "to predict, nobody needs the weighting"
    found = mg.Ranker(weighting=Own, **TINY).fit(log, progress="none")
    assert found.config.weighting == f"{__name__}:Own"
    assert not found.predict(log).equals(first.predict(log))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_module:Mine", "module 'no_such_module' cannot be imported"),
        (f"{__name__}:TINY", "is no subclass of manygate.objective.weighting.Weighting"),
        (f"{__name__}:Unfinished", "Unfinished does not define weigh"),
        ("dwaa", "Did you mean 'dwa'"),
        ("a b:C", "is unknown"),
    ],
)
def test_names_that_lead_nowhere(log_table, name: str, problem: str) -> None:
    with pytest.raises(mg.InputError, match=re.escape(problem)):
        mg.Ranker(weighting=name, **TINY).fit(log_table(400), progress="none")
