"""Reads a request to rank candidates, and writes its answer.

A request is an object of JSON:

- ``context``: one value for each feature that is the same for all candidates, such as those of the user;
- ``candidates``: all other features, as ``{"item": [3, 5], "price": [9.5, null]}`` or ``[{"item": 3, "price": 9.5}, ...]``;
- ``id``: the name of the column of candidates that the answer names them by. Without it, the answer has their places, from 0 on;
- ``by``: the output by which they are ranked, highest first. It is the fused score unless given;
- ``top``: how many are returned. All, unless given.

Any feature may stand in ``context``. Its value then holds for all candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.serving.feeds import Feed, Inputs, shared_arrays
from manygate.serving.refusals import BadRequest, TooLarge, first, hint
from manygate.serving.values import Unreadable, lists, repeated, single
from manygate.text import cut

KEYS = ("context", "candidates", "id", "by", "top")
NULL = "Give null if its value is missing."


@dataclass(frozen=True)
class RankRequest:
    """A request that was read: the inputs of the graph, and what the answer holds."""

    feed: Feed
    ids: Sequence[Any]
    by: str
    top: int


def read_rank(tree: Any, inputs: Inputs, outputs: Sequence[str], score: str | None, max_rows: int) -> RankRequest:
    """Read a request.

    Args:
        tree: The content of the body.
        inputs: What the model reads.
        outputs: The columns that it predicts.
        score: The column of the fused score, if there is one.
        max_rows: The most candidates.

    Raises:
        BadRequest: Every problem of the request.
        TooLarge: There are more candidates.
    """
    if not isinstance(tree, dict):
        raise BadRequest("the body must be an object with context and candidates.")
    unknown = (key for key in tree if key not in KEYS)
    problems = first(f"unknown key {cut(key)}.{hint(key, KEYS)} Known are {', '.join(KEYS)}." for key in unknown)
    context = tree.get("context", {})
    if not isinstance(context, dict):
        problems.append("context must be an object with a value for each feature.")
        context = {}
    unread = (name for name in context if name not in inputs.entries)
    problems += first(
        f"context: the model has no feature {cut(name)}.{hint(name, inputs.entries)} Leave it out." for name in unread
    )
    columns, rows = _columns(tree.get("candidates"), inputs, context, tree.get("id"), max_rows, problems)
    by = _order(tree.get("by"), outputs, score, problems)
    top = tree.get("top", rows)
    if type(top) is not int or top < 0:
        problems.append("top must be a whole number, 0 or more.")
    ids = _named(tree.get("id"), columns, rows, problems)
    if problems:
        raise BadRequest(problems)
    return RankRequest(_feed(inputs, context, columns, rows), ids, by, top)


def answer(request: RankRequest, columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the candidates in their order, with the value of each column."""
    order = np.argsort(-columns[request.by], kind="stable")[: request.top]
    ids = request.ids
    return {
        "by": request.by,
        "ids": [ids[place] for place in order.tolist()],
        "scores": {name: column[order] for name, column in columns.items()},
    }


def _columns(
    candidates: Any, inputs: Inputs, context: Mapping[str, Any], id_: Any, max_rows: int, problems: list[str]
) -> tuple[dict[str, Sequence[Any]], int]:
    """Return the candidates by column, and their number. What is wrong is added to ``problems``."""
    read = [name for name in inputs.entries if name not in context]
    if isinstance(candidates, list):
        return _from_rows(candidates, read, context, id_, max_rows, problems), len(candidates)
    if not isinstance(candidates, dict):
        problems.append("candidates must be an object with a list for each feature, or a list of objects.")
        return {}, 0
    missing = [name for name in read if name not in candidates]
    problems += _missing(missing, candidates)
    problems += _twice(name for name in context if name in candidates)
    no_list = (name for name, column in candidates.items() if not isinstance(column, list))
    problems += first(f"candidates: {cut(name)} must be a list with a value for each candidate." for name in no_list)
    lengths = {len(column) for column in candidates.values() if isinstance(column, list)}
    if len(lengths) > 1:
        problems.append(f"candidates: the lists have {min(lengths):,} to {max(lengths):,} values. All must have as many.")
    rows = max(lengths, default=0)
    if rows > max_rows:
        raise TooLarge(f"{rows:,} candidates, and a request may have {max_rows:,} at most.")
    return candidates, rows


def _from_rows(
    candidates: list[Any], read: Sequence[str], context: Mapping[str, Any], id_: Any, max_rows: int, problems: list[str]
) -> dict[str, Sequence[Any]]:
    """Return candidates that are given as objects by column."""
    if len(candidates) > max_rows:
        raise TooLarge(f"{len(candidates):,} candidates, and a request may have {max_rows:,} at most.")
    if set(map(type, candidates)) - {dict}:
        problems.append("candidates: each must be an object with a value for each feature.")
        return {}
    held = set().union(*candidates)
    wanted = [*read, id_] if isinstance(id_, str) and id_ not in read else list(read)
    columns: dict[str, Sequence[Any]] = {}
    for name in wanted:
        try:
            columns[name] = [candidate[name] for candidate in candidates]
        except KeyError:
            row, candidate = next((row, each) for row, each in enumerate(candidates) if name not in each)
            if name != id_ or name in read:
                problems.append(f"candidates: {name!r} is missing in candidate {row}.{hint(name, candidate)} {NULL}")
    problems += _twice(name for name in context if name in held)
    return columns


def _missing(names: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    return [f"feature {name!r} is missing.{hint(name, given)} {NULL}" for name in names]


def _twice(names: Iterable[str]) -> list[str]:
    return first(f"{cut(name)} is both in context and in candidates. Leave one out." for name in names)


def _order(by: Any, outputs: Sequence[str], score: str | None, problems: list[str]) -> str:
    """Return the column by which candidates are ranked."""
    if by is None and score is None and len(outputs) > 1:
        problems.append(f"by is missing, and the model has no fused score. Name one of {', '.join(outputs)}.")
    elif by is not None and by not in outputs:
        problems.append(f"by: no output {cut(by)}.{hint(by, outputs)} There are {', '.join(outputs)}.")
    return by if isinstance(by, str) else score or outputs[0]


def _named(id_: Any, columns: Mapping[str, Sequence[Any]], rows: int, problems: list[str]) -> Sequence[Any]:
    """Return the names of the candidates in the answer."""
    if id_ is None:
        return range(rows)
    if not isinstance(id_, str) or not isinstance(columns.get(id_), list):
        problems.append(f"id: the candidates have no column {cut(id_)}. Name a column that each of them has.")
        return range(rows)
    return columns[id_]


def _feed(inputs: Inputs, context: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], rows: int) -> Feed:
    """Return the inputs of the graph.

    Context features stand once in the graph's inputs if all of them are in ``context``, and once for each row otherwise.
    """
    contexts = 1 if inputs.of_context <= set(context) else rows
    arrays: dict[str, np.ndarray] = {}
    nulls: dict[str, np.ndarray] = {}
    problems = []
    for name, entry in inputs.entries.items():
        given = name in context
        values = [context[name]] if given else columns[name]
        count = contexts if entry.get("context") else rows
        try:
            if entry["kind"] == "bag":
                id_BL, mask_BL = lists(values, entry)
                arrays[entry["name"]] = repeated(id_BL, count) if given else id_BL
                arrays[entry["mask"]] = repeated(mask_BL, count) if given else mask_BL
                continue
            value_N, null_N = single(values, entry)
            arrays[entry["name"]] = repeated(value_N, count) if given else value_N
        except Unreadable as problem:
            problems.append(f"feature {name!r}: {problem}.")
            continue
        if null_N is not None and "missing" in entry:
            nulls[name] = repeated(null_N, count) if given else null_N
    if problems:
        raise BadRequest(problems)
    return Feed(arrays | shared_arrays(inputs, rows, nulls, contexts), rows, contexts)
