"""Permutation importance and chance: exact where the model is known, on each task's own rows, bags too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.data.batches import Split
from manygate.inspection import importance
from manygate.inspection.importance import Permuted, importance_report, places_of
from manygate.model import MultiTaskModel


@pytest.fixture(scope="module")
def log(encoded):
    return encoded()


@pytest.fixture(scope="module")
def model(log, trainer, settings):
    training = trainer(log, settings(epochs=6, replicas=2, architecture="shared_bottom"))
    training.fit()
    return training.model


def test_a_permuted_feature_is_the_only_thing_that_changes(log, model):
    split = Split(log.parts["valid"])
    donor = torch.arange(len(split) - 1, -1, -1)
    whole, turned = next(split.slices(10_000)), split.take(donor)
    for feature in model.problem.inputs:
        place = [i.name for i in model.problem.inputs if i.kind == feature.kind].index(feature.name)
        parts = list(Permuted(split, [(feature.kind, place)], donor).slices(37))
        assert sum(map(len, parts)) == len(split)
        id_BS, number_BM = torch.cat([part.id_BS for part in parts]), torch.cat([part.number_BM for part in parts])
        expected_id, expected_number = whole.id_BS.clone(), whole.number_BM.clone()
        if feature.kind == "sparse":
            expected_id[:, place] = turned.id_BS[:, place]
        if feature.kind == "dense":
            expected_number[:, place] = turned.number_BM[:, place]
        torch.testing.assert_close(id_BS, expected_id)
        torch.testing.assert_close(number_BM, expected_number, equal_nan=True)
        for b in range(len(whole.bags)):
            source = turned if feature.kind == "bag" and b == place else whole
            assert [ids for part in parts for ids in lists(part.bags[b])] == lists(source.bags[b])


def lists(bag):
    value, offset = bag
    return [value[a:b].tolist() for a, b in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)]


def test_the_feature_that_decides_a_task_matters_most(log, model):
    """In the made-up log a click depends on age, and the time watched on the user."""
    found = {entry.task: entry for entry in importance_report(model, log.parts["valid"])}
    assert found["click"].features[0].feature == "age"
    assert found["watch"].features[0].feature == "user"
    top = found["watch"].features[0]
    assert top.drop > 2 * top.se > 0
    assert {f.feature for f in found["click"].features} == {"user", "country", "tags", "codes", "age", "price"}
    assert found["click"].rows == (log.parts["valid"].weight_BT[:, 0] > 0).sum()
    assert found["watch"].rows == (log.parts["valid"].weight_BT[:, 2] > 0).sum()
    assert found["watch"].metric == "r2"


def test_a_feature_that_the_model_cannot_see_has_no_importance(log, model):
    blind = MultiTaskModel(model.problem, model.config)
    with torch.no_grad():
        for name, value in blind.parameters.items():
            value.copy_(model.parameters[name])
        table = blind.parameters["embedding.2"]  # country and codes
        table.zero_()
    found = importance_report(blind, log.parts["valid"])
    for entry in found:
        drops = {f.feature: f.drop for f in entry.features}
        assert drops["country"] == drops["codes"] == 0.0
        assert all(f.se < 1e-12 for f in entry.features if f.feature in ("country", "codes"))


def test_a_number_whose_values_are_also_ids_is_permuted_as_a_whole(encoded, log_table, repeating_ages, trainer, settings):
    """Alone, each of its inputs would seem less important, because the model can read the other."""
    log = encoded(repeating_ages(log_table()), config=settings(number_ids=5, target_statistics=True))
    training = trainer(log, settings(epochs=4))
    training.fit()
    of_statistics = [("dense", m) for m in (9, 10, 11)]
    assert places_of(training.model.problem.inputs)["age"] == [("dense", 0), ("sparse", 3), *of_statistics]
    entry = importance_report(training.model, log.parts["valid"])[0]
    assert sorted(f.feature for f in entry.features) == ["age", "codes", "country", "price", "tags", "user"]
    assert entry.features[0].feature == "age"
    rows, split = log.parts["valid"], Split(log.parts["valid"])
    donor_N = torch.arange(len(rows) - 1, -1, -1)
    permuted = next(Permuted(split, [("dense", 0), ("sparse", 3)], donor_N).slices(len(rows)))
    assert torch.equal(permuted.id_BS[:, 3], split.id_NS[donor_N, 3])
    assert torch.equal(permuted.id_BS[:, :3], split.id_NS[:, :3])
    torch.testing.assert_close(permuted.number_BM[:, 0], split.number_NM[donor_N, 0], equal_nan=True)


def test_it_is_the_same_every_time_and_leaves_the_global_random_state(log, model):
    state = torch.random.get_rng_state()
    first = importance_report(model, log.parts["valid"], repeats=2)
    assert first == importance_report(model, log.parts["valid"], repeats=2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_rows_are_bounded_by_the_budget(log, model, monkeypatch):
    monkeypatch.setattr(importance, "BUDGET", 2 * 6 * 2 * 2 * 30)
    monkeypatch.setattr(importance, "FEWEST_ROWS", 1)
    found = importance_report(model, log.parts["valid"], repeats=2)
    assert [entry.rows for entry in found] == [30, 30, 30]


def test_a_metric_that_is_undefined_gives_null(log, model):
    rows = log.parts["valid"]
    ones = rows.where((rows.label_BT[:, 0] == 1) & (rows.weight_BT[:, 0] > 0))
    entry = importance_report(model, ones)[0]
    assert entry.value is None
    assert {f.drop for f in entry.features} == {None}


def test_the_error_of_a_drop_is_of_the_permutations_and_of_the_rows_by_hand():
    """Drops .1, .2, .3: sd .1 over three. Rows .3, -.3, .1, -.1: sqrt(.2 * 4/3); in two groups .4 and -.4: sqrt(.32 * 2)."""
    drop_K, influence_N = np.array([0.1, 0.2, 0.3]), np.array([0.3, -0.3, 0.1, -0.1])
    alone = importance._summary(drop_K, influence_N, None)
    assert alone == (pytest.approx(0.2), pytest.approx((0.01 / 3 + 0.2 * 4 / 3) ** 0.5))
    _, grouped = importance._summary(drop_K, influence_N, np.array([7, 8, 7, 8]))
    assert grouped == pytest.approx((0.01 / 3 + 0.64) ** 0.5)
    one = importance._summary(drop_K[:1], influence_N, None)
    assert one == (pytest.approx(0.1), pytest.approx((0.2 * 4 / 3) ** 0.5))


def test_with_one_permutation_the_error_is_that_of_the_rows(log, model):
    """Recomputed for one feature and task: rows encoded anew, influences added up group by group in a loop."""
    from manygate import metrics
    from manygate.model.logits import predict
    from manygate.scoring.outputs import outputs

    rows = log.parts["valid"]
    found = importance_report(model, rows, repeats=1)[0]
    entry = next(one for one in found.features if one.feature == "age")
    number = [i.name for i in model.problem.inputs if not i.bias].index("age")
    place = [i.name for i in model.problem.inputs if i.kind == "dense"].index("age")
    donor_N = importance._donors(len(rows), number, 0, torch.device("cpu")).numpy()
    number_BM = rows.number_BM.copy()
    number_BM[:, place] = number_BM[donor_N, place]
    mixed = type(rows)(rows.id_BS, number_BM, rows.bags, rows.label_BT, rows.weight_BT, rows.group_B)
    columns = [outputs(predict(model, Split(part)), model.problem).mean(axis=0)[:, 0] for part in (rows, mixed)]
    label_N, weight_N = rows.label_BT[:, 0].astype(float), rows.weight_BT[:, 0].astype(float)
    before, after = (metrics.influence("binary", label_N, column_N, weight_N) for column_N in columns)
    sums: dict[int, float] = {}
    for group, moved in zip(rows.group_B.tolist(), (before - after).tolist(), strict=True):
        sums[group] = sums.get(group, 0.0) + moved
    expected = (sum(value**2 for value in sums.values()) * len(sums) / (len(sums) - 1)) ** 0.5
    assert entry.se == pytest.approx(expected, rel=1e-5)
    assert entry.se > 0
