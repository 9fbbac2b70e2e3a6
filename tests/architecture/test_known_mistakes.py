"""Mistakes found in public implementations. Each test checks ours, and that its check rejects the mistake built in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from manygate.architecture import CGC, PLE, Level, MMoE, SharedBottom
from manygate.config import DataConfig
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.datasets.census import ASSOCIATE_OR_ABOVE, DENSE, FIELDS, INPUTS, census_schema, parse_records
from manygate.datasets.impressions import BLOCKS, draw_directions
from manygate.layers.experts import Experts
from manygate.layers.units import glorot
from manygate.metrics.task import auc
from manygate.schema import Feature, Schema, Task
from numpy_reading import GATE, Reading, agree, count, ple, rows, shaken, weighted

LEVELS = [Level((2, 1), 3, (6,)), Level((1, 2), 2, (5,))]


def judged(check: Callable[..., None], right: Any, wrong: Any) -> None:
    """The check passes what is right and rejects what is wrong."""
    check(right)
    with pytest.raises(AssertionError):
        check(wrong)


def test_01_experts_that_start_alike_stay_alike():
    """All weights set to the constant 0.1: however long it is trained, MMoE is a Shared-Bottom."""

    def experts_differ(model: MMoE) -> None:
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for step in range(5):
            optimizer.zero_grad()
            (model(rows(32, 5, seed=step).float()) - 1).square().sum(dim=(1, 2)).mean().backward()
            optimizer.step()
        expert_BEH = model.level(rows(32, 5).float())[0]
        assert all(not torch.allclose(expert_BEH[:, 0], expert_BEH[:, e], atol=1e-3) for e in range(1, 4))

    torch.manual_seed(0)
    alike = MMoE(5, 2, 4, (6,))
    with torch.no_grad():
        alike.level.banks[0].weight.fill_(0.1)
    judged(experts_differ, MMoE(5, 2, 4, (6,)), alike)
    bottom = SharedBottom(5, (6,))
    with torch.no_grad():
        bottom.bottom.weight.copy_(alike.level.banks[0].weight[:, :6])
        bottom.bottom.bias.copy_(alike.level.banks[0].bias[:6])
    torch.testing.assert_close(alike(rows(9, 5).float()), bottom(rows(9, 5).float()).expand(-1, 2, -1), rtol=1e-4, atol=1e-5)


def test_02_the_fan_of_a_stack_of_experts():
    """Variance scaling of the whole tensor makes each expert's weights sqrt(h) or sqrt(n) times too small."""

    def each_has_glorot_s_variance(experts_EDH: Tensor) -> None:
        for matrix in experts_EDH:
            assert matrix.var().item() == pytest.approx(2 / (100 + 16), rel=0.15)

    torch.manual_seed(0)
    ours = Experts(100, 8, (16,)).weight.detach().unflatten(1, (8, 16)).movedim(1, 0)
    judged(each_has_glorot_s_variance, ours, torch.nn.init.xavier_uniform_(torch.empty(8, 100, 16)))
    keras = torch.empty(100, 16, 8).uniform_(-1, 1) * (3 / (100 * 16)) ** 0.5  # a kernel read as a convolution: fan in 100 x 16
    judged(each_has_glorot_s_variance, ours, keras.movedim(-1, 0))


def test_03_a_mask_after_the_softmax():
    """Then the rows of a gate that does not see all experts sum to less than one."""
    level = Level((2, 1), 2, (6,))
    cgc = shaken(CGC(5, level))

    def rows_sum_to_one(gates: Callable[[Tensor], Tensor]) -> None:
        total_BT = gates(rows(20, 5)).sum(dim=-1)
        torch.testing.assert_close(total_BT, torch.ones_like(total_BT))

    def masked(x_BD: Tensor) -> Tensor:
        everything = x_BD @ shaken(torch.nn.ParameterDict({"w": torch.nn.Parameter(glorot(5, 5))}))["w"]
        mask = torch.tensor([[float(e in seen) for e in range(level.experts)] for seen in level.seen()])
        return everything.softmax(dim=-1).unsqueeze(1) * mask

    judged(rows_sum_to_one, lambda x_BD: cgc.gates(x_BD)[0], masked)


def ple_with(mistake: str, x: Any, model: PLE, levels: list[Level]) -> list[Any]:
    """PLE of one row, wired wrongly."""
    g: dict[Any, Any] = dict.fromkeys((0, 1, "s"), x)
    for j, level in enumerate(levels):
        groups, last = [*level.task_experts, level.shared_experts], j == len(levels) - 1
        sees = level.seen() if last else [*level.seen(), tuple(range(level.experts))]
        read = Reading(model.levels[j], groups, sees, GATE, own=j > 0)
        new: dict[Any, Any] = {}
        for k in (0, 1):
            own, shared = read.experts[k], read.experts[2]
            at = g[k] if mistake in ("no shared gate", "experts read their consumer's input") else g["s"]
            gate = read.gate(k, g[k])
            if mistake == "shared experts as many as own":
                shared = shared[: len(own)]
                gate = gate[: len(own) + len(shared)] / gate[: len(own) + len(shared)].sum()
            new[k] = weighted(gate, [f(g[k]) for f in own] + [f(at) for f in shared])
        if not last:
            gate, outputs = read.gate(2, g["s"]), [[f(g[k]) for f in read.experts[i]] for i, k in enumerate((0, 1, "s"))]
            if mistake == "shared gate over shared experts":
                gate = gate[-len(outputs[2]) :] / gate[-len(outputs[2]) :].sum()
                new["s"] = weighted(gate, outputs[2])
            elif mistake == "experts read their consumer's input":
                new["s"] = weighted(gate, [f(g["s"]) for nets in read.experts for f in nets])
            else:
                new["s"] = weighted(gate, [output for part in outputs for output in part])
        g = new
    return [g[0], g[1]]


def follows_the_paper(forward: Callable[[Any], Any]) -> None:
    """With three levels, so that what the experts of level 2 read matters to the shared gate."""
    levels = [*LEVELS, Level((1, 1), 2, (4,))]
    model = shaken(PLE(5, levels))
    for x in rows(4, 5).numpy():
        expected, _ = ple(x, model, levels, GATE)
        agree(torch.tensor(np.array(forward((x, model, levels)))), expected)


def ours(given: Any) -> Any:
    x, model, _ = given
    return model(torch.tensor(x).unsqueeze(0))[0].detach().numpy()


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param("no shared gate", id="04 no shared gate"),
        pytest.param("shared gate over shared experts", id="05 shared gate over shared experts alone"),
        pytest.param("shared experts as many as own", id="06 as many shared experts as own ones"),
        pytest.param("experts read their consumer's input", id="10 experts read the input of the task that consumes them"),
    ],
)
def test_04_05_06_10_how_ple_is_wired(mistake):
    judged(follows_the_paper, ours, lambda given: ple_with(mistake, *given))


def test_04_05_06_10_without_a_mistake_the_wrong_wiring_is_right():
    """So it is the mistake, and nothing else of the variant, that is rejected."""
    follows_the_paper(lambda given: ple_with("none", *given))


def test_06_the_number_of_shared_experts_is_the_shared_experts():
    def has_three_shared(model: CGC) -> None:
        (gate_BTE,) = model.gates(rows(4, 5).float())
        assert gate_BTE.shape == (4, 2, 2 + 2 + 3)
        assert count(model) == 7 * (5 * 6 + 6) + 2 * 5 * (2 + 3)

    judged(has_three_shared, CGC(5, Level((2, 2), 3, (6,))), CGC(5, Level((2, 2), 2, (6,))))


@pytest.mark.parametrize("scheme", [MMoE(5, 2, 3, (6,)), CGC(5, LEVELS[0]), PLE(5, LEVELS), SharedBottom(5, (6,))])
def test_07_a_squeeze_without_a_dimension_breaks_a_batch_of_one(scheme):
    def takes_one_row(forward: Callable[[Tensor], Tensor]) -> None:
        assert forward(rows(1, 5).float()).shape == (1, 1 if isinstance(scheme, SharedBottom) else 2, scheme.output_width)

    judged(takes_one_row, scheme, lambda x_BD: scheme(x_BD).squeeze())


def test_08_the_last_zero_of_a_list_are_all_of_it():
    """``[-shared:]`` with nothing shared: a task then sees every expert."""
    level = Level((2, 3), 0, (6,))

    def tasks_are_apart(seen: list[tuple[int, ...]]) -> None:
        assert not set(seen[0]) & set(seen[1])

    everything, wrong, start = list(range(level.experts)), [], 0
    for own in level.task_experts:
        wrong.append((*everything[start : start + own], *everything[-level.shared_experts :]))
        start += own
    judged(tasks_are_apart, level.seen(), wrong)
    gate_BTE = CGC(5, level).gates(rows(4, 5).float())[0]
    assert (gate_BTE[:, 0, 2:] == 0).all()
    assert (gate_BTE[:, 1, :2] == 0).all()


class BlockGate(torch.nn.Module):
    """A gate made of a library's MLP block: linear, batch normalisation, softmax, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 4, bias=False, dtype=torch.float64)
        self.norm, self.dropout = torch.nn.BatchNorm1d(4, dtype=torch.float64), torch.nn.Dropout(0.5)


def test_09_batch_normalisation_or_dropout_in_a_gate():
    torch.manual_seed(0)
    block, model, x_BD = BlockGate().train(), shaken(MMoE(5, 1, 4, (6,))).train(), rows(8, 5)

    def is_a_linear_softmax_of_its_row(gate: Callable[[Tensor], Tensor]) -> None:
        weight_BE = gate(x_BD)
        torch.testing.assert_close(weight_BE.sum(dim=1), torch.ones(8, dtype=torch.float64))
        torch.testing.assert_close(gate(torch.cat([x_BD[:1], 5 * x_BD[1:]]))[0], weight_BE[0])

    def ours(x_BD: Tensor) -> Tensor:
        weight_B1E: Tensor = model.gates(x_BD)[0]
        return weight_B1E[:, 0]

    judged(is_a_linear_softmax_of_its_row, ours, lambda x: block.norm(block.linear(x)).softmax(dim=1))
    judged(is_a_linear_softmax_of_its_row, ours, lambda x: block.dropout(block.linear(x).softmax(dim=1)))


class RunningAUC:
    """A metric that keeps its rows, as one that is never reset, or is shared between tasks."""

    def __init__(self) -> None:
        self.label: list[float] = []
        self.score: list[float] = []

    def __call__(self, label: Any, score: Any) -> float:
        self.label += list(label)
        self.score += list(score)
        return auc(self.label, self.score)


def test_11_a_metric_that_remembers_another_task_or_epoch():
    random = np.random.default_rng(0)
    score = random.random((3, 50))
    label = random.random((3, 50)) < np.array([[0.3], [0.6], [0.5]])

    def is_of_its_own_rows(metric: Callable[[Any, Any], float]) -> None:
        for t in (0, 1, 2, 1):
            pairs = [(score[t, i], score[t, j]) for i in range(50) for j in range(50) if label[t, i] > label[t, j]]
            assert metric(label[t], score[t]) == pytest.approx(np.mean([one > two for one, two in pairs]))

    judged(is_of_its_own_rows, auc, RunningAUC())


def fitted(country: list[str], age: list[float]) -> Encoder:
    features = (Feature(name="country", kind="sparse"), Feature(name="age", kind="dense", encoding="standard"))
    batch = pa.record_batch({"country": country, "age": age, "click": [0, 1] * (len(age) // 2)})
    return fit_encoder(Schema(features=features, tasks=(Task(name="click"),)), DataConfig(min_count=1), [("train", batch)])


def encoded(encoder: Encoder, country: list[str], age: list[float]) -> Any:
    found = encoder.encode(pa.record_batch({"country": country, "age": age}), labels=False)
    return np.column_stack([found.id_BS, found.number_BM])


TRAIN = (["CH", "DE", "FR", "DE"], [20.0, 30.0, 40.0, 50.0])
TEST = (["FR", "DE", "FR", "DE"], [50.0, 60.0, 40.0, 70.0])


def test_12_the_test_rows_have_columns_of_their_own():
    """One-hot columns made of each part by itself: with a level absent from the test rows, all that follow shift."""

    def same_value_same_column(encoders: tuple[Encoder, Encoder]) -> None:
        train, test = (encoded(*pair)[:, 0] for pair in ((encoders[0], *TRAIN), (encoders[1], *TEST)))
        column = dict(zip(TRAIN[0], train, strict=True))
        assert [column[country] for country in TEST[0]] == test.tolist()

    encoder = fitted(*TRAIN)
    judged(same_value_same_column, (encoder, encoder), (encoder, fitted(*TEST)))


def test_13_a_scaler_fitted_again_on_the_test_rows():
    def same_number_same_place(encoders: tuple[Encoder, Encoder]) -> None:
        train, test = (encoded(*pair)[:, 1] for pair in ((encoders[0], *TRAIN), (encoders[1], *TEST)))
        assert (test[2], test[0]) == (train[2], train[3]), "40 and 50 years"

    encoder = fitted(*TRAIN)
    judged(same_number_same_place, (encoder, encoder), (encoder, fitted(*TEST)))


def test_13_a_leading_space_loses_the_professional_schools():
    def parsed(level: str) -> int:
        values = {field: "0" if field in DENSE else "?" for field in FIELDS} | {"income_class": "- 50000."}
        raw = ", ".join((values | {"education_level": level})[field] for field in FIELDS)
        found: int = parse_records(raw.encode(), "tiny", "education")["education"].to_pylist()[0]
        return found

    def knows_every_level(positive: Callable[[str], int]) -> None:
        assert [positive(level) for level in ASSOCIATE_OR_ABOVE] == [1] * 6
        assert positive("Some college but no degree") == 0

    published = {f" {level}" for level in ASSOCIATE_OR_ABOVE if not level.startswith("Prof")} | {ASSOCIATE_OR_ABOVE[4]}
    judged(knows_every_level, parsed, lambda level: int(f" {level}" in published))


def test_13_the_instance_weight_is_no_feature():
    def reads_no_weight(names: tuple[str, ...]) -> None:
        assert "instance_weight" not in names

    judged(reads_no_weight, tuple(feature.name for feature in census_schema("income").features), FIELDS)
    assert len(INPUTS) == 38


def test_14_orthogonal_vectors_divided_by_their_squared_norm():
    def have_the_cosine(directions: Any) -> None:
        first, second = directions[:, 0], directions[:, 1]
        np.testing.assert_allclose([first @ first, second @ second, first @ second], [1, 1, 0.6], atol=1e-12)

    random = np.random.default_rng(0)
    one, two = random.standard_normal((2, sum(size for size, _ in BLOCKS)))
    two = two - one * (one @ two) / (one @ one)
    u1, u2 = one / (one @ one), two / (two @ two)
    judged(have_the_cosine, draw_directions(0.6, random), np.column_stack([u1, 0.6 * u1 + 0.8 * u2]))


@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
def test_15_experts_without_their_last_activation(hidden):
    """MMoE section 4.2: "identical multilayer perceptrons with ReLU activations", so that what a tower reads is not negative."""
    model = shaken(MMoE(5, 2, 4, hidden))

    def is_rectified(forward: Callable[[Tensor], Tensor]) -> None:
        expert_BEH = forward(rows(50, 5))
        assert (expert_BEH >= 0).all()
        assert 0.1 < (expert_BEH == 0).double().mean() < 0.9

    def linear(x_BD: Tensor) -> Tensor:
        bank = model.level.banks[0]
        first_BEH = (x_BD @ bank.weight[:, : 4 * hidden[0]] + bank.bias).unflatten(1, (4, hidden[0]))
        if len(hidden) == 1:
            return first_BEH
        last = torch.einsum("beh,ehk->bek", first_BEH.relu(), bank.deeper.weights[0])
        return last + bank.deeper.biases[0].squeeze(1)

    judged(is_rectified, lambda x_BD: model.level(x_BD)[0], linear)
    torch.testing.assert_close(linear(rows(5, 5)).relu(), model.level(rows(5, 5))[0])
