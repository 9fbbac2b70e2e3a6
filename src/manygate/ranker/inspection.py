"""inspect: what the experts and gates of a trained model do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manygate.config import CsvConfig
from manygate.inspection.look import PARTS, REPLICAS, ROWS, inspect_log, read_history
from manygate.ranker.ranker import Ranker
from manygate.report.inspection.page import html_alarms, summary, write_page
from manygate.results.inspection import Alarm, InspectionDocument


class Inspection:
    """The result of :func:`inspect`; ``document`` has the content of inspection.json as attributes."""

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
    log: Any = None,
    *,
    only: Sequence[str] | None = None,
    rows: int = ROWS,
    by: str | None = None,
    replicas: int = REPLICAS,
    device: str = "cpu",
    csv: CsvConfig | None = None,
) -> Inspection:
    """Measure what the experts and gates of a trained model do on a labelled log, and raise alarms in plain words.

    ``run`` is a fitted ranker, or the path of a run or bundle. ``only`` chooses parts: gates, dead, experts, noise, conflict,
    affinity, importance, embeddings. At most ``rows`` rows are looked at, spread evenly over the log, and the first ``replicas``.
    ``by`` names a column of the log: the gates are then shown for its largest segments. ``csv`` says how CSV files are read, if not
    as for training. Without ``log`` the test rows of the run's own log are looked at, which must be as it was.
    Raises :class:`manygate.InputError`.

    >>> import pyarrow as pa
    >>> log = pa.table({"item": ["a", "b", "c"] * 40, "age": [2, 3, 5, 7, 9] * 24, "click": [0, 1] * 60, "like": [1, 0, 0, 1] * 30})
    >>> ranker = Ranker(task=["click", "like"], epochs=1, threads=1).fit(log, progress=False)
    >>> inspection = inspect(ranker, log, only=["gates"], by="item")
    >>> inspection.document.gates[0].tasks[0].task, len(inspection.document.gates[0].tasks[0].mean)
    ('click', 8)
    """
    ranker = run if isinstance(run, Ranker) else Ranker.load(run, device)
    history = ranker.history_ if ranker.document is not None else [] if isinstance(run, Ranker) else read_history(Path(run))
    parts = PARTS if only is None else tuple(only)
    predictor = ranker.predictor if csv is None else replace(ranker.predictor, csv=csv.over(ranker.csv))
    return Inspection(inspect_log(predictor, ranker.run_rows("test") if log is None else log, parts, rows, by, replicas, history))
