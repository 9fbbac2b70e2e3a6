"""Refusals: their status, and all their problems in one text."""

from __future__ import annotations

import pytest

from manygate.serving import refusals
from manygate.serving.refusals import Refusal


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("BadRequest", 400), ("NoAccess", 401), ("Unknown", 404), ("TooSlow", 408),
        ("TooLarge", 413), ("Packed", 415), ("Full", 429), ("Late", 504),
    ],
)  # fmt: skip
def test_each_reason_has_its_status(name: str, status: int) -> None:
    refusal = getattr(refusals, name)("no")
    assert isinstance(refusal, Refusal)
    assert (refusal.status, str(refusal), refusal.headers) == (status, "no", {})


def test_all_problems_stand_in_the_text() -> None:
    refusal = refusals.BadRequest(["the first.", "the second."], {"Connection": "close"})
    assert "the first." in str(refusal)
    assert "the second." in str(refusal)
    assert refusal.problems == ["the first.", "the second."]
    assert refusal.headers == {"Connection": "close"}


def test_a_text_of_the_client_does_not_fill_the_answer() -> None:
    assert len(str(refusals.BadRequest(["x" * 100_000] * 10_000))) < 1_000_000
