"""The table of effect, price and gain as shipped, and where the page leaves it out."""

from __future__ import annotations

from typing import Any

from documents import comparison, html_summary, render
from manygate.report import words
from manygate.report.shipping import shipping
from manygate.text import interval, number
from page_outline import Outline
from sample_runs import compared, trained


def free(tree: dict[str, Any]) -> dict[str, Any]:
    """A comparison in which one checkpoint costs nothing."""
    for by_task in tree["price"].values():
        for entry in by_task.values():
            entry["price"] = 0.0
    return tree


def test_the_judged_model_comes_first_with_three_numbers_for_each_task() -> None:
    tree = compared()
    table = shipping(comparison(tree))
    assert table is not None
    first: Any = table["first"]
    assert [(row["name"], row["task"]) for row in first] == [("mmoe", task) for task in tree["verdicts"]["mmoe"]]
    watch = first[2]
    effect = tree["transfer"]["gains"]["mmoe"]["watch_time"]["r2"]
    price, shipped = tree["price"]["mmoe"]["watch_time"], tree["as_shipped"]["mmoe"]["watch_time"]
    assert price["price"] > 0
    for cell, value, entry in (
        (watch["effect"], effect["gain"], effect),
        (watch["price"], price["price"], price),
        (watch["shipped"], shipped["gain"], shipped),
    ):
        assert (cell["gain"], cell["joint"]) == (number(value, signed=True), interval(entry["joint95"]))
    assert (watch["effect"]["class"], watch["price"]["class"]) == ("helps", "unsure"), "a price is neither help nor harm"
    rest: Any = table["rest"]
    assert {row["name"] for row in rest} == {"shared_bottom", "omoe"}


def test_the_page_says_as_shipped_where_there_is_a_price_and_nowhere_else() -> None:
    tree = compared()
    text = Outline(render(tree)).text
    shown = f"as shipped {number(tree['as_shipped']['mmoe']['watch_time']['gain'], signed=True)}"
    assert shown in text
    assert text.count("as shipped +") == 3, "one task of three models"
    assert "The price of one checkpoint" in text
    assert shown in Outline(html_summary(tree)).text
    for other in (free(compared()), trained()):
        text = Outline(render(other)).text
        assert "as shipped +" not in text
        assert "The price of one checkpoint" not in text
    assert shipping(comparison(trained())) is None


def test_words_know_where_one_checkpoint_costs_something() -> None:
    document = comparison(compared())
    assert words.priced(document)
    assert not words.priced(comparison(free(compared())))
    assert words.as_shipped(document, "mmoe", "click") is None, "its price is zero"
    assert words.as_shipped(document, "mmoe", "watch_time") == document.as_shipped["mmoe"]["watch_time"]  # type: ignore[index]
    assert words.as_shipped(comparison(trained()), "mmoe", "click") is None
