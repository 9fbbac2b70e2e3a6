"""The settings of the network."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from manygate.config.base import Settings
from manygate.config.names import ARCHITECTURE, ARCHITECTURES, check_name
from manygate.config.values import CountRows, Counts, Names, WidthRows, Widths, class_name
from manygate.errors import InputError, setting
from manygate.text import count_of


class ModelConfig(Settings):
    """Settings of the network."""

    architecture: Annotated[str, BeforeValidator(class_name)] = Field(
        "mmoe", description=f"How the tasks share: {', '.join(ARCHITECTURES)}; or a class of your own as module:Class."
    )
    dim: int = Field(8, ge=1, le=4096, description="Width of each embedding.")
    dim_rule: Literal["equal", "fourth_root"] = Field(
        "equal",
        description="Width of embeddings where the schema gives none: --dim, or the fourth root of a feature's number of ids, as a "
        "power of 2 from 4 to 64.",
    )
    cross_layers: int | None = Field(
        None,
        ge=0,
        le=32,
        description="Number of cross layers below the scheme, shared by all tasks: products of inputs (DCN-v2, WWW 2021). Default: "
        "2 from 100,000 training rows on, or 0 with --gate-features.",
    )
    cross_rank: int = Field(32, ge=1, le=4096, description="Rank of the matrices of the cross layers.")
    lower_hidden: Widths = Field(
        (), description="Hidden widths of layers below the scheme, which all tasks share (MMoE section 6.4.1). Default: none."
    )
    experts: int = Field(8, ge=1, le=4096, description="Number of experts.")
    expert_hidden: Widths = Field((64,), min_length=1, description="Hidden widths of an expert, for example 64 or 128,64.")
    levels: int = Field(2, ge=1, le=32, description="Number of levels of ple, ml_mmoe and adatt.")
    level_hidden: WidthRows | None = Field(
        None, description="Hidden widths of the experts of each level; 128/64 for two levels. Default: --expert-hidden on each."
    )
    shared_experts: Counts | None = Field(
        None, description="Number of shared experts of cgc, ple, adatt and stem, or of each level: 4,2. Default: half of --experts."
    )
    task_experts: CountRows | None = Field(
        None,
        description="Number of experts that serve one task alone in cgc, ple, adatt and stem; or of each task: 2,1, "
        "levels separated by /. Default: the rest of --experts, divided among the tasks.",
    )
    task_expert_hidden: WidthRows | None = Field(
        None, description="Hidden widths of experts that serve one task alone, tasks separated by /. Default: those of the level."
    )
    bottom_hidden: Widths | None = Field(
        None,
        min_length=1,
        description="Hidden widths of a shared bottom, and of the network of each task where a scheme has one. Default: "
        "widths with as many weights as the experts (MMoE section 5.1).",
    )
    tower_hidden: Widths = Field((32,), description="Hidden widths of each task's tower.")
    gate: Literal["softmax", "topk", "dselect_k"] = Field("softmax", description="How gates choose experts.")
    gate_bias: bool = Field(False, description="Give the gates a bias; equation 8 of MMoE has none.")
    gate_features: Names = Field((), description="Features that the gates read. Default: what the experts read.")
    temperature: float = Field(1.0, gt=0, le=1e6, description="Temperature of the gates: it divides their logits.")
    top_k: int = Field(2, ge=1, le=4096, description="How many experts a gate selects with --gate topk or dselect_k.")
    gate_dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of gate weights that are set to zero in training (Zhao et al. 2019)."
    )
    importance_weight: float | None = Field(
        None, ge=0, le=1e6, description="Weight of the importance loss. Default: 0.1 with --gate topk, else 0."
    )
    load_weight: float | None = Field(None, ge=0, le=1e6, description="Weight of the load loss. Default: 0.1 with --gate topk.")
    entropy_weight: float = Field(0.01, ge=0, le=1e6, description="Weight of the entropy loss, which --gate dselect_k alone has.")
    ml_gate_input: Literal["previous", "raw"] = Field(
        "previous", description="What ml_mmoe's gates read above level 1: the output of the level below, or the raw input x."
    )
    stem_gate_input: Literal["own", "sum"] = Field("own", description="What stem's gates read: own embedding, or own plus shared.")
    stem_gate_hidden: Widths = Field((), description="Hidden widths of stem's gates. Default: none, so a gate is one linear map.")
    expert_norm: bool = Field(False, description="Normalise expert outputs and replace ReLU by Swish (HoME, KDD 2025).")
    fusion: Literal["concat", "sum", "mean"] | None = Field(
        None, description="How a task's bottoms are combined. Default: sum in asymmetric_sharing, concat in customized_sharing."
    )
    l2_alpha: float = Field(1e-3, ge=0, le=1e6, description="Weight of l2_constrained's penalty.")
    stitch_rate: float = Field(
        10.0, ge=0, le=1e6, description="Factor for the learning rate of the stitches (cross_stitch, sluice_network)."
    )
    subspaces: int = Field(2, ge=1, le=64, description="Number of subspaces of each layer of sluice_network.")
    orthogonality: float = Field(0.0, ge=0, le=1e6, description="Weight of sluice_network's penalty on overlapping subspaces.")
    tucker_ranks: Widths | None = Field(
        None,
        min_length=1,
        description="The ranks r1,r2,r3 of tensor_factorization, for inputs, outputs and tasks. Default: nearly full.",
    )
    tucker_init: Literal["balanced", "naive"] = Field(
        "balanced",
        description="How tensor_factorization draws its factors: so that their product has Glorot's variance, or each factor by "
        "itself, which makes the product far smaller.",
    )
    gate_hidden: int = Field(32, ge=1, le=65536, description="Hidden width of pepnet's gates.")
    match_parameters: int | None = Field(
        None,
        ge=1,
        description="Choose hidden widths so that each scheme has this many parameters outside the embedding tables, within 2 %.",
    )
    match_flops: int | None = Field(
        None, ge=1, description="Choose hidden widths so that a row's forward pass takes this many FLOPs, within 2 %."
    )
    funnel: Literal["conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr"] = Field(
        "esmm", description="How to train a task that comes after another: on the rows where the other happened, or on all rows."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of hidden units that are dropped in training.")
    bias_dropout: float = Field(0.1, ge=0, lt=1, description="Share of rows whose bias features are hidden in training.")
    id_dropout: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="How often training replaces an id by the unseen-id row: with probability c / (c + n) for an id that it sees n "
        "times. This is c; 0 switches it off.",
    )

    @field_validator("architecture")
    @classmethod
    def _architecture_is_known(cls, name: str) -> str:
        check_name(ARCHITECTURE, name)
        return name

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.match_parameters is not None and self.match_flops is not None:
            raise InputError(f"{setting('match_parameters')}, {setting('match_flops')}: a model has one budget. Leave one out.")
        return self

    @field_validator("tucker_ranks")
    @classmethod
    def _three_ranks(cls, ranks: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if ranks is not None and len(ranks) != 3:
            raise InputError(f"{setting('tucker_ranks')}: three ranks, of inputs, outputs and tasks; found {list(ranks)}.")
        return ranks

    def hidden_of_levels(self, count: int | None = None) -> tuple[tuple[int, ...], ...]:
        """The hidden widths of each level's experts; a scheme of one level reads the first level's."""
        count = self.levels if count is None else count
        rows = self.level_hidden or (self.expert_hidden,)
        rows = rows[:1] if count == 1 else rows
        if len(rows) not in (1, count):
            raise InputError(
                f"{setting('level_hidden')}: widths of {count_of(len(rows), 'level')} for {count}. Give one, or {count}, "
                "separated by /."
            )
        return rows * count if len(rows) == 1 else rows
