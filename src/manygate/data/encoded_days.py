"""Encodes a log day by day: on each day with what was known by then, and no row of a later day has any influence.

The encoder is fitted on the first day. Its vocabularies then grow by the training rows of each further day
(:mod:`manygate.data.growth`). A day is encoded twice: by the encoder of the day before, to judge the model of the day before, and
with its own ids added, to be trained on. Two days are in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from manygate.config import DataConfig
from manygate.data.days import Located, LogDays
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.growth import GrowingEncoder
from manygate.data.in_order import in_order
from manygate.data.rows import Rows
from manygate.schema import Schema


@dataclass(frozen=True)
class EncodedDay:
    """A day to train on, and the next day to judge the model on before it is trained on."""

    number: int
    """The number of the day from 0."""
    encoder: Encoder
    """The encoder by the end of this day."""
    train: Rows
    """The rows of this day."""
    judged: Rows
    """The rows of the next day, as they would be served: ids that are new on that day are unseen, and bias features are absent."""
    new: dict[str, int]
    """The ids that got a row on this day, by feature."""


class EncodedDays:
    """Encodes each day but the last, with the day after it."""

    def __init__(
        self,
        days: LogDays,
        schema: Schema,
        config: DataConfig,
        columns: Sequence[str],
        threads: int | None = 1,
        fitted: Callable[[Encoder], Encoder] = lambda encoder: encoder,
    ):
        """``columns`` are those to read. ``fitted`` is called with the encoder of the first day, and returns the one to use."""
        self.days, self.schema, self.config, self.columns = days, schema, config, columns
        self.threads, self.fitted = threads, fitted
        self.warnings: list[str] = []
        """What the rows that were encoded so far, as training rows, lack."""

    def __iter__(self) -> Iterator[EncodedDay]:
        today = self._read(0)
        encoder = self.fitted(fit_encoder(self.schema, self.config, today, self.config.shuffle_seed, self.threads))
        of_first = encoder.warnings
        growing = GrowingEncoder(encoder, self.config)
        new = {name: len(vocabulary.values) for name, vocabulary in encoder.vocabularies.items() if not vocabulary.buckets}
        for number in range(len(self.days) - 1):
            for located in today:
                growing.add(*located)
            new = growing.grow() if number else new
            told = growing.warnings
            of_first = of_first if number else [f"on the first day, {text}" for text in of_first if text not in told]
            self.warnings = [*of_first, *told]
            tomorrow = self._read(number + 1)
            train, judged = (self._encoded(growing.encoder, rows, bias) for rows, bias in ((today, True), (tomorrow, False)))
            yield EncodedDay(number, growing.encoder, train, judged, new)
            today = tomorrow

    def _read(self, day: int) -> list[Located]:
        return list(self.days.batches(day, self.columns))

    def _encoded(self, encoder: Encoder, rows: Sequence[Located], bias: bool) -> Rows:
        return Rows.concat(list(in_order(partial(_encode, encoder, bias), rows, self.threads)))


def _encode(encoder: Encoder, bias: bool, located: Located) -> Rows:
    location, batch = located
    return encoder.encode(batch, location, bias=bias)
