"""This module says the results of a study in sentences, for its page and for the README of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manygate.results.study import Claim, StudyResults, SweepResult
from manygate.text import count_of, listed


def headline(verdicts: Sequence[str]) -> str:
    """Write a sentence, without its full stop, with the number of claims for each verdict.

    >>> headline(["reproduced", "cannot tell", "reproduced"])
    'Of 3 claims of the paper, 2 are reproduced and 1 is undecided'
    """
    phrases = [_counted(verdicts.count(verdict), verdict) for verdict in dict.fromkeys(["reproduced", *verdicts])]
    return f"Of {count_of(len(verdicts), 'claim')} of the paper, {listed(phrases)}"


def _counted(count: int, verdict: str) -> str:
    if verdict == "depends on the learning rate":
        return f"{count} {'depends' if count == 1 else 'depend'} on the learning rate"
    return f"{count} {'is' if count == 1 else 'are'} {'undecided' if verdict == 'cannot tell' else verdict}"


def verdict_words(claim: Claim) -> str:
    """Return the verdict, with the number of runs that would decide a claim that cannot be told."""
    return claim.verdict if claim.runs_needed is None else f"{claim.verdict} ({_would(claim.runs_needed)})"


def _would(runs: int) -> str:
    return f"about {runs:,} runs would"


def five_sentences(results: StudyResults) -> list[str]:
    """Say what holds and what does not, from the verdicts: the counts, each kind of verdict, and how far the runs went."""
    verdicts = [claim.verdict for claim in results.claims]
    return [
        f"{headline(verdicts)}.",
        _titles(results, "reproduced", "The runs reproduce {}.", "The runs reproduce no claim of the paper."),
        _titles(results, "not reproduced", "They contradict {}.", "They contradict no claim."),
        _open_claims(results),
        _course(results),
    ]


def _titles(results: StudyResults, verdict: str, text: str, nothing: str) -> str:
    titles = [f"“{claim.title}”" for claim in results.claims if claim.verdict == verdict]
    return text.format(listed(titles)) if titles else nothing


def _open_claims(results: StudyResults) -> str:
    undecided = [
        f"“{claim.title}”" + (f" ({_would(claim.runs_needed)} decide it)" if claim.runs_needed else "")
        for claim in results.claims
        if claim.verdict == "cannot tell"
    ]
    turned = [f"“{claim.title}”" for claim in results.claims if claim.verdict == "depends on the learning rate"]
    parts = [f"they leave {listed(undecided)} open"] if undecided else []
    parts += [f"{listed(turned)} {'depends' if len(turned) == 1 else 'depend'} on the learning rate"] if turned else []
    text = ", and ".join(parts) or "they leave no claim open"
    return f"{text[0].upper()}{text[1:]}."


def _course(results: StudyResults) -> str:
    """Say how long the runs were, where losses still fell, and where a chosen rate lies at the edge of the tried rates."""
    start = f"Every run took {results.length:,} steps of {results.plan.protocol.batch} rows"
    falling, edges = still_falling(results), at_edges(results)
    rest = f"after which the mean loss of {listed(falling)} still falls" if falling else "after which every mean loss is at rest"
    edge = f"the chosen rate of {listed(edges)} lies at the edge of the tried rates" if edges else "no chosen rate lies at an edge"
    return f"{start}, {rest}; {edge}."


def still_falling(results: StudyResults) -> list[str]:
    """List the models whose mean training loss is not at rest at the end of their long runs, with the correlations."""
    return _named_cells(results, lambda sweep: [cell.correlation for cell in sweep.cells if not cell.at_rest])


def at_edges(results: StudyResults) -> list[str]:
    """List the models whose chosen rate is the lowest or the highest that was tried, with the correlations."""
    return _named_cells(results, lambda sweep: sweep.on_edge)


def _named_cells(results: StudyResults, select: Callable[[SweepResult], list[float]]) -> list[str]:
    """Name each model with the correlations that are selected."""
    sweeps = [sweep for group in results.sweeps.values() for sweep in group]
    if all(len(select(sweep)) == len(sweep.cells) for sweep in sweeps):
        return ["every model at every correlation"]
    return [_at(sweep, select(sweep)) for sweep in sweeps if select(sweep)]


def _at(sweep: SweepResult, correlations: Sequence[float]) -> str:
    everywhere = len(correlations) == len(sweep.cells)
    return f"{sweep.name} at {'every correlation' if everywhere else listed([f'{p:g}' for p in correlations])}"
