"""What the test rows say about one model: as shipped, with a checkpoint for each task, and which tasks the price hurts."""

from __future__ import annotations

from gain_entries import entry, judged, price_entry, task_gain
from manygate.verdict.judged import Judged


def test_effect_and_gain_as_shipped_are_told_apart() -> None:
    model = judged(click=(0.02, 0.0), buy=(0.02, 0.02), like=(0.0, 0.03), watch=(-0.03, 0.03))
    assert model.as_shipped.helped == ("click",)
    assert model.as_shipped.hurt == ("like", "watch")
    assert model.per_task.helped == ("click", "buy")
    assert model.per_task.hurt == ("watch",)
    assert model.priced == ["buy", "like", "watch"]
    assert model.helped_but_for_the_price == ["buy"]
    assert model.hurt_by_the_price_alone == ["like"]


def test_the_harm_is_shown_by_the_gain_that_proves_it() -> None:
    model = judged(click=(-0.03, 0.01), buy=(-0.03, -0.03))
    assert model.harm("click").gain == model.shipped["click"].gain
    assert model.harm("buy").gain == -0.03, "as shipped it is undecided, so the effect proves the harm"


def test_a_price_without_an_interval_is_not_beyond_doubt() -> None:
    model = Judged("mmoe", {"click": entry(0.1)}, {"click": task_gain(0.1)}, {"click": price_entry(None)})
    assert model.priced == []
