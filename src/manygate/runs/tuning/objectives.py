"""The objectives of a search: metrics of validation rows."""

from __future__ import annotations

from collections.abc import Sequence

from manygate.config import RunConfig, TuneConfig
from manygate.data.log_rows import LogRows
from manygate.errors import InputError, raise_all, setting
from manygate.evaluation.monitor import check_monitor, parse_monitor
from manygate.metrics.table import MAIN_METRIC, METRICS
from manygate.results.tuning import TunedObjective
from manygate.schema import Task


def find_objectives(tuning: TuneConfig, config: RunConfig, tasks: Sequence[Task], valid: LogRows) -> list[TunedObjective]:
    """Return what the trials maximise: the given metrics, or the one that the run watches.

    Raises one :class:`InputError` for all that are unknown, or undefined on the validation rows for any prediction.
    """
    found, problems = [], []
    for name in tuning.objective or (config.monitor,):
        try:
            t, metric = parse_monitor(name, tasks, valid.group_B is not None)
            check_monitor(name, tasks, valid)
        except InputError as error:
            problems += [f"{setting('objective')}: {text.removeprefix('monitor ')}" for text in error.marked]
            continue
        key = None if t is None else metric or MAIN_METRIC[tasks[t].kind]
        better = "higher" if key is None else METRICS[key].better
        found.append(TunedObjective(name=name, task=None if t is None else tasks[t].name, metric=key, better=better))
    raise_all(problems)
    return found
