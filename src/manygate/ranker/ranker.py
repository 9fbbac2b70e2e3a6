"""Ranker: a multi-task ranking model with the habits of a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from manygate.config import CsvConfig, RunConfig
from manygate.config.names import CalibrationMethod
from manygate.data.batches import Split
from manygate.data.encode import Encoder
from manygate.data.frames import like_source
from manygate.data.labelled import labelled_table, run_part, run_rows
from manygate.data.table import Table
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.evaluation.evaluate_log import evaluate_log, few_labels
from manygate.evaluation.gates import gate_table
from manygate.evaluation.monitor import Monitor
from manygate.evaluation.task_report import task_report
from manygate.export.installed import require
from manygate.metrics.table import Metric
from manygate.model import MultiTaskModel
from manygate.model.device import choose_device
from manygate.ranker.arguments import build_config, check_run, listed, progress_mode, read_schema, refuse_arguments, refuse_arrays
from manygate.ranker.input_warnings import warn_of_inputs
from manygate.ranker.ranker_keywords import PARAMETERS, RankerKeywords
from manygate.report import html_summary, write_report
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import CalibrationReport, Epoch, LogEvaluation
from manygate.results.fusion import FusionFormula, FusionSearch
from manygate.runs.folder import check_folder, open_folder, sources_of
from manygate.runs.plan import plan_run
from manygate.schema import Schema
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.calibration import Calibration, calibration_problems
from manygate.scoring.calibration_fit import fit_calibration
from manygate.scoring.fusion import Fusion, now, parse_fusion
from manygate.scoring.fusion_search import Sampler, found_fusion, plan_search, search
from manygate.scoring.input_check import InputCheck
from manygate.scoring.judged import judged_rows
from manygate.scoring.predictor import Predictor
from manygate.scoring.scored import score_rows
from manygate.training.callback import OnEpoch
from manygate.training.progress import ProgressMode, open_progress

if TYPE_CHECKING:
    from manygate.export.folder import Export


class NotFittedError(InputError, AttributeError):
    """The ranker has no trained model; ``hasattr(ranker, "model")`` is then false."""


class Ranker(RankerKeywords):
    """A multi-task ranking model: one network that predicts several labels of the same impression.

    The parameters are the settings of :class:`manygate.RunConfig`, which are also the flags of the command and the keys of a YAML
    configuration. An unknown name is an error that names the nearest known one.

    The class has the habits of a scikit-learn estimator (``get_params``, ``set_params``, ``clone``, ``score``, ``predict_proba``,
    ``random_state``) with one difference: :meth:`fit` takes one table that holds features and labels.

    >>> import pyarrow as pa
    >>> log = pa.table({"item": ["a", "b", "c"] * 40, "age": [2, 3, 5, 7, 9] * 24, "click": [0, 1] * 60, "like": [1, 0, 0, 1] * 30})
    >>> ranker = Ranker(task=["click", "like"], epochs=1, threads=1).fit(log, progress=False)
    >>> ranker.predict(log.slice(0, 3)).column_names
    ['click', 'like']
    """

    def _set_keywords(self, keywords: dict[str, Any]) -> None:
        raise_all(
            f"{name}: a parameter of mg.compare, and not of Ranker, which trains one architecture."
            for name in ("architectures", "weightings", "baselines", "weight_sweep", "id_dropouts", "tune")
            if name in keywords
        )
        raise_all(f"{name}: no parameter of Ranker. Give the log to fit." for name in ("log", "config_version") if name in keywords)
        self.config = build_config(keywords)
        self._keywords = keywords
        self.document: ComparisonDocument | None = None
        self._name: str | None = None
        self._predictor: Predictor | None = None

    @classmethod
    def trained(cls, predictor: Predictor, document: ComparisonDocument | None = None, name: str | None = None) -> Self:
        """A ranker of a trained model; ``name`` is that of the model in the document, if it is not its architecture."""
        ranker = cls()
        ranker.config = predictor.model.config
        settings = {key: getattr(ranker.config, key) for key in ranker._keywords if key in RunConfig.model_fields}
        ranker._keywords = {**ranker._keywords, **settings, "schema": predictor.schema}
        ranker._predictor, ranker.document, ranker._name = predictor, document, name
        return ranker

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters of the constructor by name, as they were given; ``deep`` changes nothing."""
        return dict(self._keywords)

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters. A model that was trained before stays until :meth:`fit` is called again."""
        unknown = [name for name in parameters if name not in self._keywords]
        raise_all(f"{name}: no parameter of Ranker.{did_you_mean(name, self._keywords)}" for name in unknown)
        keywords = {**self._keywords, **parameters}
        if "random_state" in parameters and "seed" not in parameters:
            keywords["seed"] = RunConfig.model_fields["seed"].default
        self.config, self._keywords = build_config(keywords), keywords
        return self

    def fit(
        self,
        log: Any,
        valid: Any = None,
        test: Any = None,
        *,
        schema: Schema | str | Path | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: ProgressMode | bool = "auto",
        on_epoch: OnEpoch | None = None,
        **unknown: Any,
    ) -> Self:
        """Train on a log: a path (Parquet, CSV, Arrow; file, folder or glob) or any dataframe.

        Without ``valid`` and ``test`` the log is split (80/10/10 at random unless set). The best weights on validation are kept;
        test rows are used for ``document`` alone. ``out`` writes the run's folder, ``resume`` continues it. ``on_epoch`` is called
        after each epoch (:mod:`manygate.training.callback`). Raises :class:`manygate.InputError`, which lists every problem.
        """
        refuse_arguments(unknown)
        refuse_arrays(log, valid)
        check_run(out, resume, overwrite, on_epoch)
        folder = Path(out) if out is not None else None
        config = build_config(self._keywords, log, valid, test)
        reads = sources_of(config, log, valid, test, schema)
        if folder is not None:
            check_folder(folder, resume, overwrite, reads)
        show = open_progress(progress_mode(progress))
        read = read_schema(schema if schema is not None else self._keywords["schema"])
        plan = plan_run(log, config, read, valid, test, progress=show)
        with nullcontext() if folder is None else open_folder(folder, plan.config, resume, overwrite, reads=reads):
            self._predictor, self.document = plan.train(folder, show, on_epoch=on_epoch)
        self.config, self._name = plan.config, None
        return self

    def predict(self, frame: Any, raw: bool = False) -> Any:
        """Predictions in the same kind of frame, one column per task: probabilities, or values in the label's unit.

        They are calibrated where there is a ``calibration``, and the score of the ``fusion`` stands beside them where there is one;
        ``raw`` leaves both out. Features alone are needed, and no bias features. Unseen ids, nulls and new extremes are fine.
        A :class:`UserWarning` says so if most ids of a feature are unseen, or a feature has become null (from 20 rows on).
        """
        refuse_arrays(frame)
        check = InputCheck(self.encoder)
        predicted = (self.predictor.uncorrected() if raw else self.predictor).predict(frame, check.add)
        warn_of_inputs(check)
        return predicted

    def predict_proba(self, frame: Any) -> np.ndarray | list[np.ndarray]:
        """Probabilities of the classes 0 and 1, (N, 2) float64: as scikit-learn gives them, a list of them for several tasks.

        Raises :class:`manygate.InputError` where a task is a regression, which has no classes; :meth:`predict` gives its values.
        """
        refuse_arrays(frame)
        numbers = [task.name for task in self.schema.tasks if task.kind != "binary"]
        if numbers:
            raise InputError(f"task {numbers[0]!r} is a regression and has no probabilities. Call predict, which gives its values.")
        check = InputCheck(self.encoder)
        parts = [batch for _, batch in self.predictor.score(self.predictor.open(frame), observe=check.add)]
        warn_of_inputs(check)
        columns = [np.concatenate([np.asarray(part.column(name)) for part in parts]) for name in self.schema.task_names]
        pairs = [np.stack([1 - one_N, one_N], axis=1) for one_N in columns]
        return pairs[0] if len(pairs) == 1 else pairs

    def score(self, log: Any, y: None = None) -> float:
        """The metric of the task that ``monitor`` names, or the mean of the tasks' AUC and R2, on a labelled log.

        It is the mean over the replicas, and higher is better.
        The labels are columns of ``log``; ``y`` stands here as scikit-learn calls it, and must be None.
        """
        if y is not None:
            raise InputError(
                "score takes one table that holds features and labels. Put the labels into it: score(X.assign(click=y))."
            )
        table = labelled_table(self.encoder, log, csv=self.predictor.csv_settings)
        scored = score_rows(self.predictor, table)
        monitor = Monitor(self.model.config.monitor, self.predictor.problem, scored.rows, Split(scored.rows, self.model.device))
        judged = monitor(scored.logit_RNT, self.model.members)
        own_RT = judged.own_RT if monitor.task is None else judged.own_RT[:, [monitor.task]]
        return float(np.mean(own_RT[:, ~np.isnan(own_RT).all(axis=0)]))

    def evaluate(self, log: Any, metrics: Mapping[str, Metric] | None = None) -> LogEvaluation:
        """Every metric of every task on a labelled log.

        ``metrics`` adds metrics of your own, each a :class:`manygate.Metric`: its ``compute`` takes labels, predictions and weights
        of one task (N,) and returns a number.
        """
        return evaluate_log(self.predictor, log, metrics or {})

    def calibrate(
        self, log: Any = None, *, method: CalibrationMethod = "isotonic", task: str | Sequence[str] = ()
    ) -> CalibrationReport:
        """Fit a calibrator for each binary task, or those of ``task``, and apply it from now on; ``none`` removes them.

        ``log`` holds labelled rows that trained nothing; of a data set's folder, the valid part; without it, the validation rows of
        the run's own log. Calibrators of other tasks stay. Returns ``log``, ``rows`` and ``tasks`` as :meth:`evaluate` does, on the
        rows of the fit.
        """
        task = listed(task)
        raise_all(calibration_problems(self.schema, method, task))
        before = self.calibration or Calibration({})
        if method == "none":
            kept = {name: calibrator for name, calibrator in before.tasks.items() if task and name not in task}
            self.calibration = Calibration(kept, before.fitted) if kept else None
            return CalibrationReport(log=None, rows=0, tasks={}, warnings=[])
        table = self._validation(log)
        scored, problem = score_rows(self.predictor, table), self.predictor.problem
        logit_RNT, rows = scored.logit_RNT, scored.rows
        fitted = fit_calibration(logit_RNT, rows, problem, method, task or None, table.name)
        self.calibration = before.updated(fitted)
        report = task_report(logit_RNT, rows, problem, fitted)
        tasks = {name: report[name] for name in fitted.tasks}
        warnings = [*few_labels(problem, rows, list(tasks)), *scored.warnings]
        return CalibrationReport(log=table.name, rows=len(rows), tasks=tasks, warnings=warnings)

    def fuse(
        self, weights: str | Mapping[str, float] = "", feature: str | Sequence[str] = (), *, name: str = "score", note: str = ""
    ) -> Fusion:
        """Set the formula of the fused score by hand: ``fuse({"click": 1, "buy": 0.5}, ["duration:log=0.3"])``.

        :meth:`predict` then adds a column ``name``. See :mod:`manygate.scoring.fusion`; :meth:`search_fusion` finds weights.
        """
        made = {"how": "by hand", "when": now()}
        return self._fuse(parse_fusion(weights, listed(feature), self.predictor.names, name=name, note=note, made=made))

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
        """Labelled rows to fit on: those given, or the validation rows of the run's own log.

        If the run's own log is given, its validation rows are used as well: the others trained the model.
        """
        if log is None:
            return self.run_rows("valid")
        record = self.predictor.log
        table = labelled_table(self.encoder, log, "valid", self.predictor.csv_settings)
        if record is None or run_part(record, self.encoder, table) != "train":
            return table
        if record.table("valid") is not None:
            raise InputError(f"{table.name}: these rows trained the model. Give labelled rows that trained nothing.")
        return run_rows(self.model.config, log, self.schema, record)

    def run_rows(self, part: Literal["valid", "test"]) -> Table:
        """The validation or test rows of the run's own log as a table that :meth:`evaluate` takes.

        Raises :class:`manygate.InputError` if the log has changed since training, or if the model does not know its log.
        """
        config, record = self.model.config, self.predictor.log
        if config.log is None:
            raise InputError("no log is given. This model was trained on a dataframe; give labelled rows that trained nothing.")
        if record is None:
            raise InputError(
                f"no log is given. The bundle was saved by an earlier version of manygate, which did not record the rows of "
                f"{config.log}, so they may have changed since. Give labelled rows that trained nothing."
            )
        return run_rows(config, config.log, self.schema, record, part)

    def gates(self, frame: Any) -> Any:
        """Mean and standard deviation of each gate weight: a frame with columns replica, level, task, expert, mean, sd.

        The frame is empty for schemes without gates. Experts of different replicas have nothing to do with each other.
        """
        return like_source(gate_table(self.predictor, frame), frame)

    def save(self, path: str | Path) -> None:
        """Write a bundle: safetensors, JSON and Arrow with checksums; no pickle."""
        save_bundle(Path(path), self.predictor)

    def export(
        self,
        path: str | Path,
        log: Any = None,
        raw: bool = False,
        overwrite: bool = False,
        context: str | Sequence[str] = (),
        triton: str | Path | None = None,
    ) -> Export:
        """Write a folder for ONNX Runtime that takes raw features: ``model.onnx``, ``weights.bin`` and ``manifest.json``.

        The graph looks up ids, scales numbers, averages the replicas, calibrates, and computes the fused score. It is compared with
        this ranker on rows that are made to be difficult and on rows of a log, before the folder appears.
        :class:`manygate.scoring.exported_model.ExportedModel` predicts with it, and so does any program with ONNX Runtime.

        Args:
            path: The folder to write.
            log: Rows to compare on: a frame or a file. By default these are the validation rows of the run's own log, if it is at
                hand.
            raw: True leaves out calibration and fusion.
            overwrite: True replaces an exported model at ``path``.
            context: Features that belong to the user or the request, beside those of the schema. They are given and encoded once
                for all candidates of a request.
            triton: A model repository of NVIDIA's Triton Inference Server. The model is written there, too, under the name of
                ``path``.

        Returns:
            What was written, with the largest difference of each column.

        Raises:
            InputError: A library is missing, ``path`` is taken, ``context`` names no served feature, the model has no graph, or the
                graph predicts something else.
        """
        require()
        from manygate.export.folder import export_model, refuse_other
        from manygate.export.triton import model_folder, write_repository

        predictor, out = self.predictor.uncorrected() if raw else self.predictor, Path(path)
        refuse_other(out, overwrite)
        if triton is not None:
            model_folder(Path(triton), out, overwrite)
        done = export_model(predictor, out, self._comparable(log), listed(context))
        return done if triton is None else replace(done, triton=write_repository(Path(triton), out, overwrite))

    def _comparable(self, log: Any) -> Table | None:
        """Return the given rows, or the validation rows of the run's own log; None if that log is not at hand."""
        if log is not None:
            table = self.predictor.open(log)
            table.require_rows()
            return table
        try:
            return self.run_rows("valid")
        except InputError:  # the log was a frame, has moved or has changed; the difficult rows are compared still
            return None

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read a bundle, the one in a run's folder, or the chosen model of a comparison, after checking every file."""
        predictor = load_bundle(path, str(choose_device(device)))
        evaluation = Path(path) / "evaluation.json"
        return cls.trained(predictor, ComparisonDocument.read(evaluation) if evaluation.is_file() else None)

    def report(self, path: str | Path) -> None:
        """Write the HTML report of the training run."""
        if self.document is None:
            raise InputError("this ranker has no training run to report on: it was loaded from a bundle alone, or not fitted.")
        write_report(self.document, Path(path))

    @property
    def schema(self) -> Schema:
        """What each column means, for the model that was trained."""
        return self.encoder.schema

    @property
    def predictor(self) -> Predictor:
        """The model with its encoder, calibration and fusion. Raises :class:`manygate.InputError` before :meth:`fit`."""
        if self._predictor is None:
            raise NotFittedError("this ranker is not fitted yet. Call fit(log) or Ranker.load(path) first.")
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
        return self.document.results[self._name or self.model.config.architecture].history

    @property
    def csv(self) -> CsvConfig:
        """How CSV files are read: as for training, unless it is set to a :class:`manygate.config.CsvConfig`."""
        return self.predictor.csv_settings

    @csv.setter
    def csv(self, csv: CsvConfig | None) -> None:
        self._predictor = replace(self.predictor, csv=csv)

    def __sklearn_is_fitted__(self) -> bool:
        return self._predictor is not None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __repr__(self) -> str:
        fields, given = RunConfig.model_fields, {}
        for name, value in sorted(self._keywords.items()):
            default = fields[name].default if name in fields else None
            shown = getattr(self.config, name, value)
            if shown is not None and shown != default and name != "schema":
                given[name] = shown
        return f"Ranker({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def _repr_html_(self) -> str:
        return html_summary(self.document) if self.document else f"<code>{escape(repr(self))}</code> (not fitted)"


Ranker.__doc__ = f"{Ranker.__doc__}\n{PARAMETERS}"
