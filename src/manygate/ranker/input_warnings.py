"""Warnings in Python about the inputs of predictions."""

from __future__ import annotations

import warnings

from manygate.scoring.input_check import InputCheck

FEWEST_ROWS = 20
"""With fewer rows there is no warning: a single row with a new id is ordinary."""


def warn_of_inputs(check: InputCheck) -> None:
    """Warn the caller of the caller of features of which most ids are unseen, or that have become null."""
    for text in check.warnings(fewest=FEWEST_ROWS):
        warnings.warn(text, stacklevel=3)
