"""The settings of a run. Each has one name, which is a YAML key, a flag and a Python argument."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from manygate.config.base import Settings
from manygate.config.data_settings import LARGE_LOG, DataConfig
from manygate.config.model_settings import ModelConfig
from manygate.config.names import (
    ARCHITECTURE,
    BASELINES,
    COMPARED,
    WEIGHTING,
    WEIGHTINGS,
    CalibrationMethod,
    check_name,
    check_names,
)
from manygate.config.values import (
    LARGEST_SEED,
    Baselines,
    Counted,
    FactorRows,
    Factors,
    NonNegatives,
    class_name,
    divides_an_epoch,
    scheme_names,
    weighting_names,
)
from manygate.errors import InputError, raise_all, setting
from manygate.files import read_text
from manygate.schema.reading import read_yaml, validated

LARGEST_BATCH, SMALLEST_BATCH, STEPS_OF_EPOCH = 1024, 64, 128
"""By default a batch is the largest power of two between the first two numbers with which an epoch has this many steps."""
BY_ROWS = ("batch_size", "cross_layers", "weight_average")
"""Settings that the number of training rows decides (:meth:`RunConfig.for_rows`), unless they are given."""
CROSS_LAYERS, WEIGHT_AVERAGE = 2, 0.999
"""The default number of cross layers in a large log, and the decay of its average of the weights."""
PLAIN = {"cross_layers": 0, "weight_average": 0.0, "number_ids": 0, "target_statistics": False}
"""The defaults of large logs switched off: the networks of the papers, and of bundles that are older than these settings."""
REPLICA_SETTINGS = ("replica_seeds", "replica_rates", "replica_weights", "replica_id_dropouts")
"""The settings with a value for each replica. Replicas take the values in turn."""


class TrainConfig(Settings):
    """Settings of the training."""

    replicas: int = Field(1, ge=1, description="Number of models to train at once. They differ in their seed alone.")
    seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        description="The first seed: replica r uses seed + r. So runs with the seeds 0 and 1 share all replicas but one.",
    )
    pack: int | None = Field(
        None, ge=1, description="Number of replicas in one program; the others train later. Default: as many as fit in memory."
    )
    replica_data: Literal["shared", "order", "bootstrap"] = Field(
        "shared", description="Training rows: the same for all replicas, shuffled for each, or a bootstrap sample for each."
    )
    replica_seeds: Counted = Field(
        (), description="Numbers that are added to the seed. Replicas take them in turn: 0,1,0,1. Default: 0,1,2 and so on."
    )
    replica_rates: Factors = Field((), description="Factors for the learning rate. Replicas take them in turn: 0.1,1,10.")
    replica_weights: FactorRows = Field(
        (), description="Factors for the tasks' weights. Replicas take them in turn, separated by /: 1,1/1,2 for two tasks."
    )
    replica_id_dropouts: NonNegatives = Field(
        (), description="Values of --id-dropout. Replicas take them in turn: 0,5,20. Default: the same for all."
    )
    calibrator_weight: float = Field(0.6, ge=0, le=1e6, description="Weight of the calibrator loss of aitm.")
    escm2_weight: float = Field(1.0, ge=0, le=1e6, description="Weight of the counterfactual loss of escm2.")
    escm2_joint_weight: float = Field(1.0, ge=0, le=1e6, description="Weight of the loss of esmm within escm2.")
    propensity_floor: float = Field(0.05, gt=0, le=1, description="Smallest propensity that escm2 divides by.")
    weighting: Annotated[str, BeforeValidator(class_name)] = Field(
        "fixed",
        description=f"How the tasks' losses become one objective: {', '.join(WEIGHTINGS)}; or a class of your own as module:Class.",
    )
    balance_every: int = Field(1, ge=1, description="Weightings that use gradients compute them in every Nth step.")
    gradnorm_alpha: float = Field(1.5, ge=0, le=100, description="How strongly gradnorm makes the tasks learn at the same rate.")
    cagrad_c: float = Field(
        0.4, ge=0, lt=1, description="Largest distance of cagrad's direction from the mean gradient, as a share of its length."
    )
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = Field("adamw", description="The optimizer.")
    table_optimizer: Literal["same", "rowwise_adagrad"] = Field(
        "same",
        description="The optimizer of the embedding tables: that of the other weights, or row-wise Adagrad, with one number a row.",
    )
    table_learning_rate: float | None = Field(
        None, gt=0, le=1e6, description="The learning rate of the embedding tables. Default: --learning-rate."
    )
    table_sharding: Literal["none", "row_wise", "table_wise", "planned"] = Field(
        "none",
        description="Where the embedding tables of a run of several processes are: in each of them (none), or spread over them by "
        "TorchRec: by rows, by features, or large features by rows and others whole (planned). It needs --table-optimizer "
        "rowwise_adagrad. In one process it changes nothing.",
    )
    learning_rate: float = Field(2e-3, gt=0, le=1e6, description="The learning rate.")
    weight_decay: float | None = Field(
        None, ge=0, le=1e6, description="Weight decay. Default: 0.01 for adamw, where it is decoupled, and 0 for the others."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the learning rate changes over the steps."
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps over which the learning rate rises from zero.")
    weight_average: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Decay of the average of the weights over the steps. Validation judges the average, and the average is kept. 0 "
        "switches it off. Default: 0.999 from 100,000 training rows on, and 0 with --table-sharding.",
    )
    clip_norm: float | None = Field(None, gt=0, le=1e30, description="Largest norm of a replica's gradient. Default: no limit.")
    batch_size: int | None = Field(
        None, ge=1, description="Number of rows in a batch. Default: 1024, or fewer on a small log, so that an epoch has 128 steps."
    )
    epochs: int = Field(20, ge=1, description="Largest number of passes over the training rows.")
    max_steps: int | None = Field(None, ge=1, description="Largest number of optimizer steps. Default: no limit.")
    keep: Literal["best", "best-per-task", "last"] = Field(
        "best",
        description="Weights to keep: of the best validation score, of each task's own best (a copy of the network for each task), "
        "or the last (then patience stops nothing).",
    )
    patience: int = Field(3, ge=1, description="A replica stops after this many epochs without a better validation metric.")
    evaluate_every: Annotated[float, AfterValidator(divides_an_epoch)] = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of an epoch between evaluations, 1 divided by a whole number: 0.25 evaluates four times in each epoch. "
        "Patience is counted in epochs all the same.",
    )
    monitor: str = Field("mean", description="The metric that validation watches: mean (of all tasks), TASK, or TASK/METRIC.")
    calibration: CalibrationMethod = Field(
        "none", description="How predicted probabilities are corrected, fitted on the validation rows after training."
    )
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of training; bf16 uses autocast.")
    sparse_gradients: bool | None = Field(
        None, description="Update only the embedding rows that a batch reads. Default: if there are over 100,000 embedding rows."
    )
    device: str = Field("auto", description="Where to compute: auto, cpu, cuda or cuda:N.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads. Default: all cores.")
    checkpoint_seconds: float = Field(60.0, ge=0, description="Longest time between checkpoints. Each epoch ends with one, too.")

    @property
    def batch_rows(self) -> int:
        """The number of rows in a batch. Before the log is known (see :meth:`RunConfig.for_rows`), the default is the largest."""
        return self.batch_size or LARGEST_BATCH

    @property
    def decay(self) -> float:
        """The weight decay in use."""
        return self.weight_decay if self.weight_decay is not None else 0.01 if self.optimizer == "adamw" else 0.0

    @field_validator("weighting")
    @classmethod
    def _weighting_is_known(cls, name: str) -> str:
        check_name(WEIGHTING, name)
        return name


class RunConfig(DataConfig, ModelConfig, TrainConfig):
    """Every setting of a run.

    >>> RunConfig(experts=4).experts
    4
    >>> RunConfig.build({"expert": 4})
    Traceback (most recent call last):
    manygate.errors.InputError: expert: unknown name. Did you mean 'experts'?
    """

    config_version: Literal[1] = 1
    log: str | None = Field(None, description="The log: a file, a folder or a glob.")
    continued: str | None = Field(
        None, description="The folder of a finished run whose weights and vocabularies the run starts from (train --continue)."
    )
    architectures: Annotated[tuple[str, ...], BeforeValidator(scheme_names)] = Field(
        COMPARED, description="The architectures that a comparison trains; all means every one."
    )
    weightings: Annotated[tuple[str, ...], BeforeValidator(weighting_names)] = Field(
        (), description="The weightings that a comparison trains; all means every one. Default: --weighting."
    )
    baselines: Baselines = Field(
        None, description=f"Models from outside, one a task: {', '.join(BASELINES)}; or none. Default: lightgbm if installed."
    )
    weight_sweep: int = Field(
        0,
        ge=0,
        le=1000,
        description="Number of vectors of fixed weights that a comparison trains for each architecture. Default: none.",
    )
    id_dropouts: NonNegatives = Field(
        (),
        description="Values of --id-dropout from which a comparison chooses one for each model, on validation rows: 0,5,20. "
        "Default: --id-dropout.",
    )

    tune: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Number of trials with which a comparison tunes each architecture on validation rows before it is compared. "
        "Default: none.",
    )

    @field_validator("weightings")
    @classmethod
    def _weightings_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        check_names(WEIGHTING, names)
        return names

    @model_validator(mode="after")
    def _sweep_is_alone(self) -> Self:
        varied = [name for name in REPLICA_SETTINGS if getattr(self, name)]
        if self.weight_sweep == 1:
            raise InputError(
                f"{setting('weight_sweep')}: one vector is no sweep; its front is a point. Give 3 or more, or 0 for none."
            )
        if self.weight_sweep and varied:
            raise InputError(
                f"{setting('weight_sweep')}, {setting(varied[0])}: a sweep gives the "
                "replicas weights and seeds of its own. Leave one out."
            )
        return self

    @model_validator(mode="after")
    def _choice_is_alone(self) -> Self:
        varied = [name for name in (*REPLICA_SETTINGS, "weight_sweep") if getattr(self, name)]
        if len(self.id_dropouts) == 1:
            raise InputError(f"{setting('id_dropouts')}: one value is no choice. Give it as {setting('id_dropout')}, or give more.")
        if len(set(self.id_dropouts)) < len(self.id_dropouts):
            raise InputError(f"{setting('id_dropouts')}: a value stands there twice in {list(self.id_dropouts)}. Give it once.")
        if self.id_dropouts and varied:
            raise InputError(
                f"{setting('id_dropouts')}, {setting(varied[0])}: the choice gives the replicas values and seeds of its own. "
                "Leave one out."
            )
        return self

    @model_validator(mode="after")
    def _tuning_is_alone(self) -> Self:
        varied = [name for name in (*REPLICA_SETTINGS, "weight_sweep", "id_dropouts") if getattr(self, name)]
        if self.tune and varied:
            raise InputError(
                f"{setting('tune')}, {setting(varied[0])}: the trials give replicas settings and seeds of their own. Leave one out."
            )
        return self

    @field_validator("architectures")
    @classmethod
    def _architectures_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        raise_all([] if names else ["architectures: name at least one."])
        check_names(ARCHITECTURE, names)
        return names

    @classmethod
    def build(cls, settings: Mapping[str, object], where: str = "") -> RunConfig:
        """Validate settings given as a mapping; ``where`` is the file that they come from, if they come from one."""
        return validated(cls, settings, where)

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Read a YAML configuration."""
        return cls.build(read_yaml(read_text(Path(path)), str(path)), str(path))

    @property
    def title(self) -> str:
        """The name of a run of these settings: the architecture, and the weighting unless it is the default."""
        return self.architecture if self.weighting == "fixed" else f"{self.architecture}+{self.weighting}"

    def to_yaml(self) -> str:
        """Every setting, resolved, as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)

    def with_defaults(self, **defaults: Any) -> RunConfig:
        """A copy in which settings that were not given explicitly take other defaults."""
        return self.replace(**{name: value for name, value in defaults.items() if name not in self.model_fields_set})

    def of_replicas(self, first: int, count: int) -> RunConfig:
        """The settings of ``count`` of the replicas alone, from ``first`` on: their seeds, and what differs between them.

        >>> part = RunConfig(replicas=6, seed=10, replica_rates=(0.1, 1.0)).of_replicas(3, 2)
        >>> part.seed, part.replicas, part.replica_rates
        (13, 2, (1.0, 0.1))
        """
        chosen = range(first, first + count)
        by_replica = {name: getattr(self, name) for name in REPLICA_SETTINGS}
        turns = {name: tuple(values[r % len(values)] for r in chosen) for name, values in by_replica.items() if values}
        return self.replace(seed=self.seed if self.replica_seeds else self.seed + first, replicas=count, **turns)

    def seed_of(self, replica: int) -> int:
        """The seed of a replica."""
        return self.seed + (self.replica_seeds[replica % len(self.replica_seeds)] if self.replica_seeds else replica)

    def for_rows(self, rows: int) -> RunConfig:
        """A copy in which what was not given is chosen for ``rows`` training rows: batches, cross layers, an average of weights.

        >>> [RunConfig().for_rows(rows).batch_size for rows in (100, 16_000, 16_384, 48_000, 200_000)]
        [64, 64, 128, 256, 1024]
        >>> small, large = RunConfig().for_rows(99_999), RunConfig().for_rows(100_000)
        >>> (small.cross_layers, small.weight_average), (large.cross_layers, large.weight_average)
        ((0, 0.0), (2, 0.999))
        >>> RunConfig(table_sharding="row_wise").for_rows(100_000).weight_average
        0.0
        """
        size = 1 << (max(rows // STEPS_OF_EPOCH, 1).bit_length() - 1)
        large = rows >= LARGE_LOG
        chosen = {
            "batch_size": min(max(size, SMALLEST_BATCH), LARGEST_BATCH),
            "cross_layers": CROSS_LAYERS if large and not self.gate_features else 0,
            "weight_average": WEIGHT_AVERAGE if large and self.table_sharding == "none" else 0.0,
        }
        missing = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        return self.replace(**missing) if missing else self

    def absolute(self) -> RunConfig:
        """A copy with absolute paths, so that a command in another folder finds the same files.

        >>> RunConfig(log="/data/a.parquet").absolute().log, RunConfig().absolute().log
        ('/data/a.parquet', None)
        """
        given = {name: getattr(self, name) for name in ("log", "valid", "test", "schema_file", "continued")}
        return self.replace(**{name: str(Path(path).absolute()) for name, path in given.items() if path is not None})

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some settings changed, validated anew."""
        return type(self).build({**self.model_dump(), **changes})
