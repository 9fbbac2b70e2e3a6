"""This module writes the sentences below the advice: which models do harm, which remove it, and whose probabilities are worse."""

from __future__ import annotations

from collections.abc import Sequence

from manygate.results.comparison import Transfer
from manygate.text import listed


def harm_words(transfer: Transfer, judged: str) -> list[str]:
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


def probability_words(transfer: Transfer, judged: str) -> list[str]:
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
