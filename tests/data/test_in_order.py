"""Results come in the order of the items, from several threads, and errors come where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from manygate.data.in_order import cores, in_order


@pytest.mark.parametrize("threads", [1, 2, 4, None])
def test_results_come_in_order_whatever_finishes_first(threads):
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * 10

    assert list(in_order(slow_first, range(30), threads)) == [item * 10 for item in range(30)]
    assert list(in_order(slow_first, [], threads)) == []


def test_several_items_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=10)
    assert list(in_order(lambda _: both.wait() >= 0, range(4), threads=2)) == [True] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_after_the_results_before_it(threads):
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = in_order(work, range(100), threads)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_few_items_are_read_ahead():
    read = []

    def items():
        for item in range(100):
            read.append(item)
            yield item

    results = in_order(abs, items(), threads=2)
    next(results)
    assert len(read) == 5
    results.close()


def test_the_cores_of_this_process_are_counted():
    assert cores() >= 1
