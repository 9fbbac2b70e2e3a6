"""The story of the demo's log: what its generator knows, and whether a comparison finds it."""

from __future__ import annotations

from manygate.results.comparison import ComparisonDocument, Difference
from manygate.results.story import Claim, Found, Story
from manygate.results.summary import JointGain
from manygate.text import count_of, interval, listed, number
from manygate.verdict.transfer import sure, turned

RELATED = "buy"
"""The rare task that wants what click wants."""
UNRELATED = ("click", "like")
"""Two tasks that have nothing to do with each other."""
BOTTOM, GATED = "shared_bottom", "mmoe"
METRIC = "auc"
FOUND: dict[int, Found] = {1: "found", 0: "cannot tell", -1: "contradicted"}


def demo_story(document: ComparisonDocument) -> Story:
    """Compare what a comparison of the demo's log found with what the generator of the log knows."""
    claims = [_helps(document), _hurts(document), _removes(document)]
    return Story(summary=_summary(claims), truth=_truth(document), claims=claims)


def _truth(document: ComparisonDocument) -> list[str]:
    rows = document.data.tasks[RELATED]["train"].positives or 0
    return [
        f"Buyers want what clickers want, and training has only {count_of(rows, 'purchase')}: {RELATED} can learn from click.",
        f"What people like has nothing to do with what they click. A shared bottom of few units has to serve both tastes. The "
        f"gates of {GATED} can give each task experts of its own.",
    ]


def _helps(document: ComparisonDocument) -> Claim:
    gain = _effect(document, GATED, RELATED)
    return Claim(
        text=f"Sharing with {GATED} helps {RELATED}, the rare task.",
        found=FOUND[sure(gain)],
        evidence=f"{_figures(gain)} over a model of its own",
    )


def _hurts(document: ComparisonDocument) -> Claim:
    """The bottom is expected to hurt at least one of the two tasks; which one is up to the log."""
    signs = [sure(_effect(document, BOTTOM, task)) for task in UNRELATED]
    found: Found = "found" if -1 in signs else "contradicted" if all(sign > 0 for sign in signs) else "cannot tell"
    figures = listed([f"{task} {_figures(_effect(document, BOTTOM, task))}" for task in UNRELATED])
    return Claim(text=f"{BOTTOM} hurts {' or '.join(UNRELATED)}.", found=found, evidence=f"{figures} over models of their own")


def _removes(document: ComparisonDocument) -> Claim:
    """The gates take most of a harm away if a harmed task gains at least half of it back, beyond doubt, and no task loses."""
    harm = {task: -(gain.gain or 0.0) for task in UNRELATED if sure(gain := _effect(document, BOTTOM, task)) < 0}
    steps = {task: _step(document, task) for task in UNRELATED}
    cured = [task for task in harm if sure(steps[task]) > 0 and (steps[task].gain or 0.0) >= harm[task] / 2]
    worse = [task for task in UNRELATED if sure(steps[task]) < 0]
    found: Found = "found" if cured and not worse else "contradicted" if harm and set(harm) <= set(worse) else "cannot tell"
    figures = listed([f"{task} {_figures(steps[task])}" for task in harm or UNRELATED])
    return Claim(text=f"The gates of {GATED} take most of this harm away.", found=found, evidence=f"{figures} over {BOTTOM}")


def _summary(claims: list[Claim]) -> str:
    found = [claim for claim in claims if claim.found == "found"]
    if len(found) == len(claims):
        return f"This comparison finds all of it ({count_of(len(claims), 'claim')})."
    contradicted = [claim for claim in claims if claim.found == "contradicted"]
    said = f"This comparison finds {len(found)} of {count_of(len(claims), 'claim')}."
    if contradicted:
        texts = listed([f"“{claim.text.rstrip('.')}”" for claim in contradicted])
        return f"{said} It contradicts the truth on {texts}: one log and a few seeds can mislead. Try another --seed."
    return f"{said} For the rest, these rows and seeds are too few. Try more --rows and --replicas, or another --seed."


def _effect(document: ComparisonDocument, model: str, task: str) -> JointGain:
    assert document.transfer is not None
    return document.transfer.gains[model][task][METRIC]


def _step(document: ComparisonDocument, task: str) -> JointGain:
    """Return the gain of a task when the gates take the place of the bottom."""
    assert document.transfer is not None
    pair: Difference = next(pair for pair in document.transfer.differences if {pair.origin, pair.to} == {BOTTOM, GATED})
    return pair.tasks[task] if pair.origin == BOTTOM else turned(pair.tasks[task])


def _figures(gain: JointGain) -> str:
    return f"{number(gain.gain, signed=True)} ({interval(gain.joint95)})"
