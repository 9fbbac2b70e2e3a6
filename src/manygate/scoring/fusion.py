"""Combines prediction columns and features of a row into one score for ranking, with NumPy alone.

PLE (Tang et al., RecSys 2020) ranks by such a score, pVTR^wVTR x pVCR^wVCR x ... x f(video_len):

    score = prod_k p_k ^ w_k  x  prod_j f_j(x_j) ^ v_j

p_k is a task's prediction, w_k its weight, x_j a feature and f_j a transform. The score is computed as exp(sum_k w_k log p_k +
sum_j v_j log f_j). p and f are at least :data:`TINY`, so that the score is finite. If all factors are larger, the score is the
product. Multiplying all weights by one positive number changes the score, but not the order.

Departures: The paper names only "a non-linear transform function such as sigmoid or log" for f. ``power`` and ``none`` are
additions of this package. A missing feature has the factor 1, which is another addition.

Shapes: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.errors import InputError, did_you_mean, raise_all, setting
from manygate.files import put_file, read_json, to_json
from manygate.metrics.sigmoid import sigmoid

Floats: TypeAlias = NDArray[np.float64]
FUSION_VERSION = 1
FUSION_FILE = "fusion.json"
TINY = 1e-12
LARGEST_LOG = 700.0
"""The largest logarithm of a score. The exp of a larger number overflows float64."""

TRANSFORMS: dict[str, Callable[[Floats], Floats]] = {
    "log": lambda x: np.log1p(np.maximum(x, 0)),
    "sigmoid": sigmoid,
    "power": lambda x: 1 + np.maximum(x, 0),
    "none": lambda x: x,
}
"""The transform f of a feature x: log(1 + x), 1 / (1 + exp(-x)), 1 + x (the factor is 1 at x = 0), or x itself."""


@dataclass(frozen=True)
class Term:
    """The factor of a feature, ``transform(feature) ^ weight``."""

    feature: str
    transform: str
    weight: float

    def log(self, value_N: ArrayLike) -> Floats:
        """Return log f(x) of each row, (N,). It is 0 (the factor 1) if the value is missing (NaN) or not finite."""
        value = np.asarray(value_N, dtype=np.float64)
        known = np.isfinite(value)
        return np.where(known, log_factor(TRANSFORMS[self.transform](np.where(known, value, 1.0))), 0.0)


@dataclass(frozen=True)
class Fusion:
    """A formula for the score: the weights of prediction columns, and the terms of features.

    ``version`` rises with each change. ``name`` is the column of the score. ``note`` is a text of the user. ``made`` describes when
    and how the weights were made. A fusion without weights and terms means that the fusion was removed. There is then no score.

    >>> fusion = Fusion({"click": 1.0, "buy": 0.5}, (Term("duration", "log", 2.0),))
    >>> columns = {"click": np.array([0.5, 0.0]), "buy": np.array([0.25, 0.25])}
    >>> fusion.score(columns, {"duration": np.array([np.e - 1, 3.0])}).round(9).tolist()
    [0.25, 0.0]
    """

    weights: Mapping[str, float]
    terms: tuple[Term, ...] = ()
    name: str = "score"
    version: int = 1
    note: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        raise_all(self._problems())

    @property
    def active(self) -> bool:
        """True if there is a score."""
        return bool(self.weights or self.terms)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features in the formula."""
        return tuple(dict.fromkeys(term.feature for term in self.terms))

    def log_score(self, columns: Mapping[str, ArrayLike], features: Mapping[str, ArrayLike]) -> Floats:
        """Return the logarithm of the score (N,). It has the same order as the score and does not overflow."""
        parts = [weight * log_factor(columns[name]) for name, weight in self.weights.items()]
        parts += [term.weight * term.log(features[term.feature]) for term in self.terms]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def score(self, columns: Mapping[str, ArrayLike], features: Mapping[str, ArrayLike]) -> Floats:
        """Return the score (N,), float64, finite and above 0."""
        return np.exp(np.clip(self.log_score(columns, features), -LARGEST_LOG, LARGEST_LOG))

    def check(self, columns: Sequence[str]) -> None:
        """Raise an :class:`InputError` if a weight is of a column that is not predicted, or if the score has a column's name."""
        problems = unknown_predictions(self.weights, columns)
        if self.active and self.name in columns:
            problems.append(
                f"fusion: the score cannot be named {self.name!r}, a prediction's name. Choose another {setting('name')}."
            )
        raise_all(problems)

    def after(self, before: Fusion | None) -> Fusion:
        """Return this fusion with the version after that of ``before``."""
        return replace(self, version=before.version + 1 if before else 1)

    def to_json(self) -> str:
        """Return the content of ``fusion.json``."""
        return to_json({"fusion_version": FUSION_VERSION, **self.tree()})

    def tree(self) -> dict[str, Any]:
        """Return the fusion as a tree of JSON values."""
        return {
            "version": self.version,
            "name": self.name,
            "weights": dict(self.weights),
            "features": [asdict(term) for term in self.terms],
            "note": self.note,
            "made": dict(self.made),
        }

    def formula(self) -> str:
        """Return the formula as text.

        >>> Fusion({"click": 1.0, "buy": 0.5}, (Term("duration", "log", 0.3),)).formula()
        'score = click^1 x buy^0.5 x log(1 + duration)^0.3'
        """
        shown = {"log": "log(1 + {})", "sigmoid": "sigmoid({})", "power": "(1 + {})", "none": "{}"}
        parts = [f"{name}^{weight:.4g}" for name, weight in self.weights.items()]
        parts += [f"{shown[term.transform].format(term.feature)}^{term.weight:.4g}" for term in self.terms]
        return f"{self.name} = {' x '.join(parts)}" if parts else f"no {self.name}"

    def _problems(self) -> list[str]:
        problems = [] if self.name else ["fusion: the score needs a name."]
        factors = {**self.weights, **{f"feature {term.feature}": term.weight for term in self.terms}}
        problems += [
            f"fusion: the weight of {name} must be a finite number, found {weight!r}."
            for name, weight in factors.items()
            if not _is_number(weight) or not math.isfinite(weight)
        ]
        if factors and all(weight == 0 for weight in factors.values()):
            problems.append("fusion: all weights are zero, so every row would have the same score. Give one more than 0.")
        problems += [problem for term in self.terms for problem in unknown_transform(term.feature, term.transform)]
        twice = [term.feature for i, term in enumerate(self.terms) if term.feature in {t.feature for t in self.terms[:i]}]
        return problems + [f"fusion: feature {name!r} is named twice." for name in dict.fromkeys(twice)]


def now() -> str:
    """Return the current time as ISO 8601, UTC, for ``made``."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def log_factor(value_N: ArrayLike) -> Floats:
    """Return the logarithm of a factor, which is at least :data:`TINY`. It is finite for values of 0 and below."""
    return np.log(np.maximum(np.asarray(value_N, dtype=np.float64), TINY))


def parse_fusion(
    weights: str | Mapping[str, float], features: Iterable[str] = (), columns: Sequence[str] | None = None, **about: Any
) -> Fusion:
    """Build a fusion from the form of the command line. ``columns`` are the predictions. One error lists all problems.

    >>> parse_fusion("click=1,buy=0.5", ["duration:log=0.3"]).terms
    (Term(feature='duration', transform='log', weight=0.3),)
    """
    problems: list[str] = []
    weight_of: dict[str, float] = {}
    if isinstance(weights, str):
        for part in filter(str.strip, weights.split(",")):
            name, equals, number = part.rpartition("=")
            if not equals:
                problems.append(
                    f"{setting('weights')}: {part.strip()!r} has no weight. Write it as NAME=NUMBER, for example click=1,buy=0.5."
                )
            elif name.strip() in weight_of:
                problems.append(f"{setting('weights')}: {name.strip()!r} is named twice.")
            else:
                weight_of[name.strip()] = _number(number, f"{setting('weights')}: {part.strip()!r}", problems)
    else:
        weight_of = {name: float(weight) if _is_number(weight) else weight for name, weight in weights.items()}
    terms = []
    for text in features:
        named, equals, number = text.rpartition("=")
        if not equals:
            problems.append(
                f"{setting('feature', text)} has no weight. Write it as NAME:TRANSFORM=NUMBER, for example duration:log=0.3."
            )
            continue
        feature, transform = parse_feature(named, problems)
        terms.append(Term(feature, transform, _number(number, setting("feature", text), problems)))
    problems += unknown_predictions(weight_of, columns) if columns is not None else []
    try:
        fusion = Fusion(weight_of, tuple(terms), **about)
    except InputError as error:
        raise InputError([*problems, *error.marked]) from None
    raise_all(problems)
    return fusion


def unknown_predictions(names: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Return a problem for each name that is not the name of a prediction."""
    return [
        f"fusion: no prediction {name!r}.{did_you_mean(name, columns)} There are {', '.join(columns)}."
        for name in names
        if name not in columns
    ]


def unknown_transform(feature: str, transform: str) -> list[str]:
    """Return a problem if the transform of a feature is not in :data:`TRANSFORMS`."""
    if transform in TRANSFORMS:
        return []
    hint = did_you_mean(transform, TRANSFORMS)
    return [f"fusion: feature {feature!r}: unknown transform {transform!r}.{hint} Choose {', '.join(TRANSFORMS)}."]


def parse_feature(text: str, problems: list[str]) -> tuple[str, str]:
    """Parse ``NAME:TRANSFORM`` into (name, transform). Problems are added to ``problems``."""
    feature, colon, transform = text.rpartition(":")
    if not colon or not feature.strip():
        problems.append(f"{setting('feature', text)} has no transform. Write NAME:TRANSFORM with one of {', '.join(TRANSFORMS)}.")
        return text.strip(), "none"
    return feature.strip(), transform.strip()


def _is_number(weight: Any) -> bool:
    return isinstance(weight, Real) and not isinstance(weight, bool)


def _number(text: str, where: str, problems: list[str]) -> float:
    try:
        return float(text)
    except ValueError:
        problems.append(f"{where}: {text.strip()!r} is not a number.")
        return 1.0


def read_fusion(folder: Path) -> Fusion | None:
    """Return the fusion in a bundle's folder, or None if it never had one. The caller has checked the manifest."""
    path = folder / FUSION_FILE
    return load_fusion(path) if path.is_file() else None


def load_fusion(path: Path) -> Fusion:
    """Return the fusion in a file. Raises :class:`InputError` if it is none."""
    tree = read_json(path)
    try:
        if tree["fusion_version"] != FUSION_VERSION:
            raise InputError(f"fusion version {tree['fusion_version']!r}, not {FUSION_VERSION}.")
        return fusion_from(tree)
    except InputError as error:
        raise InputError(f"{path}: {problem}" for problem in error.marked) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a fusion ({type(error).__name__}: {error}). Restore the bundle.") from None


def fusion_from(tree: Mapping[str, Any]) -> Fusion:
    """Return the fusion of a tree that :meth:`Fusion.tree` made."""
    about = {name: tree[name] for name in ("name", "version", "note", "made")}
    return Fusion(dict(tree["weights"]), tuple(Term(**term) for term in tree["features"]), **about)


def write_fusion(folder: Path, fusion: Fusion) -> None:
    """Write a fusion into a bundle's folder. A crash leaves the old file."""
    put_file(folder, FUSION_FILE, fusion.to_json())
