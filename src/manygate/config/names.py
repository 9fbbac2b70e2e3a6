"""The names of architectures and weightings."""

from __future__ import annotations

from manygate.errors import InputError, did_you_mean

ARCHITECTURE_NAMES = (
    "single_task",
    "shared_bottom",
    "asymmetric_sharing",
    "customized_sharing",
    "l2_constrained",
    "cross_stitch",
    "sluice_network",
    "tensor_factorization",
    "omoe",
    "mmoe",
    "ml_mmoe",
    "cgc",
    "ple",
    "adatt",
    "stem",
    "pepnet",
)
WEIGHTING_NAMES = (
    "fixed",
    "schedule",
    "uncertainty",
    "dwa",
    "random",
    "famo",
    "gradnorm",
    "pcgrad",
    "gradvac",
    "cagrad",
    "mgda",
    "nash_mtl",
    "fairgrad",
    "imtl_g",
    "aligned_mtl",
    "upgrad",
    "dualproj",
)
COMPARED = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
"""What a comparison trains unless told otherwise: the two papers' own schemes and the plain baselines."""


def check_weighting(name: str) -> None:
    """Raise an :class:`InputError` unless the name is a known weighting."""
    if name not in WEIGHTING_NAMES:
        raise InputError(
            f"weighting {name!r} is unknown.{did_you_mean(name, WEIGHTING_NAMES)} Known: {', '.join(WEIGHTING_NAMES)}."
        )


def check_architecture(name: str) -> None:
    """Raise an :class:`InputError` unless the name is a known sharing scheme, or has the form of one's own, module:Class."""
    module, colon, scheme = name.partition(":")
    if colon and all(part.isidentifier() or part == "<locals>" for part in (*module.split("."), *scheme.split("."))):
        return
    if name not in ARCHITECTURE_NAMES:
        raise InputError(
            f"architecture {name!r} is unknown.{did_you_mean(name, ARCHITECTURE_NAMES)} Known: {', '.join(ARCHITECTURE_NAMES)}; "
            "a class of your own is named module:Class."
        )
