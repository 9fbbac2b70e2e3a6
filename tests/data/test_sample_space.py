"""The rows of a sample space, by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manygate.data.sample_space import sample_space
from manygate.errors import InputError
from manygate.schema import Task

BATCH = pa.record_batch({"click": pa.array([1, 0, None, 1]), "price": [5.0, 50.0, 5.0, 50.0], "free": [True, True, True, None]})


@pytest.mark.parametrize(
    ("where", "inside"),
    [
        ("click == 1", [True, False, False, True]),
        ("click != 1", [False, True, False, False]),
        ("click == 1 and price < 10", [True, False, False, False]),
        ("price >= 50", [False, True, False, True]),
        ("price > 5", [False, True, False, True]),
        ("price <= 5", [True, False, True, False]),
        ("free == 1", [True, True, True, False]),
        (None, [True] * 4),
    ],
)
def test_a_sample_space_row_by_row(where: str | None, inside: list[bool]) -> None:
    assert sample_space(Task(name="buy", where=where), BATCH, "log").tolist() == inside


def test_a_comparison_with_another_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"log: task 'buy'.*compares column 'price' \(double\) with 'x' \(str\)"):
        sample_space(Task(name="buy", where="price == 'x'"), BATCH, "log")
