"""The sentences follow the numbers: other numbers, other sentences."""

from __future__ import annotations

import pytest

from made_up_census import PLAN, outcomes
from manygate.results.census import CensusResults
from manygate.studies.census.conclusions import headline, limits
from manygate.studies.census.document import build

LEVELS = {
    "single_task": 0.950,
    "shared_bottom": 0.940,
    "tensor_factorization": 0.948,
    "tensor_factorization_naive": 0.947,
    "omoe": 0.960,
    "mmoe": 0.950,
    "lightgbm": 0.955,
    "logistic": 0.938,
}


def study(quick: bool = False, **levels: float) -> CensusResults:
    chosen = {**LEVELS, **levels}
    return build(outcomes(chosen), PLAN, list(chosen), ["income"], 4, quick)


def text(results: CensusResults) -> str:
    return "\n".join(results.groups["income"].conclusions)


def test_levels_and_order() -> None:
    found = text(study())
    assert "lies between 0.9400 (shared_bottom) and 0.9600 (omoe)" in found
    assert "All 5 networks are above the best mean of the paper, 0.9361 (cross_stitch)" in found
    assert (
        "On income, mmoe is ahead of shared_bottom; behind omoe; not to be told from single_task and tensor_factorization" in found
    )
    assert "On never_married, mmoe is not to be told from" in found


def test_two_networks_are_both() -> None:
    levels = {"omoe": 0.95, "mmoe": 0.951}
    (found,) = build(outcomes(levels), PLAN, list(levels), ["income"], 4).groups.values()
    assert "Both networks are above the best mean of the paper" in found.conclusions[0]


def test_one_network_lies_between_nothing() -> None:
    (found,) = build(outcomes({"mmoe": 0.951}), PLAN, ["mmoe"], ["income"], 4).groups.values()
    assert found.conclusions[0].startswith("The mean test AUC of income is 0.9510 (mmoe). The network is above")


def test_default_inputs_are_a_sentence_of_their_own() -> None:
    found = text(study(mmoe_tabular=0.954))
    assert (
        "MMoE reaches 0.9540 on income, +0.0040 against embedding tables and numbers alone and −0.0010 against tuned LightGBM."
        in found
    )
    assert "All 5 networks are above" in found
    assert "mmoe_tabular" not in found
    assert headline(study(mmoe_tabular=0.954)) == headline(study())
    assert "default inputs" not in text(study())


def test_networks_below_the_paper_are_counted() -> None:
    assert "4 of 5 networks are above" in text(study(shared_bottom=0.90))


def test_models_from_outside_are_held_against_the_reference_and_the_paper() -> None:
    found = text(study())
    assert "Tuned LightGBM reaches 0.9550 on income: ahead of mmoe (−0.0050 for mmoe), and above the paper's MMoE" in found
    assert "A logistic regression reaches 0.9380 on income: behind mmoe (+0.0120 for mmoe), and above the paper's MMoE" in found
    assert "not above the paper's MMoE (0.9359)" in text(study(logistic=0.93))


@pytest.mark.parametrize(("naive", "expected"), [(0.947, "does not explain"), (0.70, "comes closer to")])
def test_the_initialisation_explains_the_paper_s_numbers_or_does_not(naive: float, expected: str) -> None:
    assert f"The naive way {expected} the paper's 0.6765." in text(study(tensor_factorization_naive=naive))


def test_differences_of_the_paper_are_held_against_chance() -> None:
    """Its mean of MMoE is .0064 above Shared-Bottom, .0022 above Single-Task and .0040 above OMoE; here chance is about .0014."""
    found = text(study())
    assert "differs by more than that chance allows from single_task, shared_bottom and omoe." in found
    assert "within chance" not in found


def test_the_luck_of_the_best_and_more_runs_are_told() -> None:
    found = text(study())
    assert "The best of 400 runs lies above their mean by luck alone" in found
    assert "with 4 runs (median over methods), and would be" in found


def test_a_sketch_says_so_first() -> None:
    assert study(quick=True).limits[0].startswith("This is a sketch: 1,000 training rows, 2 trials and 4 runs")
    assert not study().limits[0].startswith("This is a sketch")


def test_the_headline_counts_the_comparisons() -> None:
    assert headline(study()) == (
        "mmoe is ahead in 1, behind in 1 and undecided in 2 of 4 comparisons with tuned networks on the main tasks"
    )
    alone = build(outcomes({"mmoe": 0.95}), PLAN, ["mmoe"], ["income"], 4)
    assert "nothing is compared" in headline(alone)


def test_runs_that_the_limit_of_epochs_ended_are_counted() -> None:
    """Early stopping waits for three epochs, so the best of twelve epochs ended the run if it is the ninth or an earlier one."""
    results = study()
    plan = {**results.plan, "epochs": 12}
    models = {name: model.model_copy(update={"epochs": []}) for name, model in results.models.items()}
    models["mmoe-income"] = models["mmoe-income"].model_copy(update={"epochs": [9.0, 10.0, 12.0, 3.0]})
    ended = limits(results.model_copy(update={"plan": plan, "models": models}))
    assert any("2 of 4 runs of networks ended at the limit of 12 epochs" in text for text in ended)
    models["mmoe-income"] = models["mmoe-income"].model_copy(update={"epochs": [9.0, 3.0]})
    assert not any("the limit of" in text for text in limits(results.model_copy(update={"plan": plan, "models": models})))
