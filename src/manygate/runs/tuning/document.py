"""Builds the document of a search, and the configuration of the tuned settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import torch
import yaml

from manygate.config import RunConfig, TuneConfig
from manygate.data.encoded import EncodedLog
from manygate.report.tuning.words import headline
from manygate.results.tuning import ChosenTrial, FinalRuns, TrialTask, TunedObjective, TunedTrial, TuningDocument
from manygate.runs.tuning.choice import front
from manygate.runs.tuning.importance import importance
from manygate.runs.tuning.ledger import Entry
from manygate.runs.tuning.space import Space
from manygate.runs.tuning.storage import hidden

NOT_TUNED = ("config_version", "replicas", "threads", "device", "checkpoint_seconds", "architectures", "baselines", "tune")
"""Settings that ``tuned.yaml`` leaves to the command that reads it."""


def document(
    log: EncodedLog,
    space: Space,
    tuning: TuneConfig,
    objectives: Sequence[TunedObjective],
    entries: Mapping[int, Entry],
    repeated: int,
    chosen: ChosenTrial,
    final: FinalRuns,
    command: str,
) -> TuningDocument:
    """Return the document. docs/tuning.md describes it."""
    ahead = {entry.number for entry in front(entries.values())}
    shown = {**tuning.model_dump(mode="json"), "space": {name: values.model_dump() for name, values in space.ranges.items()}}
    tree = {
        "tuning_version": TuningDocument.VERSION,
        "manygate_version": version("manygate"),
        "torch_version": torch.__version__,
        "optuna_version": version("optuna"),
        "command": hidden(command),
        "architecture": space.base.architecture,
        "config": space.base.model_dump(mode="json"),
        "tuning": {**shown, "sampler": tuning.chosen_sampler, "storage": hidden(tuning.storage) if tuning.storage else None},
        "schema": log.schema.model_dump(mode="json"),
        "data": log.summary(),
        "headline": headline(space.base.architecture, final.gains),
        "objectives": list(objectives),
        "defaults": space.default_settings(),
        "trials": [_trial(entry, entry.number in ahead) for entry in entries.values()],
        "repeated": repeated,
        "importance": importance(space, entries.values(), len(objectives)),
        "chosen": chosen,
        "final": final,
        "seconds": round(sum(entry.seconds or 0.0 for entry in entries.values()), 3),
    }
    return TuningDocument.model_validate(tree)


def _trial(entry: Entry, on_front: bool) -> TunedTrial:
    about = entry.about
    reason = {"reason": str(about["reason"])} if "reason" in about else {}
    return TunedTrial(
        number=entry.number,
        state=entry.state,
        settings=entry.settings,
        values=list(entry.values),
        scores=about.get("scores", []),
        noise=about.get("noise", []),
        tasks={name: TrialTask.model_validate(task) for name, task in about.get("tasks", {}).items()},
        curve=list(entry.curve.items()),
        epochs=about.get("epochs"),
        seconds=entry.seconds,
        diverged=about.get("diverged", 0),
        front=on_front,
        **reason,
    )


def tuned_yaml(space: Space, chosen: ChosenTrial, objectives: Iterable[TunedObjective]) -> str:
    """Return the tuned settings as a configuration that ``train`` and ``compare`` take: what differs from the defaults of manygate.

    The number of replicas and the machine are left to the command.
    """
    config = space.config(chosen.settings).absolute()
    tree = config.model_dump(mode="json")
    defaults = RunConfig().model_dump(mode="json")
    kept = {
        name: value
        for name, value in tree.items()
        if name not in NOT_TUNED and (name in chosen.settings or name == "architecture" or value != defaults[name])
    }
    names = ", ".join(objective.name for objective in objectives)
    head = f"# Settings of trial {chosen.number} of a search for {names}: {chosen.rule}.\n"
    return head.replace("\x7f", " ") + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120)
