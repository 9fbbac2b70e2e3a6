"""Tables 1 and 2 of Ma et al., "Modeling Task Relationships in Multi-task Learning with MMoE", KDD 2018, section 6.3.2."""

from __future__ import annotations

from manygate.results.census import PaperRow

RUNS = 400
"""The number of runs behind each row."""
TEST_ROWS = 49_881
TABLE_OF = {"income": 1, "education": 2}


def _row(best: float, mean: float, married_best: float, married_mean: float) -> PaperRow:
    return PaperRow(best=best, mean=mean, married_best=married_best, married_mean=married_mean)


TABLES: dict[str, dict[str, PaperRow]] = {
    "income": {
        "single_task": _row(0.9398, 0.9337, 0.9933, 0.9922),
        "shared_bottom": _row(0.9361, 0.9295, 0.9915, 0.9921),
        "l2_constrained": _row(0.9389, 0.9359, 0.9922, 0.9918),
        "cross_stitch": _row(0.9406, 0.9361, 0.9917, 0.9922),
        "tensor_factorization": _row(0.7460, 0.6765, 0.8175, 0.8412),
        "omoe": _row(0.9387, 0.9319, 0.9928, 0.9923),
        "mmoe": _row(0.9410, 0.9359, 0.9926, 0.9927),
    },
    "education": {
        "single_task": _row(0.8843, 0.8792, 0.9933, 0.9922),
        "shared_bottom": _row(0.8836, 0.8813, 0.9927, 0.9917),
        "l2_constrained": _row(0.8855, 0.8823, 0.9923, 0.9918),
        "cross_stitch": _row(0.8855, 0.8819, 0.9919, 0.9921),
        "tensor_factorization": _row(0.7367, 0.7256, 0.7453, 0.7497),
        "omoe": _row(0.8852, 0.8813, 0.9915, 0.9912),
        "mmoe": _row(0.8860, 0.8826, 0.9932, 0.9924),
    },
}
"""The rows by the main task of the group and by method."""
