"""The plan of a training run: what is trained on, after all checks and before the run's folder is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError, setting
from manygate.model.start import Start
from manygate.results.comparison import ComparisonDocument
from manygate.runs.continued import prepare_to_continue
from manygate.runs.day_log import DayLog, prepare_days
from manygate.runs.preflight import prepare
from manygate.runs.progressive import train_progressive
from manygate.runs.run import follow, train_run
from manygate.schema import Schema
from manygate.scoring.predictor import Predictor
from manygate.training.callback import OnEpoch
from manygate.training.progress import Progress
from manygate.training.world import ALONE, World


class Plan(Protocol):
    """A training run that can begin."""

    @property
    def config(self) -> RunConfig:
        """The settings of the run."""

    def train(
        self, folder: Path | None, progress: Progress, command: str = "", on_epoch: OnEpoch | None = None
    ) -> tuple[Predictor, ComparisonDocument]:
        """Train, evaluate and write the run's folder. Return the trained model and its document."""

    def follow(self) -> None:
        """Train together with the first process of a world, which calls :meth:`train`."""


@dataclass(frozen=True)
class WholePlan:
    """The log is divided into training, validation and test rows."""

    log: EncodedLog
    config: RunConfig
    world: World = ALONE
    start: Start | None = None
    """The weights to begin with, if an earlier run is trained on."""

    def train(
        self, folder: Path | None, progress: Progress, command: str = "", on_epoch: OnEpoch | None = None
    ) -> tuple[Predictor, ComparisonDocument]:
        """Train all epochs on the training rows."""
        trained, document = train_run(self.log, self.config, folder, progress, command, on_epoch, self.world, self.start)
        return trained.predictor, document

    def follow(self) -> None:
        """Train together with the first process of the world."""
        follow(self.log, self.config, self.world, self.start)


@dataclass(frozen=True)
class DayPlan:
    """The log is trained on day by day (:mod:`manygate.runs.progressive`)."""

    log: DayLog

    @property
    def config(self) -> RunConfig:
        """The settings, with the defaults of this mode."""
        return self.log.config

    def train(
        self, folder: Path | None, progress: Progress, command: str = "", on_epoch: OnEpoch | None = None
    ) -> tuple[Predictor, ComparisonDocument]:
        """Train on each day but the last. Raises :class:`InputError` if there is a callback, which has no meaning here."""
        if on_epoch is not None:
            raise InputError(
                f"on_epoch: not with {setting('split', 'progressive')}, which trains all days to their end. Leave it out."
            )
        return train_progressive(self.log, folder, progress, command)

    def follow(self) -> None:
        """Raise an error: a world of several processes has no such plan."""
        raise AssertionError("one process trains day by day")


def plan_run(
    log: Any,
    config: RunConfig,
    schema: Schema | None = None,
    valid: Any = None,
    test: Any = None,
    progress: Progress | None = None,
    world: World = ALONE,
) -> Plan:
    """Open a log and check it and the settings. Problems raise :class:`InputError`.

    Args:
        log: A path, or a dataframe.
        config: The settings. ``split`` decides how the log is trained on.
        schema: The schema; None finds it beside the log, or infers it.
        valid: Validation rows of their own, or None.
        test: Test rows of their own, or None.
        progress: Shows how far it is.
        world: The processes that train together.
    """
    if config.continued:
        if schema is not None:
            raise InputError(f"schema: training on keeps the schema of {config.continued}. Leave it out.")
        encoded, settings, start = prepare_to_continue(log, config, valid, test, progress)
        if settings.table_sharding != "none" and world.size > 1:
            raise InputError(
                f"{setting('table_sharding', settings.table_sharding)}: tables of an earlier run are not spread over processes. "
                f"Train on with {setting('table_sharding', 'none')}."
            )
        return WholePlan(encoded, settings, world, start)
    if config.split != "progressive":
        return WholePlan(prepare(log, config, schema, valid, test, progress=progress), config, world)
    at = setting("split", "progressive")
    given = [name for name, part in (("valid", valid), ("test", test)) if part is not None]
    if given:
        raise InputError(f"{setting(given[0])}: not with {at}: every day but the first is judged. Leave it out.")
    if world.size > 1:
        raise InputError(f"{at}: one process trains day by day. Start it without torchrun.")
    return DayPlan(prepare_days(log, config, schema, progress))
