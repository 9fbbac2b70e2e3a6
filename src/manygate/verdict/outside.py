"""This module writes how the networks of a comparison stand to models from outside, such as LightGBM.

The network that validation chose is the subject: it is the one to use. "Beyond doubt" means that the joint interval does not
contain zero. A baseline is never the choice. If it is ahead of every network on a task, the text says so, because the verdicts on
sharing then compare models that are all weaker than what users have today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from manygate.results.summary import JointGain
from manygate.text import interval, listed, number
from manygate.verdict.transfer import sure

Gains = Mapping[str, Mapping[str, Mapping[str, JointGain]]]
"""The gains of networks over baselines: by network, baseline and task."""
TITLES = {"lightgbm": "LightGBM", "logistic": "logistic regression", "constant": "the constant prediction"}


def outside_words(gains: Gains, chosen: str | None) -> list[str]:
    """Write a sentence or two for each baseline; ``chosen`` is the network that validation chose."""
    baselines = dict.fromkeys(baseline for by_baseline in gains.values() for baseline in by_baseline)
    lines = []
    for baseline in baselines:
        of_network = {network: by_baseline[baseline] for network, by_baseline in gains.items() if by_baseline[baseline]}
        if of_network:
            lines.append(" ".join(filter(None, (_chosen_words(of_network, baseline, chosen), _every_words(of_network, baseline)))))
    return lines


def headline_words(gains: Gains, chosen: str | None) -> str:
    """Write which baselines are ahead of the chosen network beyond doubt, and on which tasks; nothing where none is."""
    phrases = []
    for baseline, by_task in gains.get(chosen or "", {}).items():
        ahead = [task for task, gain in by_task.items() if sure(gain) < 0]
        phrases += [f"{TITLES[baseline]} on {listed(ahead)}"] if ahead else []
    return f"But {chosen} is behind {listed(phrases)}." if phrases else ""


def ahead_of_every(gains: Mapping[str, Mapping[str, JointGain]]) -> list[str]:
    """List the tasks on which a baseline is ahead of every network, beyond doubt. ``gains`` are by network and task."""
    tasks = dict.fromkeys(task for by_task in gains.values() for task in by_task)
    return [task for task in tasks if all(sure(by_task[task]) < 0 for by_task in gains.values())]


def _chosen_words(gains: Mapping[str, Mapping[str, JointGain]], baseline: str, chosen: str | None) -> str:
    """Write on which tasks the baseline is ahead of the chosen network, or behind it."""
    if chosen not in gains:
        return ""
    by_task, title = gains[str(chosen)], TITLES[baseline]
    if not any(entry.joint95 for entry in by_task.values()):
        known = {task: entry for task, entry in by_task.items() if entry.gain is not None}
        differences = listed([f"{task} {number(-(entry.gain or 0.0), signed=True)}" for task, entry in known.items()])
        why = next((f" {entry.reason}" for entry in by_task.values() if entry.reason), "")
        return _sentence(f"{title} minus {chosen}: {differences or 'undefined'}, without intervals.{why}")
    ahead, behind, unsure = ([task for task in by_task if sure(by_task[task]) == sign] for sign in (-1, 1, 0))
    parts = [f"{title} is ahead of {chosen} on {_sizes(ahead, by_task, -1)}"] if ahead else []
    parts += [f"{chosen} is ahead of {title} on {_sizes(behind, by_task, 1)}"] if behind else []
    leaning = _leanings({task: by_task[task] for task in unsure}, title, str(chosen))
    if not parts:
        return f"These rows cannot tell whether {title} is ahead of {chosen} or behind it on any task.{leaning}"
    undecided = [task for task in unsure if by_task[task].verdict == "cannot tell"]
    rest = f" On {listed(undecided)} these rows cannot tell." if undecided else ""
    return f"{_sentence('; '.join(parts))}.{leaning}{rest}"


def _leanings(gains: Mapping[str, JointGain], title: str, chosen: str) -> str:
    """Write the tasks whose own interval lies on one side of zero, although the joint interval does not."""
    phrases = []
    for verdict, name, sign in (("hurts", title, -1), ("helps", chosen, 1)):
        sizes = [f"{task} by {number(sign * (gain.gain or 0.0))}" for task, gain in gains.items() if gain.verdict == verdict]
        phrases += [f"{name} is likely ahead on {listed(sizes)}"] if sizes else []
    return f" Looked at alone, {' and '.join(phrases)}." if phrases else ""


def _every_words(gains: Mapping[str, Mapping[str, JointGain]], baseline: str) -> str:
    """Write whether the baseline is ahead of every network on a task, or of none on any while some network is ahead of it."""
    tasks, title = ahead_of_every(gains), TITLES[baseline]
    if tasks and len(gains) > 1:
        return (
            f"On {listed(tasks)} {title} is ahead of every network, so the verdicts on sharing compare models that are all weaker "
            "there."
        )
    entries = [entry for by_task in gains.values() for entry in by_task.values()]
    signs = {sure(entry) for entry in entries if entry.joint95}
    if all(entry.joint95 for entry in entries) and 1 in signs and -1 not in signs:
        return f"{_sentence(title)} is ahead of no network on any task beyond doubt."
    return ""


def _sizes(tasks: Sequence[str], gains: Mapping[str, JointGain], sign: int) -> str:
    """Write tasks with the size of the difference and its joint interval. ``sign`` is -1 if the baseline is ahead."""
    phrases = []
    for task in tasks:
        low, high = gains[task].joint95 or (0.0, 0.0)
        bounds = (low, high) if sign > 0 else (-high, -low)
        phrases.append(f"{task} by {number(sign * (gains[task].gain or 0.0))} ({interval(bounds)})")
    return listed(phrases)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith(tuple(title for title in TITLES.values())) else text
