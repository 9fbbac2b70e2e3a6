"""The Python interface: Ranker and compare, with the settings of the configuration as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from manygate.config import RunConfig
from manygate.config.names import CalibrationMethod
from manygate.data.encode import Encoder
from manygate.data.encoded import encode_labelled, labelled_table, validation_rows
from manygate.data.frames import like_source
from manygate.data.table import Table
from manygate.errors import InputError, raise_all
from manygate.evaluation.evaluate_log import evaluate_log
from manygate.evaluation.gates import gate_table
from manygate.evaluation.task_report import task_report
from manygate.inspection.look import PARTS, REPLICAS, ROWS, inspect_log, read_history
from manygate.model import MultiTaskModel
from manygate.model.device import choose_device
from manygate.report import headline, html_summary, write_report
from manygate.report.inspection.page import html_alarms, summary, write_page
from manygate.results.comparison import ComparisonDocument, Recommendation
from manygate.results.evaluation import CalibrationReport, Epoch, LogEvaluation, RunResult
from manygate.results.fusion import FusionFormula, FusionSearch
from manygate.results.inspection import Alarm, InspectionDocument
from manygate.results.summary import MetricGain
from manygate.runs.comparison import compare_run
from manygate.runs.folder import check_folder, open_folder
from manygate.runs.preflight import prepare
from manygate.runs.run import train_run
from manygate.schema import Schema
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.calibration import Calibration, calibration_problems
from manygate.scoring.calibration_fit import fit_calibration
from manygate.scoring.fusion import Fusion, now, parse_fusion
from manygate.scoring.fusion_search import Sampler, found_fusion, plan_search, search
from manygate.scoring.judged import judged_rows
from manygate.scoring.predictor import Predictor
from manygate.training.progress import ProgressMode, open_progress


class Ranker:
    """A multi-task ranking model: one network that predicts several labels of the same impression.

    The settings are those of :class:`manygate.config.RunConfig`: ``task``, ``architecture``, ``experts``, ``replicas``, ``seed``,
    ``learning_rate``, and so on. Unknown ones are refused with the nearest known name.

    >>> import pyarrow as pa
    >>> log = pa.table({"item": ["a", "b"] * 50, "age": list(range(100)), "click": [0, 1] * 50, "like": [1, 0, 0, 1] * 25})
    >>> ranker = Ranker(task=["click", "like"], epochs=1, threads=1).fit(log, progress="none")
    >>> ranker.predict(log.slice(0, 3)).column_names
    ['click', 'like']
    """

    def __init__(self, **settings: Any):
        self.config = RunConfig.build(settings)
        self.document: ComparisonDocument | None = None
        self._predictor: Predictor | None = None

    def fit(
        self,
        log: Any,
        valid: Any = None,
        test: Any = None,
        *,
        schema: Schema | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: ProgressMode = "auto",
    ) -> Self:
        """Train on a log: a path (Parquet, CSV, Arrow; file, folder or glob) or any dataframe.

        Without ``valid`` and ``test`` the log is split (80/10/10 at random unless set). The best weights on validation are kept;
        test rows are used for ``document`` alone. ``out`` writes the run's folder, ``resume`` continues it.
        Raises :class:`manygate.InputError`, listing every problem found.
        """
        folder = Path(out) if out is not None else None
        config = self.config.replace(log=str(log)) if isinstance(log, str | Path) else self.config
        if folder is not None:
            check_folder(folder, resume, overwrite)
        show = open_progress(progress)
        encoded = prepare(log, config, schema, valid, test)
        if folder is not None:
            open_folder(folder, config, resume, overwrite)
        trained, self.document = train_run(encoded, config, folder, show)
        self._predictor = trained.predictor
        return self

    def predict(self, frame: Any, raw: bool = False) -> Any:
        """Scores in the same kind of frame, one column per task: probabilities, or values in the label's unit.

        Calibrated where there is a ``calibration``, and with the score of the ``fusion`` where there is one; ``raw`` leaves
        both out. Needs the features only (bias features not even these); unseen ids, nulls and new extremes are fine.
        """
        return (self.predictor.uncorrected() if raw else self.predictor).predict(frame)

    def evaluate(self, log: Any) -> LogEvaluation:
        """Every metric of every task on a labelled log; see :func:`manygate.evaluation.evaluate_log.evaluate_log` for the form."""
        return evaluate_log(self.predictor, log)

    def calibrate(
        self, log: Any = None, *, method: CalibrationMethod = "isotonic", task: str | Sequence[str] = ()
    ) -> CalibrationReport:
        """Fit a calibrator for each binary task, or those of ``task``, and apply it from now on; ``none`` takes them out.

        ``log`` holds labelled rows that trained nothing; of a data set's folder, the valid part; without it, the validation rows of
        the run's own log. Calibrators of other tasks stay. Returns ``log``, ``rows`` and ``tasks`` as
        :meth:`evaluate` does, on the rows of the fit.
        """
        task = listed(task)
        raise_all(calibration_problems(self.schema, method, task))
        if method == "none":
            kept = {n: one for n, one in (self.calibration or Calibration({})).tasks.items() if task and n not in task}
            self.calibration = Calibration(kept, self.calibration.fitted) if kept and self.calibration else None
            return CalibrationReport(log=None, rows=0, tasks={})
        table = self._validation(log)
        rows, problem = encode_labelled(self.encoder, table), self.predictor.problem
        logit_RNT = self.predictor.logits(rows)
        fitted = fit_calibration(logit_RNT, rows, problem, method, task or None, table.name)
        self.calibration = self.calibration.updated(fitted) if self.calibration else fitted
        report = task_report(logit_RNT, rows, problem, fitted)
        return CalibrationReport(log=table.name, rows=len(rows), tasks={name: report[name] for name in fitted.tasks})

    def fuse(
        self, weights: str | Mapping[str, float] = "", feature: str | Sequence[str] = (), *, name: str = "score", note: str = ""
    ) -> Fusion:
        """Set the formula of the score by hand: ``fuse({"click": 1, "buy": 0.5}, ["duration:log=0.3"])``.

        :meth:`predict` then adds a column ``name``. See :mod:`manygate.scoring.fusion`; :meth:`search_fusion` finds weights.
        """
        made = {"how": "by hand", "when": now()}
        known = self.predictor.names
        return self._fuse(parse_fusion(weights, listed(feature), known, name=name, note=note, made=made))

    def search_fusion(
        self,
        log: Any = None,
        objective: str | Sequence[str] = (),
        *,
        factors: str | Sequence[str] = (),
        feature: str | Sequence[str] = (),
        trials: int = 200,
        sampler: Sampler = "tpe",
        seed: int = 0,
        name: str = "score",
        note: str = "",
    ) -> FusionSearch:
        """Find the weights that rank the visits of a log best, and use them from now on.

        ``objective`` is one of, or a list of ``TASK/METRIC`` or ``TASK/METRIC=WEIGHT``, with a metric of ndcg, ndcg@K, gain,
        gain@K and gauc. ``factors`` are the predictions to weigh (default: every task's), ``feature`` more factors, NAME:TRANSFORM.
        ``log`` as in :meth:`calibrate`; never search on rows that are to judge the result. Returns the content of
        ``fusion-search.json``; :func:`manygate.report.fusion.write_search_page` draws it.
        """
        kinds = {task.name: task.kind for task in self.schema.tasks}
        wishes, columns = listed(objective), self.predictor.names
        plan = plan_search(wishes, kinds, columns, listed(factors), listed(feature), trials, sampler, seed)
        table = self._validation(log)
        result = search(judged_rows(self.predictor, table, plan.features), plan)
        fusion = self._fuse(found_fusion(result, name, note, when=now(), log=table.name))
        return result.model_copy(update={"log": table.name, "fusion": FusionFormula.model_validate(fusion.tree())})

    def _fuse(self, fusion: Fusion) -> Fusion:
        fusion.check(self.predictor.names)
        self.fusion = fusion.after(self.fusion)
        return self.fusion

    def _validation(self, log: Any) -> Table:
        """Labelled rows to fit on: those given, or the validation rows of the run's own log."""
        if log is not None:
            return labelled_table(self.encoder, log, "valid")
        if self.config.log is None:
            raise InputError("no log is given. This model was trained on a dataframe; give labelled rows that trained nothing.")
        return validation_rows(self.config, self.config.log, self.schema)

    def gates(self, frame: Any) -> Any:
        """Mean and sd of each gate weight: a frame with columns replica, level, task, expert, mean, sd.

        Empty for schemes without gates. Experts of different replicas have nothing to do with each other.
        """
        return like_source(gate_table(self.predictor, frame), frame)

    def save(self, path: str | Path) -> None:
        """Write a bundle: safetensors, JSON and Arrow with checksums; no pickle."""
        save_bundle(Path(path), self.predictor)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read a bundle, or the one in a run's folder, after checking every file."""
        predictor = load_bundle(path, str(choose_device(device)))
        ranker = cls(**predictor.model.config.model_dump())
        ranker._predictor = predictor
        evaluation = Path(path) / "evaluation.json"
        ranker.document = ComparisonDocument.read(evaluation) if evaluation.is_file() else None
        return ranker

    def report(self, path: str | Path) -> None:
        """Write the HTML report of the training run."""
        if self.document is None:
            raise InputError("this ranker has no training run to report on: it was loaded from a bundle alone, or not fitted.")
        write_report(self.document, Path(path))

    @property
    def schema(self) -> Schema:
        return self.encoder.schema

    @property
    def predictor(self) -> Predictor:
        """The model with its encoder, calibration and fusion. Raises :class:`manygate.InputError` before :meth:`fit`."""
        if self._predictor is None:
            raise InputError("this ranker is not fitted yet. Call fit(log) or Ranker.load(path) first.")
        return self._predictor

    @property
    def model(self) -> MultiTaskModel:
        """The network with all its replicas."""
        return self.predictor.model

    @property
    def encoder(self) -> Encoder:
        """The encoder that turns raw rows into the model's inputs."""
        return self.predictor.encoder

    @property
    def calibration(self) -> Calibration | None:
        """The calibrators that :meth:`predict` applies; None without any."""
        return self._predictor.calibration if self._predictor else None

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        self._predictor = replace(self.predictor, calibration=calibration)

    @property
    def fusion(self) -> Fusion | None:
        """The formula of the fused score; None without one."""
        return self._predictor.fusion if self._predictor else None

    @fusion.setter
    def fusion(self, fusion: Fusion | None) -> None:
        self._predictor = replace(self.predictor, fusion=fusion)

    @property
    def history_(self) -> list[Epoch]:
        """One entry per epoch: training loss and validation metric of each task and replica."""
        if self.document is None:
            raise InputError("this ranker has no history: it was loaded from a bundle alone, or not fitted.")
        return self.document.results[self.config.architecture].history

    def __repr__(self) -> str:
        given = {name: getattr(self.config, name) for name in sorted(self.config.model_fields_set - {"log", "config_version"})}
        default = RunConfig()
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value != getattr(default, name))
        return f"Ranker({shown})"

    def _repr_html_(self) -> str:
        from html import escape

        return html_summary(self.document) if self.document else f"<code>{escape(repr(self))}</code> (not fitted)"


def listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str) else tuple(names)


class Inspection:
    """What :func:`inspect` found; ``document`` has the content of inspection.json as attributes."""

    def __init__(self, document: InspectionDocument):
        self.document = document

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms, the most severe first, and the notes after them."""
        return list(self.document.alarms)

    def report(self, path: str | Path) -> None:
        """Write the HTML page."""
        write_page(self.document, Path(path))

    def __repr__(self) -> str:
        return "\n".join([summary(self.document), *(f"- {alarm.title}" for alarm in self.alarms)])

    def _repr_html_(self) -> str:
        return html_alarms(self.document)


def inspect(
    run: Ranker | str | Path,
    log: Any,
    *,
    only: Sequence[str] | None = None,
    rows: int = ROWS,
    by: str | None = None,
    replicas: int = REPLICAS,
    device: str = "cpu",
) -> Inspection:
    """What the experts and gates of a trained model do on a labelled log, with alarms in plain words.

    ``run`` is a fitted ranker, or the path of a run or bundle. ``only`` chooses parts: gates, dead, experts, noise, conflict,
    affinity, importance, embeddings. At most ``rows`` rows are looked at, spread evenly over the log, and the first ``replicas``.
    ``by`` names a column of the log: the gates are then shown for its largest segments.
    Raises :class:`manygate.InputError`.

    >>> import pyarrow as pa
    >>> log = pa.table({"item": ["a", "b"] * 50, "age": list(range(100)), "click": [0, 1] * 50, "like": [1, 0, 0, 1] * 25})
    >>> ranker = Ranker(task=["click", "like"], epochs=1, threads=1).fit(log, progress="none")
    >>> found = inspect(ranker, log, only=["gates"], by="item")
    >>> found.document.gates[0].tasks[0].task, len(found.document.gates[0].tasks[0].mean)
    ('click', 8)
    """
    ranker = run if isinstance(run, Ranker) else Ranker.load(run, device)
    history = ranker.history_ if ranker.document is not None else [] if isinstance(run, Ranker) else read_history(Path(run))
    parts = PARTS if only is None else tuple(only)
    return Inspection(inspect_log(ranker.predictor, log, parts, rows, by, replicas, history))


class Comparison:
    """What :func:`compare` found; ``document`` has the content of comparison.json as attributes."""

    def __init__(self, document: ComparisonDocument):
        self.document = document

    @property
    def best(self) -> str:
        """The architecture with the best validation score."""
        return str(self.document.best.architecture if self.document.best else None)

    @property
    def best_settings(self) -> dict[str, str]:
        """Its architecture and weighting, as settings of :class:`Ranker`."""
        result = self.results[self.best]
        return {"architecture": result.architecture, "weighting": result.weighting}

    @property
    def verdicts(self) -> dict[str, dict[str, MetricGain]]:
        """``verdicts[architecture][task]`` has ``metric``, ``gain``, ``ci95``, ``verdict``."""
        return dict(self.document.verdicts)

    @property
    def recommendation(self) -> Recommendation | None:
        """What to do and why: ``rule``, ``text``, ``reasons``; None without ``single_task`` or with nothing beside it."""
        return self.document.recommendation

    @property
    def results(self) -> dict[str, RunResult]:
        """``results[architecture].tasks[task].metrics[metric]`` has ``mean``, ``sd``, ``ci95``, ``values``."""
        return dict(self.document.results)

    def report(self, path: str | Path) -> None:
        """Write the HTML report."""
        write_report(self.document, Path(path))

    def __repr__(self) -> str:
        return headline(self.document)

    def _repr_html_(self) -> str:
        return html_summary(self.document)


def compare(
    log: Any,
    valid: Any = None,
    test: Any = None,
    *,
    schema: Schema | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressMode = "auto",
    **settings: Any,
) -> Comparison:
    """Which way of sharing is best on this log, what does each task gain or lose, and how sure is that?

    Trains every one of ``architectures`` (default: all) with the same rows, seeds and budget, ``replicas`` times (default 8), and
    compares each task with its own single-task model. Arguments as in :class:`Ranker` and :meth:`Ranker.fit`.
    """
    config = RunConfig.build(settings).with_defaults(replicas=8)
    config = config.replace(log=str(log)) if isinstance(log, str | Path) else config
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_folder(folder, resume, overwrite)
    show = open_progress(progress)
    encoded = prepare(log, config, schema, valid, test, config.architectures)
    if folder is not None:
        open_folder(folder, config, resume, overwrite)
    return Comparison(compare_run(encoded, config, folder, show))
