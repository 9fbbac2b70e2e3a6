"""Writes in sentences what follows from the numbers of the study, and what does not."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from manygate.config import RunConfig
from manygate.results.census import CensusGain, CensusGroup, CensusResults
from manygate.studies.census import paper
from manygate.studies.census.plan import MARRIED, NETWORKS, OUTSIDE
from manygate.text import count_of, listed, number

BALANCED, NAIVE = "tensor_factorization", "tensor_factorization_naive"
MMOE, TABULAR, LOGISTIC, BOOSTED = "mmoe", "mmoe_tabular", "logistic", "lightgbm"
COMPARED = tuple(method for method in NETWORKS if method not in (NAIVE, TABULAR))
"""The networks with the same inputs, each initialised well: those whose order the study asks for."""


def conclusions(results: CensusResults, name: str) -> list[str]:
    """Return the sentences about a group. Each one rests on numbers of the document."""
    group = results.groups[name]
    parts = (_level, _order, _outside, _inputs, _paper_differences, _best_runs, _initialisation, _more_runs)
    return [text for part in parts for text in part(results, group)]


def means(results: CensusResults, group: CensusGroup) -> dict[str, float]:
    """Return the mean test AUC of the main task by method."""
    found = {row.method: results.models[row.main_model].tasks[group.main].test.mean for row in group.rows}
    return {method: mean for method, mean in found.items() if mean is not None}


def _level(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Compare the level of the networks with the paper's. Another initialisation or other inputs are sentences of their own."""
    ours = {method: mean for method, mean in means(results, group).items() if method in COMPARED}
    theirs = {method: row.mean for method, row in paper.TABLES[group.main].items() if method != BALANCED}
    if not ours:
        return
    low, high = min(ours, key=ours.__getitem__), max(ours, key=ours.__getitem__)
    best = max(theirs, key=theirs.__getitem__)
    above = [method for method, mean in ours.items() if mean > theirs[best]]
    between = f"lies between {number(ours[low])} ({low}) and {number(ours[high])} ({high})"
    yield (
        f"The mean test AUC of {group.main} {between if len(ours) > 1 else f'is {number(ours[low])} ({low})'}. "
        f"{_of_all(above, list(ours), 'network')} above the best mean of the paper, {number(theirs[best])} ({best})."
    )


def _of_all(some: Sequence[str], every: Sequence[str], word: str) -> str:
    if len(some) == len(every):
        few = {1: f"The {word} is", 2: f"Both {word}s are"}
        return few.get(len(every), f"All {len(every)} {word}s are")
    return f"{len(some)} of {count_of(len(every), word)} {'is' if len(some) == 1 else 'are'}"


def _order(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Say which networks the reference is ahead of, behind, and level with, by joint intervals."""
    inside = [gain for gain in group.gains if gain.method in COMPARED]
    for task in (group.main, MARRIED):
        sides: dict[int, list[str]] = {1: [], -1: [], 0: []}
        for gain in inside:
            if gain.task == task:
                sides[_side(gain)].append(gain.method)
        phrases = [
            f"{phrase} {listed(sides[side])}"
            for side, phrase in ((1, "ahead of"), (-1, "behind"), (0, "not to be told from"))
            if sides[side]
        ]
        if phrases:
            yield f"On {task}, {group.reference} is {'; '.join(phrases)} (joint 95 % intervals over seeds and test rows)."


def _side(gain: CensusGain) -> int:
    """Return 1 if the reference is ahead beyond doubt, -1 if it is behind, and 0 otherwise."""
    bounds = gain.gain.joint95
    return 0 if bounds is None else (bounds[0] > 0) - (bounds[1] < 0)


def _outside(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Compare with the models from outside."""
    ours, theirs = means(results, group), paper.TABLES[group.main][MMOE].mean
    for method in OUTSIDE:
        if method not in ours or group.reference in OUTSIDE:
            continue
        (gain,) = [entry for entry in group.gains if (entry.method, entry.task) == (method, group.main)]
        side = {1: "behind", -1: "ahead of", 0: "not to be told from"}[_side(gain)]
        than_paper = "above" if ours[method] > theirs else "not above"
        tuned = "Tuned LightGBM" if method == BOOSTED else "A logistic regression"
        yield (
            f"{tuned} reaches {number(ours[method])} on {group.main}: {side} {group.reference} "
            f"({number(gain.gain.gain, signed=True)} for {group.reference}), and {than_paper} the paper's MMoE ({number(theirs)})."
        )


def _inputs(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Say what Manygate's default inputs add to MMoE, and where LightGBM is then."""
    ours = means(results, group)
    if MMOE not in ours or TABULAR not in ours:
        return
    more = number(ours[TABULAR] - ours[MMOE], signed=True)
    text = (
        "With Manygate's default inputs for logs of this size (cross layers, ids of numbers, target statistics) MMoE reaches "
        f"{number(ours[TABULAR])} on {group.main}, {more} against embedding tables and numbers alone"
    )
    if BOOSTED in ours:
        text += f" and {number(ours[TABULAR] - ours[BOOSTED], signed=True)} against tuned LightGBM"
    yield f"{text}."


def _paper_differences(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Hold the paper's differences in the mean against the chance that 400 runs on its test rows leave."""
    known = [gain for gain in group.gains if gain.task == group.main and gain.paper_gain is not None and gain.paper_half]
    known = [gain for gain in known if gain.method != BALANCED]
    if not known or group.reference != MMOE:
        return
    clear = [gain.method for gain in known if abs(gain.paper_gain or 0) > (gain.paper_half or 0)]
    within = [gain.method for gain in known if gain.method not in clear]
    widest = max(gain.paper_half or 0 for gain in known)
    text = (
        f"With 400 runs and {paper.TEST_ROWS:,} test rows a difference of two means is known to about ± {number(widest)} at worst, "
        "by our deviations over seeds and test rows."
    )
    if clear:
        text += f" The paper's mean of MMoE differs by more than that chance allows from {listed(clear)}."
    if within:
        text += f" Its difference from {listed(within)} is within chance."
    yield text


def _best_runs(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Say how much of the column of best runs is luck."""
    lifts = [noise.lift_paper for noise in group.noise if noise.lift_paper is not None and noise.method in NETWORKS]
    implied = [noise.paper_sd for noise in group.noise if noise.paper_sd is not None and noise.method != BALANCED]
    if not lifts:
        return
    text = (
        f"The best of 400 runs lies above their mean by luck alone. With our deviations over seeds it lies {_span(lifts)} above. "
        f"So the column “best” rewards a method whose runs differ much."
    )
    if implied:
        text += f" The paper's own best and mean imply a deviation over seeds of {_span(implied)}."
    yield text


def _span(values: Sequence[float]) -> str:
    """Return the lowest and the highest value, or one of them if both read alike.

    >>> _span([0.0012, 0.001]), _span([0.00171, 0.00172])
    ('0.0010 to 0.0012', '0.0017')
    """
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _initialisation(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Say whether the naive initialisation explains the paper's low numbers of Tensor-Factorization."""
    ours, theirs = means(results, group), paper.TABLES[group.main][BALANCED].mean
    if BALANCED not in ours or NAIVE not in ours:
        return
    middle = (ours[BALANCED] + theirs) / 2
    verdict = "comes closer to" if ours[NAIVE] < middle else "does not explain"
    yield (
        f"Tensor-Factorization reaches {number(ours[BALANCED])} with factors whose product has Glorot's variance, and "
        f"{number(ours[NAIVE])} with factors drawn naively. The naive way {verdict} the paper's {number(theirs)}."
    )


def _more_runs(results: CensusResults, group: CensusGroup) -> Iterator[str]:
    """Say what more runs would change."""
    gains = [gain for gain in group.gains if gain.task == group.main and gain.method in NETWORKS and gain.halves]
    now = [(gain.gain.joint95[1] - gain.gain.joint95[0]) / 2 for gain in gains if gain.gain.joint95 is not None]
    if not now:
        return
    then = [f"{number(statistics.median((gain.halves or {})[count] for gain in gains))} with {count}" for count in ("100", "400")]
    yield (
        f"Half the width of the joint interval of a gain on {group.main} is {number(statistics.median(now))} with "
        f"{count_of(results.replicas, 'run')} (median over methods), and would be {listed(then)}. "
        "What remains then is the chance of the test rows, which no further run removes."
    )


def limits(results: CensusResults) -> list[str]:
    """Return what the study does not show."""
    trials = results.plan["trials"]
    texts = [
        f"Each method had one search of {trials} trials. The intervals contain the chance of the seeds of the final training and "
        "of the test rows. They do not contain the chance of the search, or of the split: another search could change the order.",
        "The column “best” picks a run on test rows, as the paper does. Such a number is optimistic. The column “chosen” picks the "
        "run on validation rows.",
        "The paper does not give its search ranges, its embedding, its scaling of numbers, or its random split of the test file. "
        "So levels can differ for reasons other than the method.",
        "All methods were tuned for the main task alone, as in the paper, and their weights are those of its best epoch. Only the "
        "models of one task are tuned for never_married.",
        "LightGBM has a random search of as many trials as the networks. No trial of it ends early.",
    ]
    texts += _cut_short(results)
    if results.quick:
        texts.insert(
            0,
            f"This is a sketch: {results.rows['train']:,} training rows, {trials} trials and {count_of(results.replicas, 'run')} "
            "for each method. Take no number from it.",
        )
    return texts


def _cut_short(results: CensusResults) -> Iterator[str]:
    """Say how many runs were best so late that the limit of epochs ended them, and not early stopping."""
    limit, patience = int(str(results.plan["epochs"])), RunConfig().patience
    best = [epoch for model in results.models.values() for epoch in model.epochs]
    late = [epoch for epoch in best if epoch > limit - patience]
    if late:
        yield (
            f"{len(late):,} of {count_of(len(best), 'run')} of networks ended at the limit of {limit} epochs and not by early "
            f"stopping: they were best in the last {patience}. Longer training could raise their level."
        )


def headline(results: CensusResults) -> str:
    """Return the answer in a sentence: of how many comparisons on the main tasks the reference is ahead."""
    gains = [
        gain for group in results.groups.values() for gain in group.gains if gain.task == group.main and gain.method in COMPARED
    ]
    reference = next(iter(results.groups.values())).reference
    if not gains:
        return f"{reference} alone was trained, so nothing is compared"
    sides = [_side(gain) for gain in gains]
    return (
        f"{reference} is ahead in {sides.count(1)}, behind in {sides.count(-1)} and undecided in {sides.count(0)} of "
        f"{count_of(len(gains), 'comparison')} with tuned networks on the main tasks"
    )
