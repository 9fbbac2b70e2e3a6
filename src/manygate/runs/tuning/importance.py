"""How much each setting matters in a search."""

from __future__ import annotations

from collections.abc import Iterable

from manygate.runs.tuning.ledger import Entry
from manygate.runs.tuning.proposal import distributions, optuna, silent
from manygate.runs.tuning.space import Space

FEWEST = 10
"""With fewer complete trials no importance is computed."""


def importance(space: Space, entries: Iterable[Entry], objectives: int) -> dict[str, float] | None:
    """Return the share of each setting in the difference between the best trials and all of them, the largest first.

    PED-ANOVA (Watanabe et al., IJCAI 2023) as in Optuna: how much the values of a setting among the best tenth of the trials differ
    from those among all trials. It needs no scikit-learn, which fANOVA does. None with few trials, or if all are equally good.
    """
    library, made = optuna(), distributions(space.ranges)
    complete = [entry for entry in entries if entry.state == "complete" and entry.params is not None]
    if len(complete) < FEWEST or len({entry.values for entry in complete}) < 2:
        return None
    with silent():
        study = library.create_study(directions=["maximize"] * objectives)
        for entry in complete:
            study.add_trial(library.trial.create_trial(values=entry.values, params=dict(entry.params or {}), distributions=made))
        found: dict[str, float] = library.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items()}
