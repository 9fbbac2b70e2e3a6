"""Feature: one input column."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from manygate.errors import raise_all
from manygate.schema.reading import Frozen


class Feature(Frozen):
    """One input column.

    Kinds: ``sparse`` (one id), ``bag`` (a list of ids, pooled), ``dense`` (a number). Settings left at None follow the run's
    configuration. A ``bias`` feature (a position, say) helps to explain the log while training and is absent at serving. A
    ``context`` feature (a user, an hour) has one value for all candidates of a request. Training does not read this role.

    >>> Feature(name="item_id", kind="sparse", min_count=5).kind
    'sparse'
    """

    name: str
    kind: Literal["sparse", "bag", "dense"]
    bias: bool = Field(False, description="Used in training, absent at serving (a position, say).")
    context: bool = Field(False, description="Of the user or the request: the same for all candidates. Exported models use it.")
    dim: int | None = Field(None, ge=1, le=4096, description="Width of the embedding.")
    vocabulary: Literal["ids", "hash"] = Field("ids", description="Learn a row for each id, or hash ids into buckets.")
    min_count: int | None = Field(None, ge=1, description="Rarer ids share the out-of-vocabulary row.")
    max_ids: int | None = Field(
        None, ge=1, le=2**30, description="Largest number of ids with a row of their own: the most frequent."
    )
    buckets: int | None = Field(None, ge=2, le=2**30, description="Rows of a hashed vocabulary.")
    pooling: Literal["mean", "sum"] = Field("mean", description="How the ids of a bag are combined.")
    id_dropout: float | None = Field(
        None, ge=0, le=1e6, description="How often training replaces an id by the unseen-id row; see the setting of this name."
    )
    encoding: Literal["piecewise", "minmax", "standard", "log1p"] | None = Field(None, description="How a dense number is scaled.")
    note: str = Field("", description="Why this kind was chosen; for people, ignored by the program.")

    @model_validator(mode="after")
    def _settings_fit_the_kind(self) -> Feature:
        needs = {
            "dim": ("sparse", "bag"),
            "min_count": ("sparse", "bag"),
            "max_ids": ("sparse", "bag"),
            "buckets": ("sparse", "bag"),
            "pooling": ("bag",),
            "id_dropout": ("sparse", "bag"),
            "encoding": ("dense",),
        }
        problems = [
            f"feature {self.name!r}: {setting} is for {' and '.join(kinds)} features, and this feature is {self.kind}."
            for setting, kinds in needs.items()
            if getattr(self, setting) != Feature.model_fields[setting].default and self.kind not in kinds
        ]
        if self.vocabulary == "hash" and self.kind == "dense":
            problems.append(f"feature {self.name!r}: a dense feature has no vocabulary to hash.")
        if self.max_ids is not None and self.vocabulary == "hash" and self.kind != "dense":
            problems.append(
                f"feature {self.name!r}: max_ids is for ids with a row each, and hashed ids have buckets rows. Leave one out."
            )
        if self.id_dropout is not None and self.vocabulary == "hash" and self.kind != "dense":
            problems.append(
                f"feature {self.name!r}: id_dropout is for ids that can be unseen, and every id has a hash. Leave one out."
            )
        if self.id_dropout is not None and self.bias and self.kind != "dense":
            problems.append(
                f"feature {self.name!r}: id_dropout is not for a bias feature, which is null at serving. Leave one out."
            )
        if self.bias and self.kind == "bag":
            problems.append(f"feature {self.name!r}: a bag cannot be a bias feature; use a sparse or a dense one.")
        if self.bias and self.context:
            problems.append(f"feature {self.name!r}: a bias feature is absent at serving, so it cannot be context. Leave one out.")
        raise_all(problems)
        return self

    @property
    def role(self) -> str:
        """``bias``, ``context`` or nothing."""
        return "bias" if self.bias else "context" if self.context else ""
