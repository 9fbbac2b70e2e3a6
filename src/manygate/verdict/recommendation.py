"""This module writes a recommendation: a short paragraph that follows from the intervals by fixed rules.

Where the intervals do not decide, it states how many replicas and test rows would decide. The validation scores choose the model.
The test rows judge the chosen model, and never choose one: another model that looks better on them is mentioned as an alternative,
and does not replace the chosen model.
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
"""Sizes of a difference that a user may want to detect, by main metric."""
FEASIBLE = 20
"""The paragraph proposes at most this many times the present replicas or test rows, if a larger difference would need fewer."""
MOST_REPLICAS = 10_000
Gains = Mapping[str, JointGain]


def recommend(
    transfer: Transfer, valid: Mapping[str, MetricSummary], chosen: str | None, baseline: str, main: Mapping[str, str]
) -> Recommendation:
    """Write the recommendation (docs/results.md describes its form).

    ``judged`` is the model that validation chose. If that is the baseline, ``judged`` is the sharing model with the best validation
    score. ``rule`` is one of

    - ``share``: the judged model helps a task beyond doubt and hurts none, and validation chose it;
    - ``share at a price``: the judged model helps some tasks and hurts others (a seesaw);
    - ``separate``: the judged model helps no task and hurts some; or validation chose the baseline, no model helps a task, and some
      model hurts one;
    - ``look again``: validation chose the baseline, but the judged model helps a task and hurts none;
    - ``cannot tell``: none of the rules above holds.

    "Beyond doubt" means that the joint interval does not contain zero.

    Args:
        transfer: The result of :func:`manygate.verdict.transfer.transfer`.
        valid: Each model's validation score, as a summary over replicas.
        chosen: The model that validation chose.
        baseline: The model with a network per task.
        main: Each task's main metric.
    """
    judged = chosen if chosen in transfer.gains else _best(valid, transfer.gains)
    if judged is None:
        text = f"There is nothing to recommend: only {baseline} has a validation score."
        return Recommendation(rule="cannot tell", model=chosen, judged=None, text=text, reasons=[], alternatives=[], needs=[])
    gains = {task: transfer.gains[judged][task][key] for task, key in main.items()}
    rule = _rule(gains, chosen == baseline, transfer, main)
    replicas, looks = len(valid[judged].values), transfer.looks
    undecided = {task: gain for task, gain in gains.items() if gain.joint95 is not None and not sure(gain)}
    needs = [need(task, main[task], gain, replicas, looks) for task, gain in undecided.items()]
    alternatives = _alternatives(transfer, judged, main) if rule != "share" else []
    sentences = [_advice(rule, judged, chosen == baseline, gains, replicas), _alternative_words(alternatives)]
    if rule == "cannot tell":
        sentences.append(_need_words(needs))
    return Recommendation(
        rule=rule,
        model=chosen,
        judged=judged,
        text=" ".join(filter(None, sentences)),
        reasons=[*_harm_words(transfer, judged), *_probability_words(transfer, judged)],
        alternatives=alternatives,
        needs=needs,
    )


def _best(valid: Mapping[str, MetricSummary], names: Iterable[str]) -> str | None:
    known = {name: mean for name in names if (mean := valid[name].mean) is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _rule(gains: Gains, kept_separate: bool, transfer: Transfer, main: Mapping[str, str]) -> Rule:
    """Return the rule that holds; ``kept_separate`` is true if validation chose a model per task."""
    signs = {sure(gain) for gain in gains.values()}
    if signs >= {1, -1}:
        return "share at a price"
    if 1 in signs:
        return "look again" if kept_separate else "share"
    all_signs = {sure(gains_of[task][key]) for gains_of in transfer.gains.values() for task, key in main.items()}
    if -1 in signs or (kept_separate and -1 in all_signs and 1 not in all_signs):
        return "separate"
    return "cannot tell"


def need(task: str, key: str, gain: JointGain, replicas: int, looks: int) -> Need:
    """Return the two parts of an undecided gain's joint half-width, and what would reduce it to each of :data:`SIZES`.

    The parts are those of the seeds and of the test rows.

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
    """Return the replicas (None: more than 10,000), and the factor for the test rows, that reduce a half-width to ``size``.

    If a part is at most size / sqrt(2), it stays as it is, and the other part is reduced so that their root sum of squares is
    ``size``. Otherwise both parts are reduced to size / sqrt(2). The standard error of the test rows is assumed to fall with the
    square root of their number.
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
    """Find by bisection the fewest replicas that give a half-width of at most ``goal``; None if over MOST_REPLICAS."""

    def too_wide(count: int) -> bool:
        return t_quantile(count - 1, level) * sd / math.sqrt(count) > goal

    low, high = 1, MOST_REPLICAS
    if too_wide(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_wide(middle) else (low, middle)
    return high


def _alternatives(transfer: Transfer, judged: str, main: Mapping[str, str]) -> list[Alternative]:
    """List the other models that help a task beyond doubt and hurt none, on the test rows."""
    others = []
    for name, gains_of in transfer.gains.items():
        helped = [task for task, key in main.items() if sure(gains_of[task][key]) > 0]
        unhurt = all(gains_of[task][key].verdict != "hurts" for task, key in main.items())
        if name != judged and helped and unhurt:
            others.append(Alternative(model=name, helps=helped))
    return others


def _advice(rule: Rule, judged: str, kept_separate: bool, gains: Gains, replicas: int) -> str:
    """Write the first sentences: what to do, and why, by the test rows."""
    helped, hurt, unsure = ([task for task in gains if sure(gains[task]) == sign] for sign in (1, -1, 0))
    helps, hurts, best = _effects(helped, gains), _effects(hurt, gains), f"{judged}, the best way of sharing on validation,"
    rest = _rest(unsure, gains)
    if rule == "share":
        return f"Share with {judged}: on the test rows it helps {helps} and hurts no task beyond doubt.{rest}"
    if rule == "share at a price" and kept_separate:
        unless = f"unless {listed(helped)} {_matter(helped)} more"
        return f"Keep one model per task, as validation chose, {unless}: {best} helps {helps} but hurts {hurts}.{rest}"
    if rule == "share at a price":
        return f"Share with {judged} only if you accept the harm: it helps {helps} and hurts {hurts}.{rest}"
    if rule == "separate" and kept_separate and not hurt:
        why = "on the test rows no way of sharing helps a task beyond doubt, and some hurt"
        return f"Keep one model per task, as validation chose: {why}."
    if rule == "separate" and kept_separate:
        return f"Keep one model per task, as validation chose: {best} helps no task beyond doubt and hurts {hurts}.{rest}"
    if rule == "separate":
        chose = f"Validation chose {judged}, but on the test rows it helps no task beyond doubt and hurts {hurts}.{rest}"
        return f"Keep one model per task. {chose}"
    if rule == "look again":
        why = f"{best} helps {helps} on the test rows and hurts no task beyond doubt"
        look = f"If {listed(helped)} {_matter(helped)} most, let validation watch {'it' if len(helped) == 1 else 'one of them'}."
        return f"Look again: validation chose one model per task, but {why}. {look}"
    chose = "Validation chose one model per task, and these" if kept_separate else "These"
    cannot = f"{chose} data cannot tell whether sharing with {judged} helps or hurts"
    if note := interval_note(replicas):
        return f"{cannot}. {note} Train 8 replicas or more."
    if not any(gain.joint95 for gain in gains.values()):
        return f"{cannot}: no gain is defined on the test rows."
    return f"{cannot} any task: every interval that holds for all tasks together contains zero{_widest(gains)}.{_leanings(gains)}"


def _matter(tasks: Sequence[str]) -> str:
    return "matters" if len(tasks) == 1 else "matter"


def _effects(tasks: Sequence[str], gains: Gains) -> str:
    """Write the tasks with their gains and joint intervals."""
    return listed([f"{task} ({number(gains[task].gain, signed=True)}; {interval(gains[task].joint95)})" for task in tasks])


def _rest(unsure: Sequence[str], gains: Gains) -> str:
    """Write the sentences about the tasks whose gains are not beyond doubt."""
    undecided = [task for task in unsure if gains[task].verdict == "cannot tell"]
    undecided_words = f" For {listed(undecided)} these rows cannot tell." if undecided else ""
    return _leanings({task: gains[task] for task in unsure}) + undecided_words


def _leanings(gains: Gains) -> str:
    """Write the sentence about the tasks where ``ci95`` does not contain zero although the joint interval does."""
    leaning = {verb: [task for task in gains if gains[task].verdict == verb] for verb in ("helps", "hurts")}
    phrases = listed([f"likely {verb} {listed(tasks)}" for verb, tasks in leaning.items() if tasks])
    return f" Looked at alone, it {phrases}." if phrases else ""


def _widest(gains: Gains) -> str:
    spans = {task: gain.joint95[1] - gain.joint95[0] for task, gain in gains.items() if gain.joint95}
    task = max(spans, key=lambda name: spans[name], default=None)
    return f" (the widest: {task}, {interval(gains[task].joint95)})" if task else ""


def _alternative_words(alternatives: Sequence[Alternative]) -> str:
    if not alternatives:
        return ""
    phrases = listed([f"{alternative.model} helps {listed(alternative.helps)}" for alternative in alternatives])
    return f"On these test rows {phrases} and hurts no task. Test rows must not choose a model, so test it in another comparison."


def _need_words(needs: Sequence[Need]) -> str:
    """Write what it would take to decide the two tasks with the widest intervals."""
    wide = [need for need in needs if math.hypot(need.seeds, need.test) > need.sizes[0].size]
    if not wide:
        return "If there is a difference, it is too small to matter." if needs else ""
    widest = sorted(wide, key=lambda need: -math.hypot(need.seeds, need.test))[:2]
    return " ".join(_takes(need) for need in widest)


def _takes(need: Need) -> str:
    """Write what it would take to detect the smallest size that is in reach, or else the largest size."""
    size = next((size for size in need.sizes if _in_reach(size, need.replicas)), need.sizes[-1])
    parts = []
    if size.replicas is None:
        parts.append(f"more than {MOST_REPLICAS:,} replicas")
    elif size.replicas > need.replicas:
        parts.append(f"{size.replicas:,} replicas instead of {need.replicas}")
    if size.times_rows > 1:
        parts.append(f"{size.times_rows:,.{0 if size.times_rows >= 10 else 1}f} times the test rows")
    where = f"{size.size:g} in {metric_label(need.metric)} on {need.task}"
    return f"To detect a difference of {where} takes {listed(parts)}." if parts else f"A difference of {where} would be detected."


def _in_reach(size: SizeNeed, replicas: int) -> bool:
    return size.replicas is not None and size.replicas <= FEASIBLE * replicas and size.times_rows <= FEASIBLE


def _harm_words(transfer: Transfer, judged: str) -> list[str]:
    """Write a sentence for each model that hurts a task, with the models that remove the harm.

    If more than three models hurt a task, only two get a sentence, and a last sentence counts the others.
    """
    sentences = []
    harmful = sorted(dict.fromkeys(flag.model for flag in transfer.negative), key=lambda name: name != judged)
    rest = harmful[2:] if len(harmful) > 3 else []
    for name in harmful[: len(harmful) - len(rest)]:
        tasks = [flag.task for flag in transfer.negative if flag.model == name]
        cures: dict[tuple[str, ...], list[str]] = {}
        for task in tasks:
            models = [removal.model for removal in transfer.removed if (removal.of, removal.task) == (name, task)]
            cures.setdefault(tuple(sorted(models, key=lambda name: name != judged)), []).append(task)
        cure_phrases = [
            f"{_some(models)} remove{'s' if len(models) == 1 else ''} this harm for {listed(tasks_cured)}"
            for models, tasks_cured in cures.items()
            if models
        ]
        sentences.append(f"Negative transfer: {name} hurts {listed(tasks)}{'; ' if cure_phrases else ''}{listed(cure_phrases)}.")
    if rest:
        sentences.append(f"Negative transfer: {len(rest)} more models hurt a task: {_some(rest)}.")
    return sentences


def _some(names: Sequence[str]) -> str:
    """Write names for a sentence; if there are more than three, write two and the number of the others."""
    return listed(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} others"


def _probability_words(transfer: Transfer, judged: str) -> list[str]:
    """Write a sentence for each task where the judged model's probabilities are worse although its ranking is not."""
    sentences = []
    spoiled = [flag for flag in transfer.probabilities if flag.model == judged and flag.ranking != "hurts"]
    for task in dict.fromkeys(flag.task for flag in spoiled):
        flags = [flag for flag in spoiled if flag.task == task]
        worse = listed([_NAMES[flag.metric] for flag in flags])
        though = " though it ranks better" if flags[0].ranking == "helps" else ""
        sentences.append(f"{judged} makes the {worse} of {task} worse{though}. Calibrate it before you use its probabilities.")
    return sentences


_NAMES = {"log_loss": "log loss", "calibration": "calibration", "ece": "ECE"}
