"""Items that are born and fade: how many test rows have an item that training did not have."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from command_line import Run, refused
from manygate.datasets import impressions
from manygate.datasets.turnover import Turnover, draw_turnover, item_count, life_for
from manygate.errors import InputError
from manygate.metrics.task import auc

SHARES = (0.05, 0.3, 0.6, 0.9)


def parts(folder):
    return [pq.read_table(folder / f"{part}.parquet") for part in ("train", "valid", "test")]


@pytest.mark.parametrize("share", SHARES)
def test_life_gives_the_share_of_test_rows_with_a_young_item(share):
    """The age of an impression's item is exponential: draw ages, and count those born after training ended."""
    random = np.random.default_rng(0)
    age, time = random.exponential(life_for(share), 400_000), random.uniform(0.9, 1.0, 400_000)
    assert (time - age > 0.8).mean() == pytest.approx(share, abs=0.004)


def test_a_row_draws_the_items_that_are_alive_by_their_weights():
    """Two items from the start on, with weights 1 and 3, and a third of weight 4 in the second half."""
    drawn = Turnover(np.array([-1.0, -0.5, 0.5]), np.log([1.0, 3.0, 4.0])).draw(200_000, np.random.default_rng(1))
    first, second = (np.bincount(part, minlength=3) / part.size for part in np.split(drawn, 2))
    np.testing.assert_allclose(first, [1 / 4, 3 / 4, 0], atol=0.006)
    np.testing.assert_allclose(second, [1 / 8, 3 / 8, 1 / 2], atol=0.006)
    assert first[2] == 0


@pytest.mark.parametrize("share", SHARES)
def test_drawn_births_and_popularities_give_the_expected_share(share):
    """The weights of young items over those of all, summed by a loop over a grid of times."""
    popularity = 1 / np.arange(5, 5 + item_count(100, share))
    items = draw_turnover(popularity / popularity.sum(), share, np.random.default_rng(2))
    shares = []
    for time in np.linspace(0.9, 1.0, 101):
        weights = [(born, math.exp(weight)) for born, weight in zip(items.birth, items.log_weight, strict=True) if born <= time]
        shares.append(sum(weight for born, weight in weights if born > 0.8) / sum(weight for _, weight in weights))
    assert np.mean(shares) == pytest.approx(share, abs=1e-6)
    assert (np.diff(items.birth) >= 0).all()
    assert items.birth[0] <= 0


def test_unseen_items_of_a_log_rise_with_the_turnover(tmp_path):
    found = []
    for share in (0.0, 0.3, 0.6):
        train, _, test = parts(impressions(tmp_path / str(share), rows=40_000, turnover=share).folder)
        found.append(1 - np.isin(test["item_id"].to_numpy(), train["item_id"].to_numpy()).mean())
    assert found == pytest.approx([0.0, 0.3, 0.6], abs=0.03)


def test_without_a_turnover_the_log_is_what_it_was(tmp_path):
    """Values that were drawn before there was a turnover."""
    log = pa.concat_tables(parts(impressions(tmp_path / "log", rows=1000, seed=3).folder))
    sums = {
        name: sum(value or 0 for value in log[name].to_pylist()) for name in ("user_id", "item_id", "position", "click", "like")
    }
    assert sums == {"user_id": 26073, "item_id": 26243, "position": 5447, "click": 160, "like": 34}
    assert "turnover" not in (tmp_path / "log" / "README.md").read_text()


def test_truth_stays_aligned_and_the_readme_says_the_turnover(tmp_path):
    folder = impressions(tmp_path / "log", rows=20_000, turnover=0.6, seed=1).folder
    test, truth = pq.read_table(folder / "test.parquet"), pq.read_table(folder / "truth" / "test.parquet")
    ceiling = yaml.safe_load((folder / "truth" / "ceiling.yaml").read_text())
    best = auc(test["click"].to_numpy(), truth["p_click_served"].to_numpy())
    assert ceiling["click"]["value"] == best > 0.75
    assert "turnover=0.6)" in (folder / "README.md").read_text()
    again = impressions(tmp_path / "again", rows=20_000, turnover=0.6, seed=1).folder
    assert (again / "train.parquet").read_bytes() == (folder / "train.parquet").read_bytes()


@pytest.mark.parametrize("turnover", [-0.1, 0.95, True, "high", float("nan")])
def test_bad_turnovers(tmp_path, turnover):
    with pytest.raises(InputError, match=r"turnover: expected a share from 0 to 0\.9, found"):
        impressions(tmp_path / "out", rows=200, turnover=turnover)


@pytest.mark.parametrize("rows", [100, 1999])
def test_small_logs(tmp_path, rows):
    assert sum(part.num_rows for part in parts(impressions(tmp_path / "out", rows=rows, turnover=0.9).folder)) == rows


def test_the_command_writes_a_log_with_turnover(run: Run, tmp_path) -> None:
    run("dataset impressions --rows 4000 --turnover 0.9 --out made --json")
    train, _, test = parts(tmp_path / "made")
    assert np.isin(test["item_id"].to_numpy(), train["item_id"].to_numpy()).mean() < 0.3
    refused(
        run("dataset impressions --rows 4000 --turnover 2 --out other"), "--turnover: expected a share from 0 to 0.9, found 2.0"
    )
