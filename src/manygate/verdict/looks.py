"""This module counts how many gains are looked at together, so that the marks of a whole table hold together with 95 %.

A table of gains has a cell for each sharing model and task. Each joint interval has the level 1 - 0.05 / looks. The intervals of
all cells hold together with 95 % if the sum of 1 / looks over the cells is at most 1 (Bonferroni, with unequal shares).
"""

from __future__ import annotations

from collections.abc import Sequence


def looks_by_model(models: Sequence[str], tasks: int, judged: str | None) -> dict[str, int]:
    """Return the number of looks of each model's gains over the baseline.

    The judged model was chosen on validation rows, and the advice is about it. Its tasks get half of the 5 % of error, and the
    tasks of the other models share the other half. A model that is alone gets all of it.

    >>> looks_by_model(["mmoe"], 3, "mmoe"), looks_by_model(["mmoe", "omoe", "ple"], 3, "mmoe")
    ({'mmoe': 3}, {'mmoe': 6, 'omoe': 12, 'ple': 12})
    >>> looks_by_model(["mmoe", "omoe", "ple"], 3, None)
    {'mmoe': 9, 'omoe': 9, 'ple': 9}
    """
    others = [name for name in models if name != judged]
    if judged not in models or not others:
        return dict.fromkeys(models, tasks * len(models))
    return {name: 2 * tasks * (1 if name == judged else len(others)) for name in models}


def looks_at_pairs(models: Sequence[str], tasks: int) -> int:
    """Return the number of gains in the table that compares every two models: a cell for each pair and task.

    >>> looks_at_pairs(["mmoe", "omoe", "ple"], 4), looks_at_pairs(["mmoe"], 4)
    (12, 4)
    """
    return tasks * max(len(models) * (len(models) - 1) // 2, 1)
