"""Comparison: several ways of sharing on one log, their verdicts, and their trained models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from manygate.errors import InputError, did_you_mean
from manygate.model.device import choose_device
from manygate.ranker.arguments import build_config, check_run, progress_mode, read_schema, refuse_arrays
from manygate.ranker.ranker import Ranker
from manygate.report import headline, html_summary, write_report
from manygate.results.comparison import ComparisonDocument, Price, Recommendation, TaskGain
from manygate.results.evaluation import RunResult
from manygate.results.summary import MetricGain
from manygate.runs.comparison import compare_run
from manygate.runs.folder import check_folder, model_folder, open_folder, sources_of
from manygate.runs.preflight import prepare
from manygate.scoring.bundle import load_bundle
from manygate.training.callback import OnEpoch
from manygate.training.progress import ProgressMode, open_progress

Models = Mapping[str, Callable[[], Ranker]]
"""Loads or returns each trained model, by name."""


class Comparison(Mapping[str, Ranker]):
    """The result of :func:`manygate.compare`.

    ``document`` has the content of ``comparison.json`` as attributes. ``comparison["mmoe"]`` is the trained model of that name with
    all its replicas, and :meth:`ranker` the one that validation chose.
    """

    def __init__(self, document: ComparisonDocument, models: Models | None = None):
        self.document = document
        self._models = dict(models or {})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read the comparison in a folder. Its models are read when they are first used."""
        folder = Path(path)
        if not (folder / "comparison.json").is_file():
            raise InputError(f"{path}: no comparison here (no comparison.json). Give the folder of a finished comparison.")
        document = ComparisonDocument.read(folder / "comparison.json")
        names = [name for name in document.results if model_folder(folder, name).is_dir()]
        return cls(document, {name: partial(_load_model, folder, document, name, device) for name in names})

    def __getitem__(self, name: str | type[Any]) -> Ranker:
        """The trained model of a name, or of a scheme's class, with all its replicas. Raises :class:`KeyError` for another name."""
        name = f"{name.__module__}:{name.__qualname__}" if isinstance(name, type) else name
        if name not in self._models:
            raise KeyError(f"{name!r} was not compared.{did_you_mean(name, self._models)} Compared: {', '.join(self._models)}.")
        ranker = self._models[name]()
        self._models[name] = lambda: ranker
        return ranker

    def __iter__(self) -> Any:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._models)

    def ranker(self) -> Ranker:
        """The trained model with the best validation score."""
        return self[self.best]

    @property
    def best(self) -> str:
        """The architecture with the best validation score."""
        chosen = self.document.best.architecture if self.document.best else None
        if chosen is None:
            raise InputError("no model has a validation score, so none is best. Give more validation rows.")
        return chosen

    @property
    def best_settings(self) -> dict[str, str]:
        """The architecture and weighting of :attr:`best`, as settings of :class:`manygate.Ranker`."""
        result = self.results[self.best]
        return {"architecture": result.architecture, "weighting": result.weighting}

    @property
    def verdicts(self) -> dict[str, dict[str, MetricGain]]:
        """The effect of sharing: ``verdicts[architecture][task]`` has ``metric``, ``gain``, ``ci95``, ``verdict``."""
        return dict(self.document.verdicts)

    @property
    def price(self) -> dict[str, dict[str, Price]]:
        """What one checkpoint for all tasks costs: ``price[architecture][task]`` has ``price``, ``ci95``, ``joint95``."""
        return dict(self.document.price or {})

    @property
    def as_shipped(self) -> dict[str, dict[str, TaskGain]]:
        """The gain with the checkpoint that is kept, in the mean ``verdicts`` less ``price``: ``gain``, ``ci95``, ``joint95``."""
        return dict(self.document.as_shipped or {})

    @property
    def recommendation(self) -> Recommendation | None:
        """What to do and why: ``rule``, ``text``, ``reasons``; None without ``single_task`` or with nothing beside it."""
        return self.document.recommendation

    @property
    def results(self) -> dict[str, RunResult]:
        """``results[architecture].tasks[task].metrics[metric]`` has ``mean``, ``sd``, ``ci95``, ``values``."""
        return dict(self.document.results)

    def to_table(self) -> pa.Table:
        """A pyarrow Table with a row for each architecture, task and metric.

        Columns: architecture, task, metric, mean, low, high (the 95 % interval over replicas), sd, ensemble; for the metric of the
        verdict also gain (the effect of sharing), gain_low, gain_high and verdict, price and as_shipped.
        """
        return pa.Table.from_pylist([row for name, result in self.results.items() for row in self._rows(name, result)])

    def to_frame(self) -> Any:
        """:meth:`to_table` as a pandas DataFrame. Raises :class:`InputError` where pandas is not installed."""
        if find_spec("pandas") is None:
            raise InputError(
                "to_frame() needs pandas. Install it with: pip install pandas. Or call to_table(), which needs nothing."
            )
        return self.to_table().to_pandas()

    def _rows(self, name: str, result: RunResult) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for task, report in result.tasks.items():
            verdict = self.verdicts.get(name, {}).get(task)
            for metric, summary in report.metrics.items():
                low, high = summary.ci95 or (None, None)
                row: dict[str, object] = {"architecture": name, "task": task, "metric": metric, "mean": summary.mean}
                row |= {"low": low, "high": high, "sd": summary.sd, "ensemble": report.ensemble.get(metric)}
                judged = verdict if verdict is not None and verdict.metric == metric else None
                gain_low, gain_high = (judged.ci95 if judged else None) or (None, None)
                row |= {"gain": judged.gain if judged else None, "gain_low": gain_low, "gain_high": gain_high}
                price, shipped = self._paid(name, task) if judged else (None, None)
                rows.append({**row, "verdict": judged.verdict if judged else None, "price": price, "as_shipped": shipped})
        return rows

    def _paid(self, name: str, task: str) -> tuple[float | None, float | None]:
        price, shipped = self.price.get(name, {}).get(task), self.as_shipped.get(name, {}).get(task)
        return price.price if price else None, shipped.gain if shipped else None

    def report(self, path: str | Path) -> None:
        """Write the HTML report."""
        write_report(self.document, Path(path))

    def __repr__(self) -> str:
        return headline(self.document)

    def _repr_html_(self) -> str:
        return html_summary(self.document)


def _load_model(folder: Path, document: ComparisonDocument, name: str, device: str) -> Ranker:
    predictor = load_bundle(model_folder(folder, name), str(choose_device(device)))
    return Ranker.trained(predictor, document, name)


def compare_log(
    keywords: Mapping[str, Any],
    log: Any,
    valid: Any = None,
    test: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressMode | bool = "auto",
    on_epoch: OnEpoch | None = None,
) -> Comparison:
    """Compare with the settings that ``keywords`` give; see :func:`manygate.compare`."""
    refuse_arrays(log, valid)
    if "architecture" in keywords:
        raise InputError(f"architecture={keywords['architecture']!r}: a comparison trains architectures. Give architectures=[...].")
    check_run(out, resume, overwrite, on_epoch)
    config = build_config(keywords, log, valid, test)
    folder, reads = Path(out) if out is not None else None, sources_of(config, log, valid, test)
    if folder is not None:
        check_folder(folder, resume, overwrite, reads)
    show = open_progress(progress_mode(progress))
    encoded = prepare(log, config, read_schema(keywords.get("schema")), valid, test, config.architectures, show)
    with nullcontext() if folder is None else open_folder(folder, config, resume, overwrite, reads=reads):
        document, trained = compare_run(encoded, config, folder, show, on_epoch=on_epoch)
    models = {name: partial(Ranker.trained, run.predictor, document, name) for name, run in trained.items()}
    return Comparison(document, models)
