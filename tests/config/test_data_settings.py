"""Settings of a log's rows."""

from __future__ import annotations

import pytest

from manygate.config import CsvConfig, DataConfig, RunConfig
from manygate.errors import InputError


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_that_are_no_shares_of_a_whole_are_refused(shares):
    with pytest.raises(InputError, match="must be positive and sum to 1"):
        RunConfig.build({"fractions": shares})


def test_settings_of_csv_files_alone():
    config = DataConfig.of_csv(CsvConfig(separator="tab"))
    assert config.separator == "\t"
    assert config.min_count == DataConfig().min_count
    assert DataConfig.of_csv(None) == DataConfig()
