"""``tuning.json``: what it holds survives writing and reading."""

from __future__ import annotations

import json

import pytest

from manygate.errors import InputError
from manygate.results.tuning import TuningDocument
from tuning_documents import tuned


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_document_survives_writing(objectives: int) -> None:
    document = tuned(objectives=objectives)
    tree = json.loads(json.dumps(document.to_tree(), allow_nan=False))
    assert TuningDocument.from_tree(tree, "tuning.json") == document


def test_another_version_is_refused() -> None:
    tree = {**tuned().to_tree(), "tuning_version": 2}
    with pytest.raises(InputError, match="tuning_version is 2, and this version of manygate reads 1"):
        TuningDocument.from_tree(tree, "tuning.json")
