"""What to do, in a short paragraph that follows from the intervals by fixed rules, and what would help where they do not decide.

The choice among models is validation's. Test rows judge what was chosen, and never choose: another model that looks better on them
is named as something to look into, not put in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from manygate.metrics.paired import ALPHA, halves
from manygate.metrics.table import metric_label
from manygate.metrics.uncertainty import interval_note, t_quantile
from manygate.results.base import required
from manygate.results.comparison import Alternative, Need, Recommendation, Rule, SizeNeed, Transfer
from manygate.results.summary import JointGain, MetricSummary
from manygate.text import interval, listed, number
from manygate.verdict.transfer import sure

SIZES = {"auc": (0.002, 0.005, 0.01), "r2": (0.005, 0.01, 0.02)}
"""Differences that one may want to be able to tell, per main metric."""
FEASIBLE = 20
"""How many times the replicas, or the test rows, the paragraph proposes at most where a larger difference would take fewer."""
MOST_REPLICAS = 10_000
Gains = Mapping[str, JointGain]


def recommend(
    found: Transfer, valid: Mapping[str, MetricSummary], chosen: str | None, baseline: str, main: Mapping[str, str]
) -> Recommendation:
    """The recommendation: ``rule``, ``model``, ``judged``, ``text``, ``reasons``, ``alternatives`` and ``needs`` (docs/results.md).

    ``rule`` is one of

    - ``share``: the model that validation chose helps a task beyond doubt and hurts none;
    - ``share at a price``: it helps some tasks and hurts others (a seesaw);
    - ``separate``: it helps none and hurts some; or validation chose the baseline, no model helps a task, and some hurt one;
    - ``look again``: validation chose the baseline, but the best sharing model on validation helps a task and hurts none;
    - ``cannot tell``: anything else.

    "Beyond doubt" is by the joint intervals. ``judged`` is the model that validation chose or, when that is the baseline, the
    sharing model with the best validation score.

    Args:
        found: Of :func:`manygate.verdict.transfer.transfer`.
        valid: Validation score of each model, a summary over replicas.
        chosen: What validation chose.
        baseline: The model with a network per task.
        main: Each task's main metric.
    """
    judged = chosen if chosen in found.gains else _best(valid, found.gains)
    if judged is None:
        text = f"There is nothing to recommend: only {baseline} has a validation score."
        return Recommendation(rule="cannot tell", model=chosen, judged=None, text=text, reasons=[], alternatives=[], needs=[])
    gains = {task: found.gains[judged][task][key] for task, key in main.items()}
    rule = _rule(gains, chosen == baseline, found, main)
    replicas, looks = len(valid[judged].values), found.looks
    known = {task: gain for task, gain in gains.items() if gain.joint95 is not None and not sure(gain)}
    needs = [need(task, main[task], gain, replicas, looks) for task, gain in known.items()]
    alternatives = _alternatives(found, judged, main) if rule != "share" else []
    words = [_advice(rule, judged, chosen == baseline, gains, replicas), _alternative_words(alternatives)]
    if rule == "cannot tell":
        words.append(_need_words(needs))
    return Recommendation(
        rule=rule,
        model=chosen,
        judged=judged,
        text=" ".join(filter(None, words)),
        reasons=[*_harm_words(found, judged), *_probability_words(found, judged)],
        alternatives=alternatives,
        needs=needs,
    )


def _best(valid: Mapping[str, MetricSummary], names: Iterable[str]) -> str | None:
    known = {name: mean for name in names if (mean := valid[name].mean) is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _rule(gains: Gains, apart: bool, found: Transfer, main: Mapping[str, str]) -> Rule:
    """The rule that holds; ``apart`` when validation chose a model per task."""
    signs = {sure(gain) for gain in gains.values()}
    if signs >= {1, -1}:
        return "share at a price"
    if 1 in signs:
        return "look again" if apart else "share"
    anyone = {sure(own[task][key]) for own in found.gains.values() for task, key in main.items()}
    if -1 in signs or (apart and -1 in anyone and 1 not in anyone):
        return "separate"
    return "cannot tell"


def need(task: str, key: str, gain: JointGain, replicas: int, looks: int) -> Need:
    """The two parts of an undecided gain's joint half-width now, and what would bring it down to each of :data:`SIZES`.

    >>> gain = JointGain(
    ...     gain=0.0, ci95=None, sd_replicas=0.001, se_test=0.004, verdict="cannot tell", joint95=None, clusters=10_000
    ... )
    >>> need("click", "auc", gain, replicas=10, looks=1).sizes[0]
    SizeNeed(size=0.002, replicas=10, times_rows=17.6)
    """
    sd, se = required(gain.sd_replicas, "sd_replicas"), required(gain.se_test, "se_test")
    seeds, test = halves(sd, replicas, se, gain.clusters, looks)
    sizes = [enough(size, seeds, test, sd, replicas, looks) for size in SIZES[key]]
    return Need(task=task, metric=key, seeds=seeds, test=test, replicas=replicas, sizes=sizes)


def enough(size: float, seeds: float, test: float, sd: float, replicas: int, looks: int) -> SizeNeed:
    """Replicas (None: more than 10,000) and how many times the test rows of now bring a half-width down to ``size``.

    A part that is small enough, at most size / sqrt(2), stays as it is, and the other is brought down to what it leaves; else both
    are brought to that. The standard error of the test rows is taken to fall with the root of their number.
    """
    even = size / math.sqrt(2)
    of_seeds, of_test = even, even
    if seeds <= even:
        of_seeds, of_test = seeds, math.sqrt(size**2 - seeds**2)
    elif test <= even:
        of_seeds, of_test = math.sqrt(size**2 - test**2), test
    count = replicas if seeds <= of_seeds else _replicas(sd, of_seeds, 1 - ALPHA / looks)
    return SizeNeed(size=size, replicas=count, times_rows=round(max((test / of_test) ** 2, 1.0), 1))


def _replicas(sd: float, goal: float, level: float) -> int | None:
    """The fewest replicas whose mean is known to ``goal``, by bisection; None when over MOST_REPLICAS."""

    def wide(count: int) -> bool:
        return t_quantile(count - 1, level) * sd / math.sqrt(count) > goal

    low, high = 1, MOST_REPLICAS
    if wide(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return high


def _alternatives(found: Transfer, judged: str, main: Mapping[str, str]) -> list[Alternative]:
    """Other models that help a task beyond doubt and hurt none, on the test rows."""
    others = []
    for name, own in found.gains.items():
        helped = [task for task, key in main.items() if sure(own[task][key]) > 0]
        unhurt = all(own[task][key].verdict != "hurts" for task, key in main.items())
        if name != judged and helped and unhurt:
            others.append(Alternative(model=name, helps=helped))
    return others


def _advice(rule: Rule, judged: str, apart: bool, gains: Gains, replicas: int) -> str:
    """The first sentences: what to do, and what the test rows say about it."""
    helped, hurt, unsure = ([task for task in gains if sure(gains[task]) == sign] for sign in (1, -1, 0))
    ups, downs, best = _effects(helped, gains), _effects(hurt, gains), f"{judged}, the best way of sharing on validation,"
    rest = _rest(unsure, gains)
    if rule == "share":
        return f"Share with {judged}: on the test rows it helps {ups} and hurts no task beyond doubt.{rest}"
    if rule == "share at a price" and apart:
        unless = f"unless {listed(helped)} {_matter(helped)} more"
        return f"Keep one model per task, as validation chose, {unless}: {best} helps {ups} but hurts {downs}.{rest}"
    if rule == "share at a price":
        return f"Share with {judged} only if you can pay for it: it helps {ups}, and {listed(hurt)} would pay: {downs}.{rest}"
    if rule == "separate" and apart and not hurt:
        why = "on the test rows no way of sharing helps a task beyond doubt, and some hurt"
        return f"Keep one model per task, as validation chose: {why}."
    if rule == "separate" and apart:
        return f"Keep one model per task, as validation chose: {best} helps no task beyond doubt and hurts {downs}.{rest}"
    if rule == "separate":
        chose = f"Validation chose {judged}, but on the test rows it helps no task beyond doubt and hurts {downs}.{rest}"
        return f"Keep one model per task. {chose}"
    if rule == "look again":
        why = f"{best} helps {ups} on the test rows and hurts no task beyond doubt"
        look = f"If {listed(helped)} {_matter(helped)} most, let validation watch {'it' if len(helped) == 1 else 'one of them'}."
        return f"Look again: validation chose one model per task, but {why}. {look}"
    chose = "Validation chose one model per task, and these" if apart else "These"
    cannot = f"{chose} data cannot tell whether sharing with {judged} helps or hurts"
    if note := interval_note(replicas):
        return f"{cannot}. {note} Give --replicas 8 or more."
    if not any(gain.joint95 for gain in gains.values()):
        return f"{cannot}: no gain is defined on the test rows."
    return f"{cannot} any task: looked at together, every interval holds zero{_widest(gains)}.{_leanings(gains)}"


def _matter(tasks: Sequence[str]) -> str:
    return "matters" if len(tasks) == 1 else "matter"


def _effects(tasks: Sequence[str], gains: Gains) -> str:
    """Tasks with gain and joint interval."""
    return listed([f"{task} ({number(gains[task].gain, signed=True)}; {interval(gains[task].joint95)})" for task in tasks])


def _rest(unsure: Sequence[str], gains: Gains) -> str:
    """What is to be said of the tasks that are not beyond doubt."""
    lost = [task for task in unsure if gains[task].verdict == "cannot tell"]
    open_ends = f" For {listed(lost)} these rows cannot tell." if lost else ""
    return _leanings({task: gains[task] for task in unsure}) + open_ends


def _leanings(gains: Gains) -> str:
    """Tasks of which only the interval that stands alone is clear of zero."""
    leaning = {verb: [task for task in gains if gains[task].verdict == verb] for verb in ("helps", "hurts")}
    told = listed([f"likely {verb} {listed(tasks)}" for verb, tasks in leaning.items() if tasks])
    return f" Looked at alone, it {told}." if told else ""


def _widest(gains: Gains) -> str:
    spans = {task: gain.joint95[1] - gain.joint95[0] for task, gain in gains.items() if gain.joint95}
    task = max(spans, key=lambda name: spans[name], default=None)
    return f" (the widest: {task}, {interval(gains[task].joint95)})" if task else ""


def _alternative_words(alternatives: Sequence[Alternative]) -> str:
    if not alternatives:
        return ""
    told = listed([f"{one.model} helps {listed(one.helps)}" for one in alternatives])
    return f"On these test rows {told} and hurts none; test rows do not choose, so look at it in a comparison of its own."


def _need_words(needs: Sequence[Need]) -> str:
    """What the two widest tasks would take."""
    wide = [one for one in needs if math.hypot(one.seeds, one.test) > one.sizes[0].size]
    if not wide:
        return "If there is a difference, it is too small to matter." if needs else ""
    widest = sorted(wide, key=lambda one: -math.hypot(one.seeds, one.test))[:2]
    return " ".join(_takes(one) for one in widest)


def _takes(one: Need) -> str:
    """The smallest size that is in reach, else the largest of them."""
    size = next((size for size in one.sizes if _in_reach(size, one.replicas)), one.sizes[-1])
    parts = []
    if size.replicas is None:
        parts.append(f"more than {MOST_REPLICAS:,} replicas")
    elif size.replicas > one.replicas:
        parts.append(f"{size.replicas:,} replicas instead of {one.replicas}")
    if size.times_rows > 1:
        parts.append(f"{size.times_rows:,.{0 if size.times_rows >= 10 else 1}f} times the test rows")
    where = f"{size.size:g} in {metric_label(one.metric)} on {one.task}"
    return f"To tell a difference of {where} would take {listed(parts)}." if parts else f"A difference of {where} would show."


def _in_reach(size: SizeNeed, replicas: int) -> bool:
    return size.replicas is not None and size.replicas <= FEASIBLE * replicas and size.times_rows <= FEASIBLE


def _harm_words(found: Transfer, judged: str) -> list[str]:
    """A sentence for each model that hurts a task, and who takes the harm away; of more than three, for two of them."""
    told = []
    harmful = sorted(dict.fromkeys(flag.model for flag in found.negative), key=lambda name: name != judged)
    rest = harmful[2:] if len(harmful) > 3 else []
    for name in harmful[: len(harmful) - len(rest)]:
        tasks = [flag.task for flag in found.negative if flag.model == name]
        cures: dict[tuple[str, ...], list[str]] = {}
        for task in tasks:
            by = [one.model for one in found.removed if (one.of, one.task) == (name, task)]
            cures.setdefault(tuple(sorted(by, key=lambda name: name != judged)), []).append(task)
        cured = [f"{_some(by)} take{'s' if len(by) == 1 else ''} it away for {listed(of)}" for by, of in cures.items() if by]
        told.append(f"Negative transfer: {name} hurts {listed(tasks)}{'; ' if cured else ''}{listed(cured)}.")
    if rest:
        told.append(f"Negative transfer under {len(rest)} more: {_some(rest)}.")
    return told


def _some(names: Sequence[str]) -> str:
    """Names in a sentence; of more than three, two and how many others."""
    return listed(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} others"


def _probability_words(found: Transfer, judged: str) -> list[str]:
    """Where the judged model's probabilities got worse though its ranking did not."""
    told = []
    spoiled = [flag for flag in found.probabilities if flag.model == judged and flag.ranking != "hurts"]
    for task in dict.fromkeys(flag.task for flag in spoiled):
        flags = [flag for flag in spoiled if flag.task == task]
        worse = listed([_NAMES[flag.metric] for flag in flags])
        though = " though it ranks better" if flags[0].ranking == "helps" else ""
        told.append(f"{judged} makes the {worse} of {task} worse{though}: calibrate before you use its probabilities as such.")
    return told


_NAMES = {"log_loss": "log loss", "calibration": "calibration", "ece": "ECE"}
