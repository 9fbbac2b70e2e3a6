"""The settings of a search for good settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from manygate.config.base import Settings
from manygate.config.model_settings import ModelConfig
from manygate.config.ranges import KINDS, Range, read_ranges
from manygate.config.values import Names
from manygate.errors import InputError, raise_all, setting
from manygate.schema.reading import YamlTree
from manygate.text import cut

TRIAL_REPLICAS = 2
"""The number of replicas of a trial, unless it is given."""
GP_TRIALS = 300
"""The largest number of trials for which a Gaussian process proposes them by default."""


class SpaceConfig(Settings):
    """The search space. It has no flag of its own: ranges stand in a file, or in a dictionary."""

    space: dict[str, Range] = Field(
        {}, description="Ranges by setting, for example {learning_rate: {log: [0.0001, 0.01]}}. Default: one for the architecture."
    )

    @field_validator("space", mode="before")
    @classmethod
    def _read(cls, trees: object) -> object:
        if not isinstance(trees, Mapping):
            raise InputError(f"{setting('space')}: expected ranges by the names of settings; found {cut(trees)}.")
        return read_ranges({str(name): tree for name, tree in trees.items()}, lambda name: f"{setting('space')}: {name}")


class TuneConfig(SpaceConfig):
    """Settings of a search.

    >>> TuneConfig(trials=50).chosen_sampler, TuneConfig(trials=400).chosen_sampler
    ('gp', 'tpe')
    """

    trials: int = Field(50, ge=1, le=100_000, description="Number of trials of the whole study, of all processes together.")
    sampler: Literal["auto", "gp", "tpe", "random"] = Field(
        "auto", description=f"What proposes the trials. auto is gp up to {GP_TRIALS} trials and tpe above."
    )
    objective: Names = Field(
        (), description="What to maximise on validation rows: mean, TASK or TASK/METRIC; several give a front. Default: --monitor."
    )
    pruning: Literal["none", "median"] = Field(
        "none", description="End a trial early if its best score so far is below the median of earlier trials at the same epoch."
    )
    round: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Propose this many trials at a time, from finished rounds alone. So the trials depend on the seed and not on "
        "the number of processes. Default: propose each trial from all that is known.",
    )
    max_units: int | None = Field(
        None,
        ge=1,
        description="Most hidden units of a layer, all its experts together: 2048 in MMoE section 6.2. Default: no limit.",
    )
    storage: str | None = Field(
        None, description="SQL database that processes share, for example sqlite:///study.db. Default: a file in the folder."
    )
    study: str = Field("tuning", min_length=1, max_length=200, description="Name of the study in --storage.")
    pick: int | None = Field(
        None, ge=0, description="Trial to train again at the end. Default: the best, or of a front the nearest to the best values."
    )
    final_replicas: int = Field(8, ge=1, description="Replicas with which tuned and default settings are trained at the end.")

    @field_validator("objective", mode="before")
    @classmethod
    def _commas_separate(cls, names: object) -> object:
        """Accept "click,buy", ["click", "buy"] and ["click,buy"]."""
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return ",".join(names)
        return names

    @model_validator(mode="after")
    def _fits(self) -> Self:
        twice = [name for n, name in enumerate(self.objective) if name in self.objective[:n]]
        if twice:
            raise InputError(f"{setting('objective')}: {twice[0]!r} is named twice. Name it once.")
        if len(self.objective) > 1 and self.pruning != "none":
            raise InputError(
                f"{setting('pruning', self.pruning)}: with several objectives no trial is worse than another while it trains. "
                "Give one objective, or leave it out."
            )
        if self.pick is not None and self.pick >= self.trials:
            raise InputError(f"{setting('pick', self.pick)}: the study has the trials 0 to {self.trials - 1}. Choose one of them.")
        return self

    @property
    def chosen_sampler(self) -> Literal["gp", "tpe", "random"]:
        """The sampler in use."""
        if self.sampler != "auto":
            return self.sampler
        return "gp" if self.trials <= GP_TRIALS else "tpe"


_FIXED = ("architecture", "match_parameters", "match_flops", "gate_features")
_TRAINING = (
    *("weighting", "balance_every", "gradnorm_alpha", "cagrad_c", "calibrator_weight", "escm2_weight", "escm2_joint_weight"),
    *("propensity_floor", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup", "clip_norm", "batch_size"),
    *("weight_average", "epochs", "max_steps", "patience"),
)
TUNABLE = (*(name for name in ModelConfig.model_fields if name not in _FIXED), *_TRAINING)
"""The settings of which a search can choose the value: those of the network and of its training, which differ between trials."""


def split_tree(tree: Mapping[str, object], where: str) -> tuple[dict[str, object], dict[str, object]]:
    """Divide the content of a configuration file into the settings of a run, and those of a search with its ranges.

    ``where`` is the name of the file. Raises one :class:`InputError` with the problems of all ranges.

    >>> split_tree({"log": "a.csv", "trials": 9, "experts": {"int": [2, 8]}}, "run.yaml")
    ({'log': 'a.csv'}, {'trials': 9, 'space': {'experts': Range(kind='int', values=(2, 8))}})
    """
    own = {name: value for name, value in tree.items() if name in TuneConfig.model_fields and name != "space"}
    space = tree.get("space", {})
    ranges = {name: value for name, value in tree.items() if is_range(name, value)}
    lines = tree.lines if isinstance(tree, YamlTree) else {}

    def named(name: str) -> str:
        line = lines.get((name,), lines.get(("space", name)))
        return f"{where}: {name}" if line is None else f"{where}:{line}: {name}"

    if not isinstance(space, Mapping):
        raise InputError(f"{named('space')}: expected ranges by the names of settings; found {cut(space)}.")
    twice = sorted(set(ranges) & set(space))
    raise_all(f"{named(name)}: it has a range in 'space', too. Give it once." for name in twice)
    read = read_ranges({str(name): value for name, value in {**space, **ranges}.items()}, named)
    run = {name: value for name, value in tree.items() if name not in TuneConfig.model_fields and name not in ranges}
    return run, own | ({"space": read} if read else {})


def is_range(name: str, value: object) -> bool:
    """Return whether a value of a configuration file is meant as a range.

    >>> is_range("experts", {"itn": [2, 8]}), is_range("task", {"name": "click"}), is_range("bins", {"int": [4, 8]})
    (True, False, True)
    """
    if not isinstance(value, Mapping):
        return False
    return name in TUNABLE or (len(value) == 1 and all(kind in KINDS and isinstance(ends, list) for kind, ends in value.items()))
