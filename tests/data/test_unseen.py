"""Which rows have an unseen id."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from manygate.data.rows import Input, Rows
from manygate.data.unseen import cold_rows

ITEM = Input("item", "sparse", False, rows=9, dim=2, can_be_unseen=True)
TAGS = Input("tags", "bag", False, rows=9, dim=2, can_be_unseen=True)
POSITION = Input("position", "sparse", True, rows=9, dim=2)


def rows() -> Rows:
    """Item, position, and a bag: null, unseen and known ids in every company."""
    ids = np.array([[2, 1], [1, 3], [0, 1], [5, 0], [1, 1], [4, 1], [2, 2]], np.int32)
    bags = [[], [1, 7], [1, 1], [1, 0], [8], [0], [1]]
    offset = np.append(0, np.cumsum([len(bag) for bag in bags])).astype(np.int64)
    none = np.zeros((7, 0), np.float32)
    return Rows(ids, none, [(np.array([i for bag in bags for i in bag], np.int32), offset)], none, none)


def test_an_unseen_id_or_a_bag_of_unseen_ids_makes_a_row_cold():
    assert cold_rows([ITEM, POSITION, TAGS], rows()).tolist() == [False, True, True, True, True, False, True]


def test_one_feature_alone():
    fixed = replace(TAGS, can_be_unseen=False)
    assert cold_rows([ITEM, POSITION, fixed], rows()).tolist() == [False, True, False, False, True, False, False]
    hashed = replace(ITEM, can_be_unseen=False)
    assert cold_rows([hashed, POSITION, TAGS], rows()).tolist() == [False, False, True, True, False, False, True]


def test_without_ids_no_row_is_cold():
    none = np.zeros((3, 0))
    assert cold_rows([], Rows(none, none, [], none, none)).tolist() == [False] * 3
