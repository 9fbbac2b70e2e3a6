"""The words from which roles and kinds of columns are inferred."""

from __future__ import annotations

import pytest

from manygate.data.inference.role_words import AMOUNTS, CODES, GLUED_ID, IDS, POSITIONS, REQUESTS, TIMES, USERS, WEIGHTS, words


@pytest.mark.parametrize(
    ("name", "is_id"),
    [("userid", True), ("categoryid", True), ("cateid", True), ("paid", False), ("id", False), ("userids", False), ("avid", False)],
)
def test_an_id_without_an_underscore(name: str, is_id: bool) -> None:
    assert (GLUED_ID.fullmatch(name) is not None) is is_id


def test_no_word_means_two_things() -> None:
    assert words("a b  a") == {"a", "b"}
    for first, second in ((CODES, AMOUNTS), (CODES, IDS), (AMOUNTS, IDS), (TIMES, AMOUNTS), (TIMES, CODES)):
        assert first & second == set()
    assert set(USERS) & set(REQUESTS) == set()


def test_names_are_in_snake_case() -> None:
    for name in (*USERS, *REQUESTS, *POSITIONS, *WEIGHTS, *TIMES, *IDS, *CODES, *AMOUNTS):
        assert name == name.lower()
        assert name.replace("_", "").isalnum()


def test_positions_have_a_prefix_or_none() -> None:
    assert len(POSITIONS) == 5 * 4
    assert {"position", "ad_rank", "list_slot"} <= set(POSITIONS)
