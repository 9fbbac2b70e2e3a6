"""Tuning: the result of a search for settings, with the models that it trained at the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import JsonValue

from manygate.config import TuneConfig
from manygate.errors import InputError
from manygate.model.device import choose_device
from manygate.ranker.arguments import build_config, progress_mode, read_schema, refuse_arrays
from manygate.ranker.ranker import Ranker
from manygate.report.tuning.page import write_tuning_page
from manygate.results.comparison import TaskGain
from manygate.results.tuning import TuningDocument
from manygate.runs.folder import sources_of
from manygate.runs.preflight import prepare
from manygate.runs.run import with_batches
from manygate.runs.tuning.final import DEFAULT, TUNED
from manygate.runs.tuning.folder import study_folder
from manygate.runs.tuning.run import plan, tune_run
from manygate.schema.reading import validated
from manygate.scoring.bundle import load_bundle
from manygate.training.progress import ProgressMode, open_progress


class Tuning:
    """The result of :func:`manygate.tune`. ``document`` has the content of ``tuning.json`` as attributes."""

    def __init__(self, document: TuningDocument, models: Mapping[str, Ranker]):
        self.document = document
        self._models = dict(models)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read the search in a folder, with its models."""
        folder = Path(path)
        if not (folder / "tuning.json").is_file():
            raise InputError(f"{path}: no search here (no tuning.json). Give the folder of a finished search.")
        document = TuningDocument.read(folder / "tuning.json")
        places = {DEFAULT: DEFAULT, TUNED: f"trial-{document.chosen.number}"}
        models = {
            name: Ranker.trained(load_bundle(folder / "final" / places[name], str(choose_device(device))))
            for name in document.final.results
        }
        return cls(document, models)

    @property
    def best_settings(self) -> dict[str, JsonValue]:
        """The tuned settings, as keyword arguments of :class:`manygate.Ranker`: those that were searched, and the architecture."""
        return {"architecture": self.document.architecture, **self.document.chosen.settings}

    @property
    def gains(self) -> dict[str, TaskGain]:
        """What each task gains over the default settings on test rows: ``gain``, ``ci95``, ``joint95``. Empty if these won."""
        return dict(self.document.final.gains or {})

    def ranker(self) -> Ranker:
        """The model with the tuned settings and all its replicas; that with the default settings if these won."""
        return self._models.get(TUNED) or self._models[DEFAULT]

    def default_ranker(self) -> Ranker:
        """The model with the default settings and all its replicas."""
        return self._models[DEFAULT]

    def to_table(self) -> pa.Table:
        """A pyarrow Table with a row for each trial.

        Columns: number, state, a column for each objective (as in ``values`` of the document: higher is better), seconds, and a
        column for each setting, as JSON where it is a list.
        """
        names = [objective.name for objective in self.document.objectives]
        rows = []
        for trial in self.document.trials:
            values: list[float | None] = [*trial.values] or [None] * len(names)
            settings = {name: str(value) if isinstance(value, list) else value for name, value in trial.settings.items()}
            row: dict[str, object] = {"number": trial.number, "state": trial.state, **dict(zip(names, values, strict=True))}
            rows.append({**row, "seconds": trial.seconds, **settings})
        return pa.Table.from_pylist(rows)

    def report(self, path: str | Path) -> None:
        """Write the HTML page."""
        write_tuning_page(self.document, Path(path))

    def __repr__(self) -> str:
        return self.document.headline

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.document.headline)}</b></p>"


def tune_log(
    keywords: Mapping[str, Any],
    log: Any,
    valid: Any = None,
    test: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressMode | bool = "auto",
) -> Tuning:
    """Search with the settings that ``keywords`` give; see :func:`manygate.tune`."""
    refuse_arrays(log, valid)
    if overwrite and out is None:
        raise InputError("overwrite=True: there is no out, so there is no run to overwrite. Give out=FOLDER.")
    named, settings = _divided(keywords)
    config = build_config(settings, log, valid, test)
    given = tuple(config.model_fields_set)
    show = open_progress(progress_mode(progress))
    encoded = prepare(log, config, read_schema(keywords.get("schema")), valid, test, progress=show)
    config = with_batches(config.absolute(), encoded, show)
    space, tuning, objectives = plan(encoded, config, named, given)
    folder, reads = Path(out) if out is not None else None, sources_of(config, log, valid, test)
    held = nullcontext() if folder is None else study_folder(folder, config, tuning, encoded.record, overwrite, "", reads)
    with held:
        document, trained = tune_run(encoded, space, tuning, objectives, folder, show)
    return Tuning(document, {name: Ranker.trained(run.predictor) for name, run in trained.items()})


def _divided(keywords: Mapping[str, Any]) -> tuple[TuneConfig, dict[str, Any]]:
    """Divide keyword arguments into the settings of a search and those of a run."""
    own = {name: value for name, value in keywords.items() if name in TuneConfig.model_fields and value is not None}
    settings = {name: value for name, value in keywords.items() if name not in TuneConfig.model_fields}
    tuning: TuneConfig = validated(TuneConfig, own, "")
    return tuning, settings
