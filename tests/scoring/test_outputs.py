"""Logits become probabilities and values in the label's unit; joint events are products."""

from __future__ import annotations

import numpy as np

from manygate.scoring.outputs import joint_outputs, outputs
from scored_rows import PROBLEM


def test_outputs_are_probabilities_and_values_in_the_label_s_unit():
    logit = np.array([[[0.0, 2.0, -1.5]]], dtype=np.float32)
    np.testing.assert_allclose(outputs(logit, PROBLEM), [[[0.5, 1 / (1 + np.exp(-2)), 4.0]]])
    assert outputs(logit, PROBLEM).dtype == np.float64
    assert logit[0, 0, 0] == 0, "the logits themselves stay"


def test_a_joint_event_is_the_product_of_all_steps_up_to_it() -> None:
    """Click, watch on its own, buy after click, keep after buy: .5, .5 x .4 and .5 x .4 x .1 in the first of two rows."""
    output_RNT = np.array([[[0.5, 7.0, 0.4, 0.1], [1.0, 7.0, 0.25, 1.0]]])
    joint_RNT = joint_outputs(output_RNT, [(2, 0), (3, 2)])
    np.testing.assert_allclose(joint_RNT, [[[0.5, 7.0, 0.2, 0.02], [1.0, 7.0, 0.25, 0.25]]])
    assert output_RNT[0, 0].tolist() == [0.5, 7.0, 0.4, 0.1], "the outputs themselves stay"
    np.testing.assert_array_equal(joint_outputs(output_RNT, []), output_RNT)
