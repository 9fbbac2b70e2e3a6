"""The sentences below the advice: harm, what removes it, and probabilities that sharing makes worse."""

from __future__ import annotations

from typing import Any

from documents import filled
from manygate.results.comparison import Transfer
from manygate.verdict.reasons import harm_words, probability_words


def flags(**found: Any) -> Transfer:
    return filled(Transfer, found)


def test_harm_is_named_with_its_cure() -> None:
    cure = [{"model": "mmoe", "of": "omoe", "task": "click"}, {"model": "mmoe", "of": "omoe", "task": "buy"}]
    harm = [{"model": "omoe", "task": "click"}, {"model": "omoe", "task": "buy"}]
    assert harm_words(flags(negative=harm, removed=cure), "mmoe") == [
        "Negative transfer: omoe hurts click and buy; mmoe removes this harm for click and buy.",
    ]
    assert harm_words(flags(negative=harm[:1]), "mmoe") == ["Negative transfer: omoe hurts click."]
    assert harm_words(flags(), "mmoe") == []


def test_worse_probabilities_are_named_unless_the_ranking_is_hurt_too() -> None:
    flag = {"model": "mmoe", "task": "click", "metric": "log_loss"}
    sentence = "mmoe makes the log loss of click worse{}. Calibrate it before you use its probabilities."
    assert probability_words(flags(probabilities=[{**flag, "ranking": "helps"}]), "mmoe") == [
        sentence.format(" though it ranks better")
    ]
    assert probability_words(flags(probabilities=[{**flag, "ranking": "cannot tell"}]), "mmoe") == [sentence.format("")]
    assert probability_words(flags(probabilities=[{**flag, "ranking": "hurts"}]), "mmoe") == []
    assert probability_words(flags(probabilities=[{**flag, "ranking": "helps"}]), "omoe") == []


def test_of_many_harmful_models_a_few_are_named() -> None:
    harm = [{"model": f"m{at}", "task": "click"} for at in range(6)]
    cures = [{"model": name, "of": "m0", "task": "click"} for name in ("a", "b", "mmoe", "c")]
    assert harm_words(flags(negative=harm, removed=cures), "mmoe") == [
        "Negative transfer: m0 hurts click; mmoe, a and 2 others remove this harm for click.",
        "Negative transfer: m1 hurts click.",
        "Negative transfer: 4 more models hurt a task: m2, m3 and 2 others.",
    ]
