"""A made-up impression log with known truth: sparse ids, bags and numbers, a click and three labels that exist after a click.

MMoE (Ma et al. 2018, section 3.2) sets how related two tasks are by the angle between their directions in a Gaussian input.
Here the same construction sits on a latent vector of an impression, which a model must first learn from ids:

    z_L        = [user factors, age, hour | item factors, price, duration | user x item factors], made white over the log
    score_t    = f(w_t' z), f(s) = s + 0.4 sin(2 s) at unit variance: the paper's "linear plus sines", odd and increasing
    click      ~ Bernoulli(sigmoid(a_click + 1.6 score_click + position bias))
    like, buy  ~ Bernoulli(sigmoid(a_t + 1.8 score_t)), where click == 1
    watch_time ~ mean x Gamma(shape 5, mean 1), log mean = a_watch + 0.42 score_watch, in seconds, where click == 1

Preferences stay the same over time, and users meet items and positions at random, so the written truth is the best that any
model can do. A user's factors come mostly (80 % of variance) from country, device and age, an item's from category and tags;
the rest belongs to the id alone. The same items live all the time, unless there is a turnover (:mod:`manygate.datasets.turnover`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from manygate.datasets.folder import WrittenDataset, check_out, check_seed, write_dataset
from manygate.datasets.turnover import LARGEST, draw_turnover, item_count
from manygate.errors import raise_all, setting
from manygate.metrics.sigmoid import sigmoid
from manygate.schema import Feature, Schema, Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TASKS = ("click", "like", "watch_time", "buy")
RATES = {"click": 0.17, "like": 0.20, "buy": 0.065}
SPREADS = {"click": 1.6, "like": 1.8, "watch_time": 0.42, "buy": 1.8}
WIDEST = 10.0
"""The largest spread that can be asked for."""
MEAN_WATCH_SECONDS = 6.0
WATCH_SHAPE = 5.0
POSITIONS = 10
POSITION_BIAS = -0.5 * np.log(np.arange(1, POSITIONS + 1))
FACTORS = 4
BLOCKS = ((FACTORS + 2, 0.3), (FACTORS + 2, 0.5), (FACTORS, 0.2))  # size and share of variance: user, item, user x item
FEATURE_SHARE = 0.8
COUNTRIES = ("US", "IN", "BR", "DE", "GB", "FR", "JP", "MX", "ES", "CH", "PL", "SE")
DEVICES = ("phone", "desktop", "tablet")
CATEGORIES = ("comedy", "music", "sports", "news", "gaming", "food", "travel", "fashion", "science", "kids", "autos", "crafts")
TAGS = tuple(f"tag_{number:02d}" for number in range(40))
DAYS = 14
START = np.datetime64("2025-01-06T00:00:00", "us")
CHUNK_ROWS = 250_000
SAMPLE_ROWS = 200_000


@dataclass(frozen=True)
class _Users:
    id: Ints
    age: Ints
    age_is_known: npt.NDArray[np.bool_]
    country: Ints
    device: Ints
    latent: Floats  # (users, FACTORS + 1): factors, age
    share: Floats


@dataclass(frozen=True)
class _Items:
    id: Ints
    category: Ints
    tags: pa.ListArray
    price: Floats
    duration: Floats
    latent: Floats  # (items, FACTORS + 2): factors, price, duration
    share: Floats


@dataclass(frozen=True)
class _Impressions:
    user: Ints  # the row in _Users, not the id
    item: Ints
    time: npt.NDArray[np.datetime64]
    hour: Ints
    position: Ints


def impressions(
    out: str | Path,
    rows: int = 100_000,
    relatedness: float | Sequence[float] = 0.5,
    seed: int = 0,
    overwrite: bool = False,
    turnover: float = 0.0,
    buy_spread: float = SPREADS["buy"],
) -> WrittenDataset:
    """Write a made-up impression log, and the truth that it was drawn from, as the folder ``out``; return what was written.

    train, valid and test are the first 80 %, the next 10 % and the last 10 % of the rows by time. Labels: ``click``; ``like``,
    ``watch_time`` (seconds) and ``buy`` where click == 1, null elsewhere. truth/{train,valid,test}.parquet hold, row by row,
    p_click (given the position), p_click_served (its mean over the ten positions: all that is known when the position is not),
    p_like, p_buy and mean_watch_time (all given a click); truth/ceiling.yaml the AUC and R2 of that truth on the test rows.

    Args:
        out: Folder to write.
        rows: Impressions, at least 100; there is a user for every 50 and an item for every 200.
        relatedness: Cosine, in [-1, 1], of each other task's preference direction with click's; or three, for like,
            watch_time and buy. Two of those tasks have the product of theirs: they share what each shares with click.
        seed: The same seed and arguments give the same bytes (on one machine, with the same NumPy and PyArrow).
        overwrite: Replace a folder that is there and not empty.
        turnover: Expected share, in [0, 0.9], of the test rows whose item was born after the training rows. Items are born at
            all times and fade. With 0 the same items live all the time.
        buy_spread: Standard deviation of buy's logit over impressions, above 0 and at most 10.

    Raises:
        InputError: Bad arguments, or ``out`` taken.

    >>> import tempfile
    >>> written = impressions(Path(tempfile.mkdtemp()) / "log", rows=1000)
    >>> written.rows, Schema.load(written.schema).task_names
    ({'train': 800, 'valid': 100, 'test': 100}, ('click', 'like', 'watch_time', 'buy'))
    """
    problems = [*check_seed(seed), *_problems(rows, relatedness, turnover, buy_spread)]
    raise_all(problems)
    check_out(out, overwrite)
    random = np.random.Generator(np.random.PCG64(seed))
    alive = max(50, rows // 200)
    users, items = draw_users(max(50, rows // 50), random), draw_items(item_count(alive, turnover) if turnover else alive, random)
    seen = _draw_impressions(rows, users, items, random)
    if turnover:
        seen = replace(seen, item=draw_turnover(items.share, turnover, random).draw(rows, random))
    truth = _truth(_scores(users, items, seen, draw_directions(relatedness, random)), seen.position, buy_spread)
    labels = _labels(truth, random)
    table, truth_table = _table(users, items, seen, labels), pa.table(dict(truth))
    files: dict[str, pa.Table | str] = {}
    edges = [0, rows * 8 // 10, rows * 9 // 10, rows]
    for split, start, end in zip(("train", "valid", "test"), edges, edges[1:], strict=False):
        files[f"{split}.parquet"] = table.slice(start, end - start)
        files[f"truth/{split}.parquet"] = truth_table.slice(start, end - start)
    files["truth/ceiling.yaml"] = _ceiling(truth, labels, slice(edges[2], rows))
    files["schema.yaml"] = _schema().to_yaml()
    files["README.md"] = _readme(rows, seed, {"relatedness": relatedness, "turnover": turnover, "buy_spread": buy_spread})
    return write_dataset(out, files, overwrite)


def _problems(rows: object, relatedness: object, turnover: object, buy_spread: object) -> list[str]:
    """What is wrong with the arguments of :func:`impressions`."""
    problems = []
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 100:
        problems.append(f"{setting('rows')}: expected a whole number of at least 100, found {rows!r}.")
    cosines = list(relatedness) if isinstance(relatedness, list | tuple) else [relatedness]
    if len(cosines) not in (1, len(TASKS) - 1) or not all(_lies(cosine, -1, 1) for cosine in cosines):
        each = f"or one for each of {', '.join(TASKS[1:])}"
        problems.append(f"{setting('relatedness')}: expected a cosine from -1 to 1, {each}; found {relatedness!r}.")
    if not _lies(turnover, 0, LARGEST):
        problems.append(f"{setting('turnover')}: expected a share from 0 to {LARGEST}, found {turnover!r}.")
    if not _lies(buy_spread, 0, WIDEST) or not buy_spread:
        problems.append(f"{setting('buy_spread')}: expected a number above 0 and at most {WIDEST:g}, found {buy_spread!r}.")
    return problems


def _lies(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _zipf(count: int, exponent: float = 0.9, shift: float = 5.0) -> Floats:
    weight = (np.arange(count) + shift) ** -exponent
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _standard(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.maximum(values.std(axis=0), 1e-12), dtype=np.float64)


def _blend(from_features: Floats, random: np.random.Generator) -> Floats:
    """Factors of which FEATURE_SHARE of the variance can be read off the features; the rest only off the id."""
    by_id = random.standard_normal(from_features.shape)
    return math.sqrt(FEATURE_SHARE) * _standard(from_features) + math.sqrt(1 - FEATURE_SHARE) * by_id


def draw_users(count: int, random: np.random.Generator) -> _Users:
    country = random.choice(len(COUNTRIES), size=count, p=_zipf(len(COUNTRIES)))
    device = random.choice(len(DEVICES), size=count, p=(0.6, 0.3, 0.1))
    age = np.clip(np.rint(13 + random.gamma(3.0, 7.0, size=count)), 13, 90)
    older = _standard(age)
    factors = older[:, None] * 0.6 * random.standard_normal(FACTORS)
    factors += random.standard_normal((len(COUNTRIES), FACTORS))[country]
    factors += 0.6 * random.standard_normal((len(DEVICES), FACTORS))[device]
    return _Users(
        id=random.permutation(count) + 1,
        age=age.astype(np.int64),
        age_is_known=random.random(count) >= 0.1,
        country=country,
        device=device,
        latent=np.column_stack([_blend(factors, random), older]),
        share=_zipf(count),
    )


def draw_items(count: int, random: np.random.Generator) -> _Items:
    category = random.choice(len(CATEGORIES), size=count, p=_zipf(len(CATEGORIES)))
    how_many = random.choice(5, size=count, p=(0.1, 0.2, 0.3, 0.25, 0.15))
    # The largest of log weight + Gumbel noise: a weighted draw without replacement for every item at once.
    drawn = np.argsort(-(np.log(_zipf(len(TAGS))) + random.gumbel(size=(count, len(TAGS)))), axis=1)[:, :4]
    used = np.arange(4) < how_many[:, None]
    factors = 1.2 * random.standard_normal((len(CATEGORIES), FACTORS))[category]
    by_tag = random.standard_normal((len(TAGS), FACTORS))[drawn] * used[:, :, None]
    factors += by_tag.sum(axis=1) / np.maximum(how_many, 1)[:, None]
    price = np.where(random.random(count) < 0.3, 0.0, np.round(random.lognormal(2.5, 1.0, size=count), 2))
    duration = np.round(random.lognormal(math.log(60), 0.9, size=count).clip(3.0, 7200.0), 1)
    return _Items(
        id=random.permutation(count) + 1,
        category=category,
        tags=pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(how_many)), pa.int32()), _strings(TAGS, drawn[used])),
        price=price,
        duration=duration,
        latent=np.column_stack([_blend(factors, random), _standard(np.log1p(price)), _standard(np.log(duration))]),
        share=_zipf(count),
    )


def _draw_impressions(rows: int, users: _Users, items: _Items, random: np.random.Generator) -> _Impressions:
    """Independent draws of user, item and position, at strictly increasing times that are denser in the evening."""
    crowd = np.append(0.0, np.cumsum(1 + 0.6 * _evening(np.arange(24 * DAYS))))
    elapsed = np.interp(np.sort(random.random(rows)), crowd / crowd[-1], np.arange(crowd.size))
    step = np.arange(rows)
    micros = np.maximum.accumulate((elapsed * 3600e6).astype(np.int64) - step) + step
    return _Impressions(
        user=random.choice(users.id.size, size=rows, p=users.share),
        item=random.choice(items.id.size, size=rows, p=items.share),
        time=START + micros.astype("timedelta64[us]"),
        hour=micros // 3_600_000_000 % 24,
        position=random.integers(1, POSITIONS + 1, size=rows),
    )


def _evening(hour: Ints) -> Floats:
    return np.cos(2 * np.pi * (hour - 20) / 24)


def draw_directions(relatedness: float | Sequence[float], random: np.random.Generator) -> Floats:
    """Unit directions, one column per task, with the cosines of :func:`impressions` in each block."""
    cosine_T, blocks = np.broadcast_to(np.asarray(relatedness, dtype=np.float64), len(TASKS) - 1), []
    for size, share in BLOCKS:
        basis = np.linalg.qr(random.standard_normal((size, len(TASKS))))[0]
        turned = cosine_T * basis[:, :1] + np.sqrt(1 - cosine_T**2) * basis[:, 1:]
        blocks.append(math.sqrt(share) * np.column_stack([basis[:, 0], turned]))
    return np.concatenate(blocks)


def _latent(users: _Users, items: _Items, seen: _Impressions, rows: slice) -> Floats:
    """z_L of some rows, before it is made white."""
    user, item = users.latent[seen.user[rows]], items.latent[seen.item[rows]]
    return np.column_stack([user, _evening(seen.hour[rows]), item, user[:, :FACTORS] * item[:, :FACTORS]])


def _scores(users: _Users, items: _Items, seen: _Impressions, directions: Floats) -> Floats:
    """score_t of every row, (rows, tasks). White latents make the linear scores' correlation the cosine of the directions."""
    rows = seen.user.size
    sample = _latent(users, items, seen, _sample(rows))
    mean = sample.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(sample - mean, rowvar=False))
    # The symmetric root of the inverse covariance, which leaves the blocks of BLOCKS nearly what they were.
    weights = vectors @ ((vectors.T @ directions) / np.sqrt(np.maximum(values, 1e-9))[:, None])
    scores = np.empty((rows, len(TASKS)))
    for chunk in (slice(start, start + CHUNK_ROWS) for start in range(0, rows, CHUNK_ROWS)):
        linear = (_latent(users, items, seen, chunk) - mean) @ weights
        scores[chunk] = linear + 0.4 * np.sin(2 * linear)
    part = scores[_sample(rows)]
    return (scores - part.mean(axis=0)) / part.std(axis=0)


def _sample(rows: int) -> slice:
    """Evenly spaced rows, SAMPLE_ROWS or up to twice as many: enough to fit whitening and intercepts."""
    return slice(0, None, max(1, rows // SAMPLE_ROWS))


def _intercept(logit: Floats, rate: float, weight: Floats | None = None) -> float:
    """The intercept that brings the (weighted) mean probability to ``rate``, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        too_low = np.average(sigmoid(logit + middle), weights=weight) < rate
        low, high = (middle, high) if too_low else (low, middle)
    return (low + high) / 2


def _truth(scores: Floats, position: Ints, buy_spread: float) -> dict[str, Floats]:
    """The columns of the truth files, from the tasks' scores."""
    spreads = {**SPREADS, "buy": buy_spread}
    logit = {task: spreads[task] * scores[:, column] for column, task in enumerate(TASKS)}
    sample, bias = _sample(position.size), POSITION_BIAS[position - 1]
    click = logit["click"] + _intercept((logit["click"] + bias)[sample], RATES["click"])
    p_click = sigmoid(click + bias)
    truth = {"p_click": p_click, "p_click_served": np.zeros_like(click)}
    for at in POSITION_BIAS:
        truth["p_click_served"] += sigmoid(click + at) / POSITIONS
    clicked = p_click[sample]
    for task in ("like", "buy"):
        truth[f"p_{task}"] = sigmoid(logit[task] + _intercept(logit[task][sample], RATES[task], clicked))
    watch = np.exp(logit["watch_time"])
    truth["mean_watch_time"] = watch * (MEAN_WATCH_SECONDS / np.average(watch[sample], weights=clicked))
    return truth


def _labels(truth: dict[str, Floats], random: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    """One draw of every label on every row; those outside the sample space are made null later."""
    rows = truth["p_click"].size
    drawn = {task: (random.random(rows) < truth[f"p_{task}"]).astype(np.int8) for task in RATES}
    noise = random.gamma(WATCH_SHAPE, 1 / WATCH_SHAPE, size=rows)
    return {**drawn, "watch_time": (truth["mean_watch_time"] * noise).astype(np.float32)}


def _strings(names: tuple[str, ...], index: Ints) -> pa.Array:
    return pa.array(names).take(pa.array(index))


def _table(users: _Users, items: _Items, seen: _Impressions, labels: dict[str, npt.NDArray[np.generic]]) -> pa.Table:
    user, item, outside = seen.user, seen.item, labels["click"] == 0
    columns = {
        "user_id": pa.array(users.id[user]),
        "item_id": pa.array(items.id[item]),
        "timestamp": pa.array(seen.time),
        "position": pa.array(seen.position, pa.int32()),
        "hour": pa.array(seen.hour, pa.int32()),
        "age": pa.array(users.age[user], pa.int32(), mask=~users.age_is_known[user]),
        "country": _strings(COUNTRIES, users.country[user]),
        "device": _strings(DEVICES, users.device[user]),
        "category": _strings(CATEGORIES, items.category[item]),
        "tags": items.tags.take(pa.array(item)),
        "price": pa.array(items.price[item]),
        "duration": pa.array(items.duration[item]),
    }
    masked = {task: pa.array(labels[task], mask=None if task == "click" else outside) for task in TASKS}
    return pa.table(columns | masked)


def _ceiling(truth: dict[str, Floats], labels: dict[str, npt.NDArray[np.generic]], test: slice) -> str:
    """The best that a model which does not know the position can score on the test rows, as YAML."""
    from manygate.metrics.task import auc, r2

    clicked = labels["click"][test] == 1
    tree: dict[str, dict[str, float | int | str | None]] = {}
    for task in TASKS:
        column = {"click": "p_click_served", "watch_time": "mean_watch_time"}.get(task, f"p_{task}")
        inside = slice(None) if task == "click" else clicked
        label, score = labels[task][test][inside], truth[column][test][inside]
        metric, measure = ("r2", r2) if task == "watch_time" else ("auc", auc)
        value = float(measure(label, score))
        tree[task] = {"metric": metric, "value": None if math.isnan(value) else value, "rows": int(label.size)}
    return yaml.safe_dump(tree, sort_keys=False)


def _schema() -> Schema:
    features = (
        *(Feature(name=name, kind="sparse") for name in ("user_id", "item_id", "country", "device", "category")),
        Feature(name="position", kind="sparse", bias=True, note="Known in the log, not when serving."),
        Feature(name="hour", kind="sparse", note="Hour of the day, UTC."),
        Feature(name="age", kind="dense", note="Years; null for a tenth of the users."),
        Feature(name="tags", kind="bag"),
        Feature(name="price", kind="dense", note="Zero for three items in ten."),
        Feature(name="duration", kind="dense", note="Seconds."),
    )
    like, buy = (Task(name=name, where="click == 1") for name in ("like", "buy"))
    watch = Task(name="watch_time", kind="regression", where="click == 1", note="Seconds.")
    return Schema(features=features, tasks=(Task(name="click"), like, watch, buy), group="user_id", time="timestamp")


def _readme(rows: int, seed: int, given: Mapping[str, float | Sequence[float]]) -> str:
    """The README of a log. ``given`` has the arguments that shape it."""
    turnover, relatedness = given["turnover"], given["relatedness"]
    new = (
        f" Items are born and fade: about {turnover:.0%} of the test rows have one that training did not have." if turnover else ""
    )
    usual = {"turnover": 0.0, "buy_spread": SPREADS["buy"]}
    named = "".join(f", {name}={given[name]}" for name, value in usual.items() if given[name] != value)
    return f"""# Impression log with known truth

{rows:,} made-up impressions over {DAYS} days (times in UTC), split by time 80/10/10. {_cosine_words(relatedness)}
truth/ holds the probabilities that the labels were drawn from, row by row, and truth/ceiling.yaml what a perfect model
scores on the test rows without knowing the position.{new}

Source: drawn by Manygate, no person's data. Licence: CC0 1.0
Written by manygate.datasets.impressions(rows={rows}, relatedness={relatedness}, seed={seed}{named}).
"""


def _cosine_words(relatedness: float | Sequence[float]) -> str:
    if isinstance(relatedness, int | float):
        others = f"{relatedness} with click's and {relatedness**2:.4g} with one another"
        return f"The other tasks' true directions have\ncosine {others}."
    cosines = ", ".join(f"{cosine:g} ({task})" for cosine, task in zip(relatedness, TASKS[1:], strict=True))
    return f"The other tasks' true directions\nhave these cosines with click's: {cosines}; two of them have the product of theirs."
