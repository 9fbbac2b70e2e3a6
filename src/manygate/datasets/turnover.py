"""Items that are born, fade and make room for others: the turnover of the made-up impression log.

Time is the share of the log's rows: 0 is its first row, 1 its last; training ends at 0.8 and the test part begins at 0.9. Item i
has a birth b_i and a popularity s_i, and its share of the impressions at time t is

    s_i exp(-(t - b_i) / life)   if b_i <= t, else 0,     divided by the sum of this over all items.

Births are uniform, from three lives before the log to its end, so the popularity that is alive stays about the same over time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRAIN_END, TEST_START = 0.8, 0.9
LIVES_BEFORE = 3.0
LARGEST = 0.9
TIMES = np.linspace(TEST_START, 1.0, 101)


@dataclass(frozen=True)
class Turnover:
    """The items of a log, by birth: when each is born, and the logarithm of its weight once it is alive."""

    birth: Floats
    log_weight: Floats

    def draw(self, rows: int, random: np.random.Generator) -> Ints:
        """Draw the item of each row. Its position in ``birth`` is returned."""
        sum_of_first = np.append(0.0, np.cumsum(np.exp(self.log_weight - self.log_weight.max())))
        alive = np.searchsorted(self.birth, np.arange(rows) / rows, side="right")
        found = np.searchsorted(sum_of_first, random.random(rows) * sum_of_first[alive], side="right") - 1
        return np.minimum(found, alive - 1)


def life_for(turnover: float) -> float:
    """Return the life at which a share ``turnover`` of the test rows has an item that was born after training.

    The age of an impression's item has an exponential distribution with this mean, if very many items are equally popular. So the
    share is the mean of 1 - exp(-(t - 0.8) / life) over t from 0.9 to 1.

    >>> round(life_for(0.3), 3), round(life_for(0.6), 3)
    (0.418, 0.161)
    """

    def share(life: float) -> float:
        return 1 - life / 0.1 * (math.exp(-0.1 / life) - math.exp(-0.2 / life))

    low, high = 1e-3, 1e6
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if share(middle) > turnover else (low, middle)
    return low


def item_count(alive: int, turnover: float) -> int:
    """Return how many items a log needs, if ``alive`` of equal age would be as popular as all that live at one time."""
    return math.ceil(alive * (LIVES_BEFORE + 1 / life_for(turnover)))


def draw_turnover(popularity: Floats, turnover: float, random: np.random.Generator) -> Turnover:
    """Draw the births of items with some popularities, and fit the life to them.

    With these births and popularities, the expected share of test rows whose item was born after training is ``turnover``.
    """
    birth = np.sort(random.uniform(-LIVES_BEFORE * life_for(turnover), 1.0, size=popularity.size))
    birth[0] = min(birth[0], 0.0)  # the first row has an item
    popularity = random.permutation(popularity)
    low, high = 0.0, 1000.0
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if _new_share(birth, popularity, rate) < turnover else (low, rate)
    return Turnover(birth, np.log(popularity) + rate * birth)


def _new_share(birth: Floats, popularity: Floats, rate: float) -> float:
    """Return the expected share of test rows whose item was born after training, if items fade at ``rate``."""
    sum_of_first = np.append(0.0, np.cumsum(popularity * np.exp(rate * (birth - 1))))
    alive, known = (np.searchsorted(birth, at, side="right") for at in (TIMES, TRAIN_END))
    return float(1 - (sum_of_first[known] / np.maximum(sum_of_first[alive], 1e-300)).mean())
