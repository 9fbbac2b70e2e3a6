"""Tasks whose labels say the same are named, and tasks that only look alike are not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import manygate as mg
from manygate.data.equal_labels import FEWEST_LABELS, equal_label_warnings
from manygate.data.rows import Rows
from manygate.schema import Feature, Schema, Task

SCHEMA = Schema(features=(Feature(name="item", kind="sparse"),), tasks=(Task(name="click"), Task(name="tap")))
LABEL_N = (np.arange(300) % 3 == 0).astype(np.float32)


def said(first_N: np.ndarray, second_N: np.ndarray, weight_NT: np.ndarray | None = None) -> list[str]:
    weight_NT = np.ones((len(first_N), 2), np.float32) if weight_NT is None else weight_NT
    empty = np.zeros((len(first_N), 0), np.float32)
    return [
        warning.text
        for warning in equal_label_warnings(SCHEMA, Rows(empty, empty, [], np.stack([first_N, second_N], 1), weight_NT))
    ]


@pytest.mark.parametrize(("other_N", "word"), [(LABEL_N, "equal"), (1 - LABEL_N, "opposite")])
def test_equal_and_opposite_labels_are_named(other_N: np.ndarray, word: str):
    (text,) = said(LABEL_N, other_N)
    assert text.startswith(f"tasks 'click' and 'tap' have {word} labels on all 300 training rows")


def test_one_row_that_differs_says_nothing():
    other_N = LABEL_N.copy()
    other_N[7] = 1 - other_N[7]
    assert said(LABEL_N, other_N) == []
    weight_NT = np.ones((300, 2), np.float32)
    weight_NT[7, 1] = 0
    (text,) = said(LABEL_N, other_N, weight_NT)
    assert "all 299 training rows of which both" in text, "the label of this row is unknown"


def test_few_labels_and_labels_of_one_value_say_nothing():
    few = FEWEST_LABELS - 1
    assert said(LABEL_N[:few], LABEL_N[:few]) == []
    assert said(np.ones(300, np.float32), np.ones(300, np.float32)) == []
    numbers_N = np.arange(300, dtype=np.float32)
    assert said(numbers_N, 1 - numbers_N) == [], "opposite is a word for labels of 0 and 1"


def test_a_comparison_says_it(tmp_path):
    random = np.random.default_rng(0)
    click = random.random(600) < 0.4
    log = pa.table({"item": random.integers(5, size=600), "click": click, "tap": click})
    comparison = mg.compare(log, task=["click", "tap"], architectures="single_task,mmoe", replicas=1, epochs=1, baselines="none")
    assert any("are one task with two names" in warning.text for warning in comparison.document.data.warnings)
