"""This module writes a recommendation: a headline and a short paragraph that follow from the intervals by fixed rules.

The validation scores choose the model. The test rows judge the chosen model, and never choose one: another model that looks better
on them is mentioned as an alternative, and does not replace the chosen model. What to use goes by the gain as shipped; where only
the price of one checkpoint stands in the way, the advice is a checkpoint for each task. Where the intervals do not decide, the
recommendation states how many replicas and test rows would decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from manygate.metrics.uncertainty import interval
from manygate.results.comparison import Alternative, Price, Recommendation, TaskGain, Transfer
from manygate.results.summary import MetricSummary
from manygate.text import listed
from manygate.verdict.advice import advice, headline, price_words
from manygate.verdict.few_labels import Labels, change_words, headline_words, too_few
from manygate.verdict.judged import Judged
from manygate.verdict.needs import need, need_words
from manygate.verdict.power import power_of_few
from manygate.verdict.reasons import harm_words, probability_words
from manygate.verdict.rules import decide
from manygate.verdict.transfer import sure

Shipped = Mapping[str, Mapping[str, TaskGain]]
Prices = Mapping[str, Mapping[str, Price]]


def recommend(
    transfer: Transfer,
    shipped: Shipped,
    price: Prices,
    valid: Mapping[str, MetricSummary],
    chosen: str | None,
    baseline: str,
    main: Mapping[str, str],
    labels: Labels | None = None,
) -> Recommendation:
    """Write the recommendation (docs/results.md describes its form).

    ``judged`` is the model that validation chose. If that is the baseline, ``judged`` is the sharing model with the best validation
    score. ``rule`` is one of

    - ``share``: as shipped, the judged model helps a task beyond doubt and hurts none, and validation chose it;
    - ``one checkpoint per task``: not so as shipped, but with a checkpoint for each task;
    - ``trade-off``: the judged model helps some tasks and hurts others (a seesaw);
    - ``separate``: the judged model helps no task and hurts some; or validation chose the baseline, no model helps a task, and some
      model hurts one;
    - ``look again``: validation chose the baseline, but the judged model helps a task and hurts none;
    - ``cannot tell``: none of the rules above holds.

    "Beyond doubt" means that the joint interval does not contain zero.

    Args:
        transfer: The result of :func:`manygate.verdict.transfer.transfer`: the effects of sharing.
        shipped: Each sharing model's gains with the checkpoint that it keeps.
        price: The differences of the two.
        valid: Each model's validation score, as a summary over replicas.
        chosen: The model that validation chose.
        baseline: The model with a network per task.
        main: Each task's main metric.
        labels: The labels of each task and part. An undecided task with few labels on test is named in the headline.
    """
    labels = labels or {}
    name = judged_model(valid, chosen, transfer.gains)
    if name is None:
        text = f"There is nothing to recommend: only {baseline} has a validation score."
        return _nothing(chosen, text)
    models = {model: _judged(model, transfer, shipped, price, main) for model in transfer.gains}
    judged, kept_separate = models[name], chosen == baseline
    others = [outcome for model in models.values() for outcome in (model.as_shipped, model.per_task)]
    rule = decide(judged.as_shipped, judged.per_task, kept_separate, others)
    replicas, looks = len(valid[name].values), transfer.looks[name]
    undecided = {task: gain for task, gain in judged.shipped.items() if gain.joint95 is not None and not sure(gain)}
    few = too_few(labels, [task for task, gain in judged.shipped.items() if not sure(gain)])
    needs = [need(task, main[task], gain, replicas, looks) for task, gain in undecided.items()]
    alternatives = _alternatives(models, name) if rule != "share" else []
    weak = power_of_few({task: gain for task, gain in judged.effect.items() if task not in few}, main, replicas, looks)
    wanted = need_words([need for need in needs if need.task not in few])
    sentences = [advice(rule, judged, kept_separate, replicas), _alternative_words(alternatives)]
    return Recommendation(
        rule=rule,
        headline=" ".join(filter(None, [headline(rule, judged, kept_separate), headline_words(labels, few)])),
        model=chosen,
        judged=name,
        text=" ".join(filter(None, sentences)),
        reasons=[*price_words(rule, judged), *harm_words(transfer, name), *probability_words(transfer, name)],
        could_change=[
            *(change_words(labels, task) for task in few),
            *filter(None, [weak.text if weak else "", wanted, _choice_words(valid, chosen)]),
        ],
        alternatives=alternatives,
        needs=needs,
        power=weak,
    )


def judged_model(valid: Mapping[str, MetricSummary], chosen: str | None, sharing: Iterable[str]) -> str | None:
    """Return the sharing model that the test rows judge: the chosen one, or else the best on validation."""
    names = list(sharing)
    if chosen in names:
        return chosen
    known = {name: mean for name in names if (mean := valid[name].mean) is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _nothing(chosen: str | None, text: str) -> Recommendation:
    return Recommendation(
        rule="cannot tell",
        headline=text,
        model=chosen,
        judged=None,
        text=text,
        reasons=[],
        could_change=[],
        alternatives=[],
        needs=[],
    )


def _judged(name: str, transfer: Transfer, shipped: Shipped, price: Prices, main: Mapping[str, str]) -> Judged:
    return Judged(name, {task: transfer.gains[name][task][key] for task, key in main.items()}, shipped[name], price[name])


def _alternatives(models: Mapping[str, Judged], judged: str) -> list[Alternative]:
    """List the other models that, as shipped, help a task beyond doubt and hurt none, on the test rows."""
    others = []
    for name, model in models.items():
        unhurt = all(gain.verdict != "hurts" for gain in (*model.effect.values(), *model.shipped.values()))
        if name != judged and model.as_shipped.helped and unhurt:
            others.append(Alternative(model=name, helps=list(model.as_shipped.helped)))
    return others


def _alternative_words(alternatives: Sequence[Alternative]) -> str:
    if not alternatives:
        return ""
    phrases = listed([f"{alternative.model} helps {listed(alternative.helps)}" for alternative in alternatives])
    rest = "Test rows must not choose a model, so test it in another comparison."
    return f"On these test rows {phrases} and clearly hurts no task. {rest}"


def _choice_words(valid: Mapping[str, MetricSummary], chosen: str | None) -> str:
    """Write that the replicas do not separate the chosen model from the second on validation, where that is so."""
    mean = {name: summary.mean for name, summary in valid.items() if summary.mean is not None and name != chosen}
    if chosen is None or not mean:
        return ""
    second = max(mean, key=lambda name: mean[name])
    pairs = zip(valid[chosen].values, valid[second].values, strict=True)
    ahead = interval([one - other for one, other in pairs if one is not None and other is not None])
    if ahead.ci95 is not None and ahead.ci95[0] > 0:
        return ""
    return f"Validation does not separate {chosen} from {second}: more replicas or validation rows could change the choice."
