"""The story of a log whose truth is known: what is true, what should follow from it, and whether a comparison found it."""

from __future__ import annotations

from typing import Literal

from manygate.results.base import Record

Found = Literal["found", "cannot tell", "contradicted"]


class Claim(Record):
    """A consequence of the truth.

    ``found`` says whether the joint intervals of the comparison show it; ``contradicted`` means that they show the opposite.
    ``evidence`` has the figures.
    """

    text: str
    found: Found
    evidence: str


class Story(Record):
    """What the generator of a log knows of it, and what a comparison found. ``summary`` is the answer in one sentence."""

    summary: str
    truth: list[str]
    claims: list[Claim]
