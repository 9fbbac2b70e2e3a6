"""A search from the log to the page: trials, the choice among them, and the final training."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from manygate.config import REPLICA_SETTINGS, ModelConfig, RunConfig, TuneConfig
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError, raise_all, setting
from manygate.files import locked, to_json, write_text
from manygate.model.problem import Problem
from manygate.report.tuning.page import write_tuning_page
from manygate.results.tuning import TunedObjective, TuningDocument
from manygate.runs.folder import record
from manygate.runs.preflight import problems_of
from manygate.runs.run import FREE_SETTINGS, Trained
from manygate.runs.tuning.choice import choose
from manygate.runs.tuning.document import document, tuned_yaml
from manygate.runs.tuning.final import train_final
from manygate.runs.tuning.ledger import Ledger
from manygate.runs.tuning.objectives import find_objectives
from manygate.runs.tuning.proposal import optuna
from manygate.runs.tuning.space import Space, find_space
from manygate.runs.tuning.storage import open_storage
from manygate.runs.tuning.study import Study
from manygate.text import cut
from manygate.training.progress import Progress

Result = TypeVar("Result")


def plan(
    log: EncodedLog, config: RunConfig, tuning: TuneConfig, given: Iterable[str] = ()
) -> tuple[Space, TuneConfig, list[TunedObjective]]:
    """Return the space, the settings of the search with it, and the objectives, all checked.

    ``config`` has a size of the batch; ``given`` names the settings with a value of the user. Raises one :class:`InputError` with
    all problems, before any trial begins.
    """
    optuna()
    problems = [
        f"{setting(name)}: a search gives its replicas seeds and settings of its own. Leave it out."
        for name in REPLICA_SETTINGS
        if getattr(config, name)
    ]
    problem = Problem.of(log.encoder, config)
    space = _tried(problems, lambda: find_space(problem, config, tuning, given))
    objectives = _tried(problems, lambda: find_objectives(tuning, config, log.schema.tasks, log.parts["valid"]))
    if space is not None:
        problems += _too_large(log, space)
    raise_all(problems)
    assert space is not None
    assert objectives is not None
    return space, tuning.model_copy(update={"space": dict(space.ranges)}), objectives


def _tried(problems: list[str], work: Callable[[], Result]) -> Result | None:
    """Call ``work``. Its problems are added to the others, and the result is then None."""
    try:
        return work()
    except InputError as error:
        problems += error.marked
        return None


def _too_large(log: EncodedLog, space: Space) -> Iterator[str]:
    """Find values with which the network cannot be built, the others being the defaults, and networks that do not fit in memory."""
    for name, values in space.ranges.items():
        for value in values.samples() if name in ModelConfig.model_fields else ():
            found = problems_of(log, space.base.replace(**{name: value}))
            if found:
                yield f"{name}: its range holds {cut(value)}, with which the network cannot be trained. {found[0]}"
                break


def tune_run(
    log: EncodedLog,
    space: Space,
    tuning: TuneConfig,
    objectives: Sequence[TunedObjective],
    folder: Path | None,
    progress: Progress,
    command: str = "",
) -> tuple[TuningDocument, dict[str, Trained]]:
    """Run the trials with the processes that share them, then train the chosen settings again. Return the document and the models.

    With a folder the results are written there by one process. The others wait for it and read them.
    """
    study = open_study(log, space, tuning, objectives, folder, progress)
    entries = study.run()
    chosen = choose(entries, tuning.pick)
    progress.say(f"trial {chosen.number} is chosen: {chosen.rule}")
    with nullcontext() if folder is None else locked(folder / "final", math.inf):
        final, trained = train_final(log, space, tuning, chosen, folder, progress)
        results = document(log, space, tuning, objectives, entries, study.ledger.repeated(), chosen, final, command)
        if folder is not None and not _is_written(folder, results):
            (folder / "DONE").unlink(missing_ok=True)
            write_text(folder / "schema.yaml", log.schema.to_yaml())
            write_text(folder / "tuned.yaml", tuned_yaml(space, chosen, objectives))
            write_text(folder / "tuning.json", to_json(results.to_tree()))
            write_tuning_page(results, folder / "report.html")
            record(folder)
            write_text(folder / "DONE", "")
    return results, trained


def open_study(
    log: EncodedLog,
    space: Space,
    tuning: TuneConfig,
    objectives: Sequence[TunedObjective],
    folder: Path | None,
    progress: Progress,
) -> Study:
    """Open the study whose trials are recorded in a folder or a database, or begin it."""
    ledger = Ledger(open_storage(tuning.storage, folder), tuning.study, len(objectives), description(log, space, tuning))
    return Study(log, space, tuning, objectives, ledger, folder, progress)


def _is_written(folder: Path, results: TuningDocument) -> bool:
    """Return whether the results in a folder are these. With another trial picked they are written again."""
    if not (folder / "DONE").is_file():
        return False
    return TuningDocument.read(folder / "tuning.json").chosen == results.chosen


def description(log: EncodedLog, space: Space, tuning: TuneConfig) -> dict[str, JsonValue]:
    """Return what the processes of a study must have in common. The keys stand in the error if one differs."""
    settings = space.base.replace(**FREE_SETTINGS).model_dump(mode="json")
    return {
        "log": log.fingerprint(""),
        "set_of_default_settings": hashlib.sha256(to_json(settings).encode()).hexdigest()[:32],
        "search_space": {name: values.model_dump() for name, values in space.ranges.items()},
        "max_units": tuning.max_units,
        "number_of_trials": tuning.trials,
        "sampler": tuning.chosen_sampler,
        "list_of_objectives": list(tuning.objective),
        "pruning": tuning.pruning,
        "size_of_rounds": tuning.round,
    }
