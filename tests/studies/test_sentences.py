"""A study in five sentences, from verdicts written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from documents import filled
from manygate.results.study import Claim, StudyResults
from manygate.studies.sentences import at_edges, five_sentences, headline, still_falling, verdict_words


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (["reproduced"] * 3, "Of 3 claims of the paper, 3 are reproduced"),
        (
            ["reproduced", "cannot tell", "refuted", "cannot tell", "depends on the learning rate"],
            "Of 5 claims of the paper, 1 is reproduced, 2 are undecided, 1 is refuted and 1 depends on the learning rate",
        ),
    ],
)
def test_the_headline_counts_verdicts(verdicts: list[str], text: str):
    assert headline(verdicts) == text


def sweep(name: str, at_rest: list[bool], on_edge: list[float]) -> dict[str, Any]:
    cells = [{"correlation": p, "at_rest": rest} for p, rest in zip((0.5, 1.0), at_rest, strict=True)]
    return {"name": name, "cells": cells, "on_edge": on_edge}


def study(claims: list[tuple[str, str, int | None]], *sweeps: dict[str, Any]) -> StudyResults:
    written = [{"title": title, "verdict": verdict, "runs_needed": needed} for title, verdict, needed in claims]
    plan = {"protocol": {"batch": 64}}
    return filled(StudyResults, {"claims": written, "length": 60_000, "plan": plan, "sweeps": {"compared": list(sweeps)}})


def test_five_sentences_say_what_holds_what_does_not_and_how_far_the_runs_went():
    results = study(
        [
            ("A", "reproduced", None),
            ("B", "reproduced", None),
            ("C", "not reproduced", None),
            ("D", "cannot tell", 1_340),
            ("E", "cannot tell", None),
            ("F", "depends on the learning rate", None),
        ],
        sweep("mmoe", [False, True], []),
        sweep("omoe", [False, False], [0.5]),
    )
    assert five_sentences(results) == [
        "Of 6 claims of the paper, 2 are reproduced, 1 is not reproduced, 2 are undecided and 1 depends on the learning rate.",
        "The runs reproduce “A” and “B”.",
        "They contradict “C”.",
        "They leave “D” (about 1,340 runs would decide it) and “E” open, and “F” depends on the learning rate.",
        "Every run took 60,000 steps of 64 rows, after which the mean loss of mmoe at 0.5 and omoe at every correlation still "
        "falls; the chosen rate of omoe at 0.5 lies at the edge of the tried rates.",
    ]


def test_where_all_is_well_the_sentences_say_so():
    results = study([("A", "reproduced", None)], sweep("mmoe", [True, True], []))
    assert five_sentences(results)[2:] == [
        "They contradict no claim.",
        "They leave no claim open.",
        "Every run took 60,000 steps of 64 rows, after which every mean loss is at rest; no chosen rate lies at an edge.",
    ]
    assert (still_falling(results), at_edges(results)) == ([], [])
    falling = study([("A", "not reproduced", None)], sweep("mmoe", [False, False], []), sweep("omoe", [False, False], []))
    assert five_sentences(falling)[1] == "The runs reproduce no claim of the paper."
    assert still_falling(falling) == ["every model at every correlation"]


def test_a_verdict_names_the_runs_that_would_decide():
    assert verdict_words(filled(Claim, {"verdict": "cannot tell", "runs_needed": 1_200})) == "cannot tell (about 1,200 runs would)"
    assert verdict_words(filled(Claim, {"verdict": "cannot tell", "runs_needed": None})) == "cannot tell"
