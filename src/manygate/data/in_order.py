"""Works on several items at once, in threads, and gives the results in the order of the items.

NumPy, Arrow and the hashes of Python leave the interpreter while they work on a batch, so threads use several cores.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
WAITING = 2
"""The items that wait for each thread. They bound the memory."""


def in_order(work: Callable[[A], B], items: Iterable[A], threads: int | None = None) -> Iterator[B]:
    """Yield ``work(item)`` for each item, in order. An error ends the results where it belongs.

    Args:
        work: Called in threads. It must not depend on other items.
        items: Read in the caller's thread, a few ahead of the results.
        threads: The number of threads; None is the cores that this process may use. With 1 nothing runs ahead.

    >>> list(in_order(str.upper, "abc", threads=2))
    ['A', 'B', 'C']
    """
    count = threads or cores()
    if count == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > WAITING * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
