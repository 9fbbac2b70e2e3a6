"""The sparse columns of a linear model."""

from __future__ import annotations

import numpy as np

from baseline_logs import encoded
from manygate.baselines.linear_inputs import linear_inputs


def test_columns_are_units_of_numbers_a_null_one_hot_ids_and_shares_of_bags() -> None:
    log = encoded()
    scale, rows = log.encoder.scales["price"], log.parts["valid"]
    sizes = [log.encoder.vocabularies[name].rows for name in ("item", "device", "tags")]
    input_NC = linear_inputs(log)["valid"].toarray()
    assert input_NC.shape == (len(rows), scale.units + 1 + sum(sizes))
    number_NU, null_N, item_NV, device_NV, tag_NV = np.split(input_NC, np.cumsum([scale.units, 1, *sizes[:2]]), axis=1)
    for row in range(len(rows)):
        place = rows.number_BM[row, 0]
        units = np.zeros(scale.units) if np.isnan(place) else [min(max(place - j, 0), 1) for j in range(scale.units)]
        np.testing.assert_allclose(number_NU[row], units)
        assert null_N[row, 0] == np.isnan(place)
        for value_NV, s in ((item_NV, 0), (device_NV, 1)):
            assert (value_NV[row].sum(), value_NV[row, rows.id_BS[row, s]]) == (1, 1)
        ids = rows.bags[0][0][rows.bags[0][1][row] : rows.bags[0][1][row + 1]]
        np.testing.assert_allclose(tag_NV[row], np.bincount(ids, minlength=sizes[2]) / max(len(ids), 1))


def test_an_affine_scale_has_one_column() -> None:
    log = encoded(encoding="standard")
    place_N = log.parts["test"].number_BM[:, 0]
    np.testing.assert_array_equal(linear_inputs(log)["test"].toarray()[:, 0], np.nan_to_num(place_N, nan=0.0))
