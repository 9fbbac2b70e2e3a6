"""Tables that are parameters of the model need nothing of their own."""

from __future__ import annotations

import pytest

from manygate.training.tables import IN_MODEL, placed


def test_tables_in_the_model_change_nothing(tmp_path) -> None:
    for call in (IN_MODEL.keep, IN_MODEL.load_best, IN_MODEL.reset_members):
        call([0])
    IN_MODEL.set_rate(0.1)
    with IN_MODEL.updated():
        IN_MODEL.save(tmp_path)
    IN_MODEL.restore(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not IN_MODEL.spread
    assert not IN_MODEL.stores("model|embedding.8")


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_no_process_holds_much_more_than_its_share(processes) -> None:
    sizes = [1, 7, 90, 3, 40, 55, 2, 70, 16]
    process = placed(sizes, processes)
    filled = [sum(size for size, at in zip(sizes, process, strict=True) if at == p) for p in range(processes)]
    assert sum(filled) == sum(sizes)
    assert max(filled) - min(filled) <= max(sizes)
