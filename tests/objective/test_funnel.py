"""Compare every funnel loss with its paper's equations row by row, and check which rows train which task."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.layers.tower import Towers
from manygate.model.conditional import conditional_logits
from manygate.model.targets import Targets
from manygate.objective.funnel import FunnelLosses, joint_cross_entropy, joint_labels
from manygate.objective.loss import Losses
from manygate.schema import Feature, Schema, Task
from manygate.schema.reading import validated

TASKS = (Task(name="buy", after="cart"), Task(name="click"), Task(name="cart", after="click"), Task(name="like"))
TARGETS = Targets.of(TASKS)
BUY, CLICK, CART, LIKE = range(4)
WAYS = ("conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


def rows(count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return labels and weights like the encoder's: 0 where the step before did not happen. A few labels are unknown."""
    random = np.random.default_rng(seed)
    click, cart, buy, like = (random.random((4, count)) < [[0.7], [0.6], [0.5], [0.3]]).astype(float)
    row = random.random(count) + 0.5
    known_cart = click * (random.random(count) < 0.9)
    weight = np.stack([row * known_cart * cart, row, row * known_cart, row], axis=1)
    label = np.stack([buy, click, cart, like], axis=1) * (weight > 0)
    return torch.tensor(label, dtype=torch.float32).unsqueeze(0), torch.tensor(weight, dtype=torch.float32).unsqueeze(0)


def losses(way: str, **settings: float) -> FunnelLosses:
    return FunnelLosses(Losses(TASKS, torch.arange(4).unsqueeze(0)), TARGETS, RunConfig(funnel=way, **settings))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def entropy(p: float, y: float) -> float:
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def mean(values: list[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in values) / sum(weight for _, weight in values)


def by_hand(way: str, output: np.ndarray, label: np.ndarray, weight: np.ndarray, config: RunConfig) -> list[float]:
    """Compute the losses row by row, in plain Python."""
    before = {CART: CLICK, BUY: CART}
    weighted_losses: list[list[tuple[float, float]]] = [[], [], [], []]
    extra = {CART: 0.0, BUY: 0.0}
    terms: dict[int, list[tuple[float, float]]] = {CART: [], BUY: []}
    totals = {CART: 0.0, BUY: 0.0}
    for z, y, w in zip(output, label, weight, strict=True):
        p = [sigmoid(z[t]) for t in range(4)]
        joint = dict(enumerate(p))
        if way != "aitm":
            joint[CART] = p[CART] * p[CLICK]
            joint[BUY] = p[BUY] * joint[CART]
        happened = {CLICK: y[CLICK] == 1}
        happened[CART] = happened[CLICK] and y[CART] == 1
        unknown_cart = happened[CLICK] and w[CART] == 0
        joint_row = {CLICK: (y[CLICK], w[CLICK]), LIKE: (y[LIKE], w[LIKE])}
        joint_row[CART] = (y[CART], w[CART]) if happened[CLICK] else (0.0, w[CLICK])
        joint_row[BUY] = (y[BUY], w[BUY]) if happened[CART] else (0.0, 0.0 if unknown_cart else joint_row[CART][1])
        for t in range(4):
            if way == "conditional" or t in (CLICK, LIKE):
                if w[t] > 0:
                    weighted_losses[t].append((entropy(p[t], y[t]), w[t]))
                continue
            y_joint, w_joint = joint_row[t]
            weighted_losses[t].append((entropy(joint[t], y_joint), w_joint))
            w_before = joint_row[before[t]][1]
            totals[t] += w_joint
            if way == "aitm":
                terms[t].append((max(joint[t] - joint[before[t]], 0.0), w_before))
            if way.startswith("escm2"):
                imputed = z[4 + (0 if t == CART else 1)] if way == "escm2_dr" else 0.0
                inverse = 1 / max(joint[before[t]], config.propensity_floor)
                inside = w[t] > 0
                error = (entropy(p[t], y[t]) - imputed) if inside else 0.0
                value = imputed * w_joint + error * inverse * w[t]
                value += error**2 * inverse * w[t] if way == "escm2_dr" else 0.0
                extra[t] += value
    result = [mean(values) for values in weighted_losses]
    for t in (CART, BUY):
        if way == "aitm":
            result[t] += config.calibrator_weight * mean(terms[t])
        if way.startswith("escm2"):
            result[t] = config.escm2_weight * extra[t] / totals[t] + config.escm2_joint_weight * result[t]
    return result


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_each_loss_agrees_with_its_equations_row_by_row(way, seed):
    settings = {"calibrator_weight": 0.7, "escm2_weight": 0.4, "escm2_joint_weight": 1.3, "propensity_floor": 0.3}
    label, weight = rows(seed=seed)
    output = draw(1, 40, 6 if way == "escm2_dr" else 4, seed=seed)
    subject = losses(way, **settings)
    loss, present = subject(output, label, weight)
    expected = by_hand(way, output[0].double().numpy(), label[0].numpy(), weight[0].numpy(), subject.config)
    np.testing.assert_allclose(loss[0].numpy(), expected, rtol=2e-5)
    assert present.all()


@pytest.mark.parametrize("way", WAYS)
def test_rows_outside_every_task_change_nothing_bit_for_bit(way):
    label, weight = rows()
    output = draw(1, 40, 6 if way == "escm2_dr" else 4).requires_grad_()
    more = torch.cat([output.detach(), 3 * draw(1, 24, output.shape[-1], seed=5)], dim=1).requires_grad_()
    loss, _ = losses(way)(output, label, weight)
    loss.sum().backward()
    other, _ = losses(way)(more, torch.cat([label, label[:, :24]], dim=1), torch.cat([weight, torch.zeros(1, 24, 4)], dim=1))
    other.sum().backward()
    assert torch.equal(loss, other)
    assert torch.equal(more.grad[:, :40], output.grad)
    assert (more.grad[:, 40:] == 0).all()


def test_each_method_trains_on_its_rows():
    """In a batch without a click, ESMM trains the purchase, and a conditional loss does not."""
    label, weight = rows()
    output = draw(1, 40, 6).requires_grad_()
    nothing = torch.zeros_like(label)
    only_clicks = weight.clone()
    only_clicks[..., [BUY, CART]] = 0
    weighted_losses = {}
    for way in WAYS:
        loss, present = losses(way)(output, nothing, only_clicks)
        (gradient,) = torch.autograd.grad(loss[0, CART], output)
        weighted_losses[way] = (bool(present[0, CART]), bool((gradient[..., CART] != 0).any()))
    assert weighted_losses["conditional"] == (False, False)
    assert all(weighted_losses[way] == (True, True) for way in WAYS[1:])


def test_the_propensity_has_no_gradient_from_the_counterfactual_loss():
    label, weight = rows()
    output = draw(1, 40, 6).requires_grad_()
    for way in ("escm2_ipw", "escm2_dr"):
        loss, _ = losses(way, escm2_joint_weight=0.0)(output, label, weight)
        (gradient,) = torch.autograd.grad(loss[0, CART], output)
        assert (gradient[..., CLICK] == 0).all()
        assert (gradient[..., CART] != 0).any()
        assert (gradient[..., 4] != 0).any() == (way == "escm2_dr")


def test_an_imputation_does_not_run_away_where_the_propensity_is_below_the_floor():
    """Of 1,000 rows 5 were clicked, a tenth of the floor: the imputed loss settles at the loss of the clicked rows."""
    label, weight = torch.zeros(1, 1000, 2), torch.ones(1, 1000, 2)
    label[:, :5, 0] = 1
    weight[:, 5:, 1] = 0
    tasks = (Task(name="click"), Task(name="buy", after="click"))
    of = FunnelLosses(Losses(tasks, torch.tensor([[0, 1]])), Targets.of(tasks), RunConfig(funnel="escm2_dr", escm2_joint_weight=0))
    imputed = torch.zeros((), requires_grad=True)
    fixed = torch.tensor([-5.3, -1.0]).expand(1, 1000, 2)
    optimizer = torch.optim.Adam([imputed], lr=0.05)
    for _ in range(400):
        loss, _ = of(torch.cat([fixed, imputed.expand(1, 1000, 1)], dim=-1), label, weight)
        optimizer.zero_grad()
        loss[0, 1].backward()
        optimizer.step()
    assert imputed.item() == pytest.approx(math.log1p(math.exp(-1.0)), abs=1e-3)


def test_inverse_propensities_give_the_risk_on_all_rows():
    """With the true propensity the expectation of the weighted loss is the loss on all rows; that on clicked rows is not."""
    random = np.random.default_rng(0)
    count = 400_000
    z = random.normal(size=count)
    p_click, p_buy = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
    click, buy = random.random(count) < p_click, random.random(count) < p_buy
    label = torch.tensor(np.stack([click, buy & click], axis=1), dtype=torch.float32).unsqueeze(0)
    weight = torch.tensor(np.stack([np.ones(count), click], axis=1), dtype=torch.float32).unsqueeze(0)
    output = torch.tensor(np.stack([z, np.zeros(count) - 1], axis=1), dtype=torch.float32).unsqueeze(0)
    tasks = (Task(name="click"), Task(name="buy", after="click"))
    everywhere = np.mean(np.where(random.random(count) < p_buy, np.log1p(np.exp(1.0)), np.log1p(np.exp(-1.0))))

    def of(way: str) -> float:
        config = RunConfig(funnel=way, escm2_joint_weight=0.0, propensity_floor=1e-3)
        return FunnelLosses(Losses(tasks, torch.tensor([[0, 1]])), Targets.of(tasks), config)(output, label, weight)[0][0, 1].item()

    assert of("escm2_ipw") == pytest.approx(everywhere, abs=0.01)
    assert abs(of("conditional") - everywhere) > 0.05


def test_a_regression_after_a_click_keeps_its_own_loss():
    tasks = (Task(name="click"), Task(name="watch", kind="regression", after="click"))
    label, weight = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]]), torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    output = torch.tensor([[[0.0, 1.5], [0.0, 7.0]]])
    subject = {
        way: FunnelLosses(Losses(tasks, torch.tensor([[0, 1]])), Targets.of(tasks), RunConfig(funnel=way)) for way in WAYS[:4]
    }
    assert [of(output, label, weight)[0][0, 1].item() for of in subject.values()] == pytest.approx([1.0, 1.0, 1.0, 1.0])
    uneven = torch.tensor([[[math.log(3), 1.5], [0.0, 7.0]]])  # P(click) = 3/4 where it happened
    assert subject["escm2_ipw"](uneven, label, weight)[0][0, 1].item() == pytest.approx(1 / 0.75 / 2)


@pytest.mark.parametrize("p", [1e-30, 1e-7, 0.3, 0.5, 0.9, 1.0])
def test_joint_cross_entropy_is_finite_and_right(p):
    log_p = torch.tensor([math.log(p)], requires_grad=True)
    for y in (0.0, 1.0):
        value = joint_cross_entropy(log_p, torch.tensor([y]))
        (gradient,) = torch.autograd.grad(value.sum(), log_p)
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()
        if p < 1:
            assert value.item() == pytest.approx(entropy(p, y) if p > 1e-20 or y else 0.0, rel=1e-4, abs=1e-12)


def test_conditional_logits_undo_the_product():
    logit = 2 * draw(1, 50, 4, seed=3)
    p = logit.sigmoid()
    joint = p.clone()
    joint[..., CART] = p[..., CART] * p[..., CLICK]
    joint[..., BUY] = p[..., BUY] * joint[..., CART]
    torch.testing.assert_close(conditional_logits(torch.logit(joint), TARGETS), logit, rtol=1e-3, atol=1e-4)
    above = conditional_logits(torch.tensor([[[9.0, -9.0, 9.0, 0.0]]]), TARGETS)
    assert torch.isfinite(above).all(), "a later step likelier than an earlier one is capped"


def test_joint_labels_keep_what_is_unknown_unknown():
    label, weight = rows()
    joint, known = joint_labels(label, weight, TARGETS.steps)
    clicked, carted = label[..., CLICK] == 1, label[..., CART] == 1
    unknown = clicked & (weight[..., CART] == 0)
    assert unknown.any()
    assert (known[..., CART] == 0).equal(unknown)
    assert (known[..., BUY] == 0).equal(unknown)
    assert (joint[..., BUY] == 1).equal((label[..., BUY] == 1) & carted & clicked)


def test_transfer_agrees_with_the_equations():
    towers = Towers(3, 5, (4,), steps=[(0, 2), (1, 0)])
    with torch.no_grad():
        for number, value in enumerate(towers.parameters()):
            value.copy_(draw(*value.shape, seed=number))
    h = draw(2, 3, 5, seed=9)
    q = towers.hidden(h).detach().double().numpy()
    state = {name: value.detach().double().numpy() for name, value in towers.state_dict().items()}
    for b in range(2):
        z = dict(enumerate(q[b]))
        for j, (t, after) in enumerate([(0, 2), (1, 0)]):
            p = z[after] @ state["transfer.info"][j] + state["transfer.info_bias"][j]
            u = [p, z[t]]
            score = [sum((v @ state["transfer.key"][j]) * (v @ state["transfer.query"][j])) / math.sqrt(4) for v in u]
            share = np.exp(score) / np.exp(score).sum()
            z[t] = sum(w * (v @ state["transfer.value"][j]) for w, v in zip(share, u, strict=True))
        expected = [z[t] @ state["weight"][t] + state["bias"][t] for t in range(3)]
        np.testing.assert_allclose(towers(h)[b].detach().numpy(), expected, rtol=1e-4)


FEATURES = (Feature(name="item", kind="sparse"),)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([Task(name="a", after="b"), Task(name="b", after="a")], ["a after b after a is a circle"]),
        ([Task(name="a", after="a")], ["a after a is a circle"]),
        ([Task(name="a"), Task(name="b", after="clik"), Task(name="click")], ["'clik', which is no task", "Did you mean 'click'"]),
        ([Task(name="w", kind="regression"), Task(name="b", after="w")], ["'w', which is a regression"]),
        ([Task(name="a"), Task(name="b", after="a"), Task(name="a_b")], ["task 'a_b' has the name of a funnel's joint column"]),
        ([Task(name="a", loss="pairwise")], ["names no group"]),
    ],
)
def test_what_cannot_be_is_said(tasks, said):
    with pytest.raises(InputError) as error:
        validated(Schema, {"features": FEATURES, "tasks": tuple(tasks)}, "schema")
    assert all(words in str(error.value) for words in said), str(error.value)
    assert len(error.value.problems) == 1


def test_a_loss_says_the_kind():
    assert Task.parse("watch:loss=log").kind == "regression"
    assert Task.parse("click:loss=pairwise").kind == "binary"
    with pytest.raises(InputError, match=r"loss 'log' is not for binary tasks\. Choose cross_entropy or pairwise"):
        Task.parse("watch:loss=log,kind=binary")


def test_names_of_joint_columns():
    schema = Schema(features=FEATURES, tasks=TASKS)
    assert schema.joint_names == ("click_cart_buy", None, "click_cart", None)
    assert schema.predicted_names == ("buy", "click", "cart", "like", "click_cart_buy", "click_cart")
    assert schema.parents == (CART, None, CLICK, None)


@pytest.mark.parametrize(
    ("p", "before", "ratio"),
    [(0.3, 0.6, 0.5), (0.995 * 0.5, 0.5, 0.995), (0.9999 * 0.5, 0.5, 0.9999), (0.5, 0.5, 1 - 1e-6), (0.6, 0.3, 1 - 1e-6)],
)
def test_a_conditional_probability_is_capped_a_millionth_below_one(p: float, before: float, ratio: float):
    """What is below the cap stays as it is."""
    logits = conditional_logits(torch.logit(torch.tensor([[[before, p]]])), Targets(((1, 0),), (True, True)))
    assert logits[0, 0, 0].item() == pytest.approx(math.log(before / (1 - before)), abs=1e-5)
    assert logits[0, 0, 1].item() == pytest.approx(math.log(ratio / (1 - ratio)), abs=0.05)
