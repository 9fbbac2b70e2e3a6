"""Training on: a new run that starts from the weights and the vocabularies of a finished one, on a new log.

The schema, the network and all that was fitted stay, since the weights depend on them. Ids that are new in the training rows get
rows (:mod:`manygate.data.growth`, :mod:`manygate.model.growth`). The optimizer, the weighting and the clocks begin anew: a bundle
holds no moments, and those of the kept weights are not those of the last step. Calibrators are fitted again if the settings ask for
them. Those that were fitted later and the fused score are not taken over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manygate.config import RunConfig
from manygate.data.encode import Encoder
from manygate.data.encoded import EncodedLog
from manygate.data.labelled import types_to_read
from manygate.data.sources import open_sources
from manygate.errors import InputError, either, raise_all, setting
from manygate.files import RECORD
from manygate.model.device import choose_device
from manygate.model.growth import grow_model, keep_widths
from manygate.model.start import Start
from manygate.results.evaluation import DataWarning
from manygate.runs.preflight import prepare
from manygate.scoring.bundle import load_bundle
from manygate.scoring.predictor import Predictor
from manygate.text import count_of, listed
from manygate.training.progress import Progress

OF_THE_ROWS = (
    "schema_file",
    "task",
    "group",
    "time",
    "weight",
    "bias",
    "context",
    "ignore",
    "encoding",
    "bins",
    "number_ids",
    "target_statistics",
)
"""Settings of how rows become inputs and labels. They stay as they were."""
OF_THE_NETWORK = (
    "architecture", "dim", "dim_rule", "cross_layers", "cross_rank", "lower_hidden", "experts", "expert_hidden",
    "levels", "level_hidden", "shared_experts", "task_experts", "task_expert_hidden", "bottom_hidden",
    "tower_hidden", "gate", "gate_bias", "gate_features", "temperature", "top_k", "ml_gate_input", "stem_gate_input",
    "stem_gate_hidden", "expert_norm", "fusion", "subspaces", "tucker_ranks", "tucker_init", "gate_hidden",
    "match_parameters", "match_flops", "funnel", "replicas",
)  # fmt: skip
"""Settings of what the network computes. They stay as they were."""


def prepare_to_continue(
    log: Any, config: RunConfig, valid: Any = None, test: Any = None, progress: Progress | None = None
) -> tuple[EncodedLog, RunConfig, Start]:
    """Open a log for training on. Return it encoded, the settings of the run, and the grown weights to start from.

    Args:
        log: The new log: a path, or a dataframe.
        config: ``continued`` names the finished run. Settings that were given replace those of the run.
        valid: Validation rows of their own, or None.
        test: Test rows of their own, or None.
        progress: Shows how far it is.

    Raises:
        InputError: The run has not ended, settings were given that would change its network, or the log does not fit.
    """
    assert config.continued is not None
    run = Path(config.continued)
    at = either(f"continued={config.continued!r}", f"--continue {config.continued}")
    if (run / RECORD).is_file() and not (run / "DONE").is_file():
        remedy = either("resume=True", f"manygate train --resume {run}")
        raise InputError(f"{at}: this run has not ended. Continue it first with {remedy}.")
    before = load_bundle(run, str(choose_device(config.device)))
    if before.model.by_task:
        raise InputError(
            f"{at}: this run kept a copy of the network for each task ({setting('keep', 'best-per-task')}), and one network is "
            f"trained on. Train it with another {setting('keep')}."
        )
    settings = continued_settings(config, before.model.config, at)
    known = keep_widths(before.encoder, before.problem, before.model.config)
    read = before.log.files_read if before.log else {}
    log, left = _new_files(log, settings, known, read, at)
    encoded = prepare(log, settings, None, valid, test, progress=progress, known=known)
    _refuse_same_rows(before, encoded, at)
    encoded.record = encoded.record.model_copy(update={"earlier_files": read})
    if left:
        text = f"{count_of(left, 'file')} of the log that the earlier run had read, and that did not change, trained nothing here."
        encoded.warnings.append(DataWarning(level="note", text=text))
    encoded.warnings += _notes(before, encoded, settings)
    return encoded, settings, Start(grow_model(before.model, encoded.encoder))


def _new_files(log: Any, config: RunConfig, known: Encoder, read: dict[str, int], at: str) -> tuple[Any, int]:
    """Leave out the files of a log that earlier runs read, by their paths and sizes. Return the log and the number of these files.

    Raises :class:`InputError` if there is no other file.
    """
    if not read:
        return log, 0
    sources = open_sources(log, config, types=types_to_read(known))
    files = sources.train.files()
    old = {path for path, size in files.items() if read.get(path) == size}
    if not old or sources.folder is not None:
        return log, 0
    if len(old) == len(files):
        raise InputError(f"{sources.name}: {at} and the runs before it have read every file of this log. Name new rows.")
    return sources.train.without_files(old), len(old)


def continued_settings(config: RunConfig, before: RunConfig, at: str) -> RunConfig:
    """Return the settings of a run, and those that were given in their place. Validation and test rows are never those of the run.

    Raises :class:`InputError` that lists all settings which cannot change. ``at`` names the run.
    """
    before = before.replace(log=None, valid=None, test=None, match_parameters=None, match_flops=None)
    given = {name: getattr(config, name) for name in RunConfig.model_fields if name in config.model_fields_set}
    fixed = dict.fromkeys(OF_THE_ROWS, "the rows become inputs as they did") | dict.fromkeys(OF_THE_NETWORK, "the network stays")
    problems = [
        f"{setting(name, given[name])}: {at} has {getattr(before, name)!r}, and {why}. Leave it out, or train a new run."
        for name, why in fixed.items()
        if name in given and given[name] != getattr(before, name)
    ]
    if given.get("split", before.split) == "progressive":
        problems.append(
            f"{setting('split', 'progressive')}: a run is not trained on day by day. Divide the new log otherwise, for example "
            f"with {setting('split', 'time')}."
        )
    raise_all(problems)
    return before.replace(**given)


def _refuse_same_rows(before: Predictor, log: EncodedLog, at: str) -> None:
    """Raise an :class:`InputError` if the log is the one that the run was trained on."""
    old, new = before.log.table("train") if before.log else None, log.record.table("train")
    if old is not None and new is not None and old.same_rows(new):
        raise InputError(f"{log.source}: {at} was trained on these very rows. Name the new rows alone.")


def _notes(before: Predictor, log: EncodedLog, settings: RunConfig) -> list[DataWarning]:
    """Say how many ids are new, and what is not taken over."""
    new = [f"{count_of(number, 'id')} of {name}" for name, number in log.new_ids.items() if number]
    texts = [f"new in these rows, with a row of their own from now on: {listed(new)}." if new else "no id is new in these rows."]
    if before.fusion is not None and before.fusion.active:
        texts.append("the fused score of the earlier run is not taken over. Set it again with manygate fuse.")
    if before.calibration is not None and settings.calibration == "none":
        texts.append("the calibrators of the earlier run are not taken over. Fit them again with manygate calibrate.")
    return [DataWarning(level="note", text=text) for text in texts]
