from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from manygate import datasets
from manygate.datasets import impressions
from manygate.datasets.folder import write_folder
from manygate.datasets.impressions import BLOCKS, FACTORS, RATES, TAGS, TASKS, draw_directions, draw_items, draw_users
from manygate.errors import InputError
from manygate.metrics.task import auc
from manygate.schema import Schema

ROWS = 60_000
SPLITS = ("train", "valid", "test")
CONDITIONAL = ("like", "watch_time", "buy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return impressions(tmp_path_factory.mktemp("log") / "out", rows=ROWS).folder


def read(folder: Path, part: str = "") -> pa.Table:
    return pa.concat_tables(pq.read_table(folder / part / f"{split}.parquet") for split in SPLITS)


def column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def preferences(folder: Path) -> np.ndarray:
    """True logits (log mean for watch_time), one row per task."""
    truth = read(folder, "truth")
    logit = {name: np.log(column(truth, name)) - np.log1p(-column(truth, name)) for name in ("p_click_served", "p_like", "p_buy")}
    return np.stack([logit["p_click_served"], logit["p_like"], np.log(column(truth, "mean_watch_time")), logit["p_buy"]])


def test_same_seed_same_bytes_and_another_seed_other_rows(tmp_path):
    first, again, other = (
        impressions(tmp_path / name, rows=2000, seed=seed).folder for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert contents(first) == contents(again)
    assert (first / "train.parquet").read_bytes() != (other / "train.parquet").read_bytes()
    assert not read(first).equals(read(other))


def test_global_random_state_is_untouched(tmp_path):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    impressions(tmp_path / "out", rows=100)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_labels_are_null_exactly_outside_the_sample_space(folder):
    table = read(folder)
    click = column(table, "click")
    assert table["click"].null_count == 0
    assert set(np.unique(click)) == {0, 1}
    for task in CONDITIONAL:
        np.testing.assert_array_equal(table[task].is_null().to_numpy(), click == 0, err_msg=task)


def test_rates(folder):
    table = read(folder)
    for task, rate in RATES.items():
        label = table[task].drop_null().to_numpy()
        # the intercepts fit the true mean to the rate; what is left is sampling error
        assert abs(label.mean() - rate) < 4.5 * np.sqrt(rate * (1 - rate) / label.size), task
    watch = table["watch_time"].drop_null().to_numpy()
    assert 5 < watch.mean() < 7
    assert watch.min() > 0


def test_truth_is_calibrated(folder):
    table, truth = read(folder), read(folder, "truth")
    assert truth.num_rows == table.num_rows == ROWS
    clicked = column(table, "click") == 1
    for task, name in (("click", "p_click"), ("click", "p_click_served"), ("like", "p_like"), ("buy", "p_buy")):
        inside = slice(None) if task == "click" else clicked
        label, p = column(table, task)[inside].astype(float), column(truth, name)[inside]
        assert 0 < p.min() <= p.max() < 1
        for rows in np.array_split(np.argsort(p), 10):
            error = np.sqrt((p[rows] * (1 - p[rows])).sum()) / rows.size
            assert abs(label[rows].mean() - p[rows].mean()) < 4.5 * error, (name, p[rows].mean())
    watch, mean = column(table, "watch_time")[clicked], column(truth, "mean_watch_time")[clicked]
    for rows in np.array_split(np.argsort(mean), 10):
        error = np.sqrt((mean[rows] ** 2 / 5).sum()) / rows.size  # a Gamma of shape 5 has variance mean^2 / 5
        assert abs(watch[rows].mean() - mean[rows].mean()) < 4.5 * error


def test_truth_is_aligned_in_every_split_and_ceiling_is_its_auc(folder):
    ceiling = yaml.safe_load((folder / "truth" / "ceiling.yaml").read_text())
    assert list(ceiling) == list(TASKS)
    for split in SPLITS:
        table, truth = (pq.read_table(folder / part / f"{split}.parquet") for part in ("", "truth"))
        assert auc(column(table, "click"), column(truth, "p_click_served")) > 0.75
    assert ceiling["click"]["value"] == auc(column(table, "click"), column(truth, "p_click_served"))
    clicked = column(table, "click") == 1
    assert ceiling["buy"]["value"] == auc(column(table, "buy")[clicked], column(truth, "p_buy")[clicked])
    assert [entry["metric"] for entry in ceiling.values()] == ["auc", "auc", "r2", "auc"]
    assert ceiling["like"]["rows"] == ceiling["watch_time"]["rows"] == clicked.sum()
    for task, low, high in (("click", 0.78, 0.87), ("like", 0.74, 0.87), ("buy", 0.7, 0.9), ("watch_time", 0.3, 0.65)):
        assert low < ceiling[task]["value"] < high, task


def test_position_biases_clicks_and_nothing_else(folder):
    table, truth = read(folder), read(folder, "truth")
    position = column(table, "position")
    assert np.bincount(position, minlength=11)[1:].min() > 0.9 * ROWS / 10
    rates = [column(truth, "p_click")[position == place].mean() for place in range(1, 11)]
    assert rates[0] > rates[4] > rates[9]
    assert rates[0] > 1.5 * rates[9]
    served = np.array([column(truth, "p_click_served")[position == place].mean() for place in range(1, 11)])
    assert np.ptp(served) < 0.02
    assert abs(np.mean(rates) - served.mean()) < 0.01


@pytest.mark.parametrize("relatedness", [-1.0, -0.8, 0.0, 0.3, 1.0])
def test_directions_have_the_cosines_of_the_docstring(relatedness):
    directions = draw_directions(relatedness, np.random.default_rng(5))
    expected = np.full((4, 4), relatedness**2)
    expected[0] = expected[:, 0] = relatedness
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(directions.T @ directions, expected, atol=1e-12)
    start = 0
    for size, share in BLOCKS:  # and so it is in each block by itself
        block = directions[start : start + size]
        np.testing.assert_allclose(block.T @ block, share * expected, atol=1e-12)
        start += size


def test_three_cosines_are_those_of_like_watch_time_and_buy():
    directions = draw_directions((0.6, -0.5, 1.0), np.random.default_rng(5))
    expected = [[1, 0.6, -0.5, 1], [0.6, 1, -0.3, 0.6], [-0.5, -0.3, 1, -0.5], [1, 0.6, -0.5, 1]]
    np.testing.assert_allclose(directions.T @ directions, expected, atol=1e-12)
    np.testing.assert_array_equal(
        draw_directions(0.3, np.random.default_rng(5)), draw_directions((0.3, 0.3, 0.3), np.random.default_rng(5))
    )


def test_three_cosines_and_the_spread_of_buy_shape_the_true_preferences(tmp_path):
    out = impressions(tmp_path / "out", rows=2000, relatedness=(0, -1, 1), buy_spread=3.0).folder
    click, like, watch, buy = preferences(out)
    assert np.corrcoef(click, like)[0, 1] == pytest.approx(0, abs=0.2)
    assert np.corrcoef(click, watch)[0, 1] == pytest.approx(-1, abs=0.02)
    assert np.corrcoef(click, buy)[0, 1] == pytest.approx(1, abs=0.02)
    assert (buy.std(), like.std()) == (pytest.approx(3.0, abs=0.01), pytest.approx(1.8, abs=0.01))
    text = (out / "README.md").read_text()
    assert "0 (like), -1 (watch_time), 1 (buy)" in text
    assert "relatedness=(0, -1, 1), seed=0, buy_spread=3.0)" in text


@pytest.mark.parametrize("seed", [0, 1])
def test_relatedness_moves_the_correlation_of_true_preferences(tmp_path, seed):
    found = []
    for relatedness in (-0.8, -0.4, 0.0, 0.4, 0.8):
        out = impressions(tmp_path / "out", rows=20_000, relatedness=relatedness, seed=seed, overwrite=True).folder
        found.append(np.corrcoef(preferences(out))[0, 1:])
    found = np.array(found)
    assert (np.diff(found, axis=0) > 0.1).all()
    assert (found[0] < -0.6).all()
    assert (found[-1] > 0.6).all()
    assert (np.abs(found[2]) < 0.15).all()


@pytest.mark.parametrize("relatedness", [-1, 1])
def test_full_relatedness_makes_one_preference(tmp_path, relatedness):
    out = impressions(tmp_path / "out", rows=2000, relatedness=relatedness).folder
    np.testing.assert_allclose(np.corrcoef(preferences(out))[0, 1:], relatedness, atol=0.02)


def test_split_is_by_time(folder):
    times = [column(pq.read_table(folder / f"{split}.parquet"), "timestamp") for split in SPLITS]
    assert [time.size for time in times] == [ROWS * 8 // 10, ROWS // 10, ROWS // 10]
    assert (np.diff(np.concatenate(times)) > np.timedelta64(0)).all()
    table = read(folder)
    np.testing.assert_array_equal(pc.hour(table["timestamp"]).to_numpy(), column(table, "hour"))


def test_schema_fits_the_files(folder):
    schema = Schema.load(folder / "schema.yaml")
    table = read(folder)
    assert set(schema.columns) == set(table.column_names)
    assert schema.task_names == TASKS
    assert (schema.group, schema.time) == ("user_id", "timestamp")
    assert [feature.name for feature in schema.features if feature.bias] == ["position"]
    assert "timestamp" not in schema.feature_names
    assert {str(task.condition) for task in schema.tasks if task.condition} == {"click == 1"}
    assert table["user_id"].type == table["item_id"].type == pa.int64()
    assert pa.types.is_timestamp(table["timestamp"].type)


def test_features_have_the_shapes_promised(folder):
    table = read(folder)
    assert 0.02 < table["age"].null_count / ROWS < 0.25
    lengths = pc.list_value_length(table["tags"]).to_numpy()
    assert set(np.unique(lengths)) == {0, 1, 2, 3, 4}
    assert all(len(set(tags)) == len(tags) for tags in table["tags"].slice(0, 2000).to_pylist())
    assert 0.1 < (column(table, "price") == 0).mean() < 0.5
    assert column(table, "price").max() > 10 * np.median(column(table, "price"))
    for name in ("user_id", "item_id"):
        counts = np.sort(np.unique(column(table, name), return_counts=True)[1])
        assert counts[-counts.size // 10 :].sum() > 0.25 * ROWS, name  # the top tenth has far more than a tenth
    by_item = dict(zip(column(table, "item_id"), table["category"].to_pylist(), strict=True))
    assert all(
        by_item[item] == category for item, category in zip(column(table, "item_id"), table["category"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize("rows", [100, 101, 109, 1999])
def test_small_and_odd_sizes(tmp_path, rows):
    out = impressions(tmp_path / "out", rows=rows).folder
    assert read(out).num_rows == read(out, "truth").num_rows == rows
    assert np.isfinite(preferences(out)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 99}, "rows: expected a whole number of at least 100, found 99"),
        ({"rows": 1e3}, "rows: expected a whole number"),
        ({"relatedness": 1.01}, r"relatedness: expected a cosine from -1 to 1, or one for each of like.*found 1\.01"),
        ({"relatedness": (0.5, 0.5)}, r"relatedness: .*found \(0\.5, 0\.5\)"),
        ({"relatedness": (0.5, 2, 0.5)}, "relatedness"),
        ({"buy_spread": 0}, "buy_spread: expected a number above 0 and at most 10, found 0"),
        ({"buy_spread": float("nan")}, "buy_spread"),
        ({"relatedness": float("nan")}, "relatedness"),
        ({"relatedness": "high"}, "relatedness"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, found -1"),
        ({"seed": True}, "seed"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        impressions(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_every_problem_is_listed(tmp_path):
    with pytest.raises(InputError) as caught:
        impressions(tmp_path / "out", rows=1, relatedness=2, seed=-1)
    assert len(caught.value.problems) == 3


def test_existing_folder_is_kept_unless_overwritten(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert impressions(out, rows=100).folder == out  # an empty folder is as good as none
    before = contents(out)
    with pytest.raises(InputError, match=r"exists\. Choose another out, or add overwrite=True"):
        impressions(out, rows=200)
    assert contents(out) == before
    (out / "mine.parquet").write_bytes(b"old")
    with pytest.raises(InputError, match=r"holds mine\.parquet, which manygate did not write"):
        impressions(out, rows=200, overwrite=True)
    assert contents(out) == before | {"mine.parquet": b"old"}
    (out / "mine.parquet").unlink()
    impressions(out, rows=200, overwrite=True)
    assert set(contents(out)) == set(before)
    assert read(out).num_rows == 200
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_out_that_is_a_file_or_holds_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        impressions(tmp_path / "file", rows=100, overwrite=True)
    with pytest.raises(InputError, match="cannot be written"):
        impressions(tmp_path / "file" / "out", rows=100)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(InputError, match="is not overwritten"):
        impressions("..", rows=100, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_failed_write_leaves_the_old_folder_and_no_rubbish(tmp_path):
    out = write_folder(tmp_path / "out", {"README.md": "old"})
    before = contents(out)
    with pytest.raises(AttributeError):
        write_folder(out, {"README.md": "new", "train.parquet": object()}, overwrite=True)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    out = write_folder(tmp_path / "out", {"README.md": "old"})
    before, rename = contents(out), Path.rename

    def refuse(self, target):
        if self.name.endswith(".building"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(no\)"):
        write_folder(out, {"README.md": "new"}, overwrite=True)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_flipped_byte_in_a_parquet_page_is_noticed(folder, tmp_path):
    raw = bytearray((folder / "test.parquet").read_bytes())
    raw[len(raw) // 3] ^= 0x10
    (tmp_path / "broken.parquet").write_bytes(raw)
    with pytest.raises(OSError):
        pq.ParquetFile(tmp_path / "broken.parquet", page_checksum_verification=True).read()


def explained(columns: np.ndarray, latent: np.ndarray) -> float:
    """Share of the variance of some factors that a linear regression on columns explains, on average."""
    design = np.column_stack([np.ones(len(columns)), columns])
    left = latent - design @ np.linalg.lstsq(design, latent, rcond=None)[0]
    return float((1 - left.var(axis=0) / latent.var(axis=0)).mean())


def one_hot(place: np.ndarray) -> np.ndarray:
    return np.eye(place.max() + 1)[place]


def test_features_tell_four_fifths_of_a_users_and_an_items_factors():
    """What the docstring says: 80 % of the variance comes from the features, the rest belongs to the id alone."""
    random = np.random.Generator(np.random.PCG64(3))
    users, items = draw_users(20_000, random), draw_items(20_000, random)
    seen = np.column_stack([users.age, one_hot(users.country)[:, 1:], one_hot(users.device)[:, 1:]])
    assert explained(seen, users.latent[:, :FACTORS]) == pytest.approx(0.8, abs=0.02)
    tag_share = np.zeros((20_000, len(TAGS)))
    for item, tags in enumerate(items.tags.to_pylist()):
        for tag in tags:
            tag_share[item, TAGS.index(tag)] += 1 / len(tags)
    seen = np.column_stack([one_hot(items.category)[:, 1:], tag_share])
    assert explained(seen, items.latent[:, :FACTORS]) == pytest.approx(0.8, abs=0.02)
    assert users.latent[:, :FACTORS].var(axis=0) == pytest.approx(1.0, abs=0.05)


def test_blocks_of_the_latent_have_their_shares():
    """User .3, item .5, user x item .2 of the variance of each task's linear score: the squares of its direction add up to them."""
    directions = draw_directions(0.5, np.random.Generator(np.random.PCG64(0)))
    edges = np.cumsum([0, 6, 6, 4])
    for block, share in enumerate((0.3, 0.5, 0.2)):
        np.testing.assert_allclose((directions[edges[block] : edges[block + 1]] ** 2).sum(axis=0), share, rtol=1e-12)


def test_what_was_written_is_returned(tmp_path):
    written = impressions(tmp_path / "out", rows=200)
    assert written.folder == tmp_path / "out"
    assert written.rows == {"train": 160, "valid": 20, "test": 20}
    assert {part: pq.read_table(path).num_rows for part, path in written.parts.items()} == written.rows
    assert Schema.load(written.schema).task_names == TASKS
    assert written.truth == tmp_path / "out" / "truth"
    assert yaml.safe_load(written.ceiling.read_text())["click"]["rows"] == 20


def test_the_former_name_names_the_new_one():
    with pytest.raises(AttributeError, match=r"no attribute 'log'.*now manygate\.datasets\.impressions"):
        _ = datasets.log
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'\.$"):
        _ = datasets.nonsense
