"""Each method against its paper's equation, worked out by hand or read again in a few lines of NumPy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as over
from hypothesis import settings as runs
from hypothesis import strategies as st
from torchjd import scalarization
from torchjd.aggregation import CAGradWeighting, FairGradWeighting, NashMTL

from manygate.config import RunConfig
from manygate.config.names import WEIGHTING_NAMES
from manygate.objective.weighting import Given, Seen, Weighting, build_weighting
from manygate.objective.weighting.cagrad import two_tasks
from manygate.objective.weighting.fairgrad import fair_weights
from manygate.objective.weighting.famo import RATE

MEMBERS = 2


def make(name: str, weight: Any = (1.0, 1.0), decay: Any = (1.0, 1.0), binary: Any = (True, False), **settings: Any) -> Weighting:
    tasks = len(weight)
    shaped = [torch.tensor(value).expand(MEMBERS, tasks) for value in (weight, decay, binary)]
    keys = [(seed, *range(tasks)) for seed in range(MEMBERS)]
    return build_weighting(Given(shaped[0].float(), shaped[1].float(), shaped[2], keys, RunConfig(weighting=name, **settings)))


def look(tasks: int = 2, step: int = 0, epoch: int = 0, present: Any = True, gradients: Any = None) -> Seen:
    """``gradients`` are the tasks' gradients, one a row, the same for all members."""
    gramian = None
    if gradients is not None:
        rows = np.asarray(gradients, dtype=np.float64)
        gramian = torch.tensor(rows @ rows.T).float().expand(MEMBERS, tasks, tasks)
    present_MT = torch.as_tensor(present).expand(MEMBERS, tasks)
    return Seen(step, epoch, present_MT, torch.ones(MEMBERS, dtype=torch.bool), gramian)


def losses(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).repeat(MEMBERS, 1)


def test_fixed_and_schedule_by_hand():
    loss_MT = losses(0.7, 2.0)
    fixed = make("fixed", weight=(0.5, 3.0))
    torch.testing.assert_close(fixed.objective(loss_MT, look(epoch=4)), torch.tensor([6.35, 6.35]))  # 0.35 + 6
    schedule = make("schedule", weight=(0.5, 3.0), decay=(1.0, 0.9))
    for epoch, expected in ((0, 6.35), (1, 5.75), (2, 5.21)):  # 0.35 + 6 * 0.9^epoch
        torch.testing.assert_close(schedule.objective(loss_MT, look(epoch=epoch)), torch.full((MEMBERS,), expected))


def test_uncertainty_by_hand():
    """s = (log 2, log 4), a binary loss of 0.7 and a squared error of 2: 0.7/2 + log(2)/2 and 2/4/2 + log(4)/2."""
    weighting = make("uncertainty", weight=(1.0, 3.0))
    with torch.no_grad():
        weighting.parameters["weighting.s"].copy_(losses(math.log(2), math.log(4)))
    loss_MT = losses(0.7, 2.0).requires_grad_()
    objective_M = weighting.objective(loss_MT, look())
    expected = 0.35 + math.log(2) / 2 + 3 * (0.25 + math.log(4) / 2)
    torch.testing.assert_close(objective_M.detach(), torch.full((MEMBERS,), expected))
    objective_M.sum().backward()
    torch.testing.assert_close(weighting.parameters["weighting.s"].grad, losses(-0.35 + 0.5, 3 * (-0.25 + 0.5)))
    torch.testing.assert_close(loss_MT.grad, losses(0.5, 3 * 0.125))
    torch.testing.assert_close(weighting.weight_MT, losses(0.5, 3 * 0.125))


def test_uncertainty_gives_no_gradient_to_a_task_without_rows_and_comes_back_from_any_value():
    weighting = make("uncertainty")
    s_MT = weighting.parameters["weighting.s"]
    weighting.objective(losses(0.7, 0.0), look(present=[True, False])).sum().backward()
    assert (s_MT.grad[:, 1] == 0).all()
    for start, sign in ((-1e30, -1.0), (1e30, 1.0)):
        with torch.no_grad():
            s_MT.fill_(start)
        s_MT.grad = None
        objective_M = weighting.objective(losses(0.7, 2.0), look())
        assert torch.isfinite(objective_M).all()
        objective_M.sum().backward()
        assert torch.isfinite(s_MT.grad).all()
        assert (s_MT.grad * sign > 0).all(), "descent goes back towards the middle"


def test_uncertainty_ends_at_twice_the_loss_of_a_binary_task_and_at_the_squared_error():
    weighting = make("uncertainty")
    s_MT = weighting.parameters["weighting.s"]
    optimizer = torch.optim.SGD([s_MT], lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        weighting.objective(losses(0.7, 2.0), look()).sum().backward()
        optimizer.step()
    torch.testing.assert_close(s_MT.detach().exp(), losses(1.4, 2.0), rtol=1e-4, atol=1e-4)


def test_dwa_by_hand():
    weighting = make("dwa", weight=(1.0, 2.0))
    torch.testing.assert_close(weighting.weigh(losses(1, 1), look()), losses(1, 2))
    weighting.close_epoch(losses(1.0, 0.5).double())
    torch.testing.assert_close(weighting.weigh(losses(1, 1), look()), losses(1, 2))
    weighting.close_epoch(losses(0.8, 0.2).double())  # ratios 0.8 and 0.4
    one, two = math.exp(0.8 / 2), math.exp(0.4 / 2)
    expected = losses(2 * one / (one + two), 2 * 2 * two / (one + two))
    torch.testing.assert_close(weighting.weigh(losses(1, 1), look()), expected)
    weighting.close_epoch(losses(0.8, float("nan")).double())  # no row of the second: its ratio counts as 1
    torch.testing.assert_close(weighting.weigh(losses(1, 1), look()), losses(1, 2))
    weighting.close_epoch(losses(0.8, 0.1).double())  # ratios 1 and 0.1 / 0.2
    one, two = math.exp(1 / 2), math.exp(0.5 / 2)
    assert weighting.weigh(losses(1, 1), look())[0, 0] == pytest.approx(2 * one / (one + two))


def test_random_weights_differ_by_member_and_step_and_sum_to_t():
    weighting = make("random")
    drawn = torch.stack([weighting.weigh(losses(1, 1), look(step=step)) for step in range(200)])
    torch.testing.assert_close(drawn.sum(dim=2), torch.full((200, MEMBERS), 2.0))
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    assert len(set(drawn[:, 0, 0].tolist())) > 190
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(weighting.weigh(losses(1, 1), look(step=7)), drawn[7])


def test_famo_is_torchjd_s_times_the_number_of_tasks():
    weighting, reference = make("famo"), scalarization.FAMO(2)
    random = np.random.default_rng(0)
    for step in range(20):
        before, after = random.uniform(0.1, 3.0, (2, 2))
        value = torch.tensor(before).float().requires_grad_()
        (gradient,) = torch.autograd.grad(reference(value), value)
        found = weighting.weigh(losses(*before), look(step=step))
        torch.testing.assert_close(found, 2 * gradient.expand(MEMBERS, 2), rtol=1e-4, atol=1e-5)
        reference.update(torch.tensor(after).float())
        weighting.look(losses(*after), look(step=step))
    assert weighting.state["logit"].abs().max() > RATE, "the weights have moved"


def test_famo_without_the_rows_of_a_task():
    weighting = make("famo")
    found = weighting.weigh(losses(0.3, 0.0), look(present=[True, False]))
    torch.testing.assert_close(found[:, 0], torch.ones(MEMBERS))
    weighting.look(losses(0.2, 0.0), look(present=[True, False]))
    torch.testing.assert_close(weighting.state["logit"], torch.zeros(MEMBERS, 2))


def test_gradnorm_by_hand():
    """Two steps in NumPy; the paper's loss |G - mean(G) r^alpha|, its gradient by finite differences."""
    alpha, rate = 1.5, 0.025
    gradients = np.array([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])  # norms 5 and 1
    weighting = make("gradnorm", weight=(1.0, 2.0), gradnorm_alpha=alpha)
    v, first, norm = np.ones(2), np.array([0.8, 2.0]), np.array([5.0, 1.0])
    for step, loss in enumerate(([0.8, 2.0], [0.4, 1.8])):
        found = weighting.weigh(losses(*loss), look(step=step, gradients=gradients))
        torch.testing.assert_close(found, losses(*(v * [1.0, 2.0])), rtol=1e-5, atol=1e-6)
        ratio = np.array(loss) / first
        target = (v * norm).mean() * (ratio / ratio.mean()) ** alpha

        def grad_loss(value: np.ndarray, target: np.ndarray = target) -> float:
            return float(np.abs(value * norm - target).sum())

        slope = np.array([(grad_loss(v + 1e-6 * e) - grad_loss(v - 1e-6 * e)) / 2e-6 for e in np.eye(2)])
        v = v - rate * slope / norm.mean()
        v = v * 2 / v.sum()
    torch.testing.assert_close(weighting.state["v"], losses(*v), rtol=1e-5, atol=1e-6)
    assert v[0] < 1 < v[1], "the task with the long gradient weighs less"


def test_gradnorm_with_a_task_absent_at_the_first_step():
    weighting = make("gradnorm")
    gradients = np.array([[1.0, 0.0], [0.0, 0.0]])
    found = weighting.weigh(losses(0.8, 0.0), look(present=[True, False], gradients=gradients))
    torch.testing.assert_close(found, losses(1.0, 1.0))
    torch.testing.assert_close(weighting.state["v"], losses(1.0, 1.0))
    assert weighting.state["first"][:, 1].isnan().all()
    weighting.weigh(losses(0.7, 3.0), look(gradients=[[1.0, 0.0], [0.0, 5.0]]))
    torch.testing.assert_close(weighting.state["first"], losses(0.8, 3.0))
    assert torch.isfinite(weighting.state["v"]).all()
    assert (weighting.state["v"][:, 0] > 1).all()


def weights_of(name: str, gradients: Any, **settings: Any) -> np.ndarray:
    tasks = len(gradients)
    weighting = make(name, weight=(1.0,) * tasks, decay=(1.0,) * tasks, binary=(True,) * tasks, **settings)
    found = weighting.weigh(losses(*[1.0] * tasks), look(tasks=tasks, gradients=gradients))
    assert torch.equal(found[0], found[1]) or tasks > 2
    return found[0].numpy()


pairs = st.tuples(*[st.floats(-3, 3, width=32)] * 6).map(lambda v: np.array(v, dtype=np.float64).reshape(2, 3))
pairs = pairs.filter(lambda g: (np.linalg.norm(g, axis=1) > 0.3).all())


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_pcgrad_of_two_tasks_in_numpy(gradients):
    one, two = gradients
    projected = [one - min(one @ two, 0) / (two @ two) * two, two - min(one @ two, 0) / (one @ one) * one]
    found = weights_of("pcgrad", gradients)
    np.testing.assert_allclose(found @ gradients, sum(projected), rtol=1e-4, atol=1e-4)


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_mgda_of_two_tasks_in_closed_form(gradients):
    """Sener & Koltun, section 3.3: the share of the first is clip((g_2 - g_1) . g_2 / |g_1 - g_2|^2)."""
    one, two = gradients
    apart = one - two
    if apart @ apart < 1e-3:
        return
    share = np.clip((two - one) @ two / (apart @ apart), 0, 1)
    np.testing.assert_allclose(weights_of("mgda", gradients), 2 * np.array([share, 1 - share]), rtol=1e-3, atol=2e-3)


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_imtl_g_of_two_tasks_has_equal_projections(gradients):
    length = np.linalg.norm(gradients, axis=1)
    if abs(gradients[0] @ gradients[1]) > 0.99 * length.prod():
        return
    np.testing.assert_allclose(weights_of("imtl_g", gradients), 2 * length[::-1] / length.sum(), rtol=1e-3, atol=1e-3)


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_upgrad_and_dualproj_go_against_no_task(gradients):
    for name in ("upgrad", "dualproj"):
        found = weights_of(name, gradients)
        gain = gradients @ (found @ gradients)
        assert (gain >= -2e-3 * (gradients**2).sum()).all()
        if gradients[0] @ gradients[1] >= 0:
            np.testing.assert_allclose(found, 1.0, rtol=1e-3, atol=1e-3)


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_aligned_mtl_makes_the_components_equally_long(gradients):
    """The combined gradient is the least singular value times the sum of U V' of the gradients' own decomposition."""
    u, sizes, v = np.linalg.svd(gradients, full_matrices=False)
    if sizes[-1] < 0.05 * sizes[0]:
        return
    expected = sizes[-1] * (u @ v).sum(axis=0)
    np.testing.assert_allclose(weights_of("aligned_mtl", gradients) @ gradients, expected, rtol=2e-3, atol=2e-3)


@over(pairs, st.sampled_from([0.1, 0.4, 0.9]))
@runs(max_examples=60, deadline=None)
def test_cagrad_of_two_tasks_against_torchjd_and_a_grid(gradients, c):
    gramian = gradients @ gradients.T
    gramian /= np.trace(gramian) / 2
    found = two_tasks(gramian[None], c)[0]

    def worst(share: np.ndarray) -> np.ndarray:
        w = np.stack([share, 1 - share])
        length = np.sqrt(np.maximum(np.einsum("in,ij,jn->n", w, gramian, w), 0))
        return (gramian @ [0.5, 0.5]) @ w + c * np.sqrt(gramian.sum()) / 2 * length

    grid = np.linspace(0, 1, 2001)
    radius = c * np.sqrt(gramian.sum()) / 2
    rest = found - 0.5
    if radius > 1e-3 and found.any() and rest.sum() > 0:
        share = rest[0] / rest.sum()
        assert worst(np.array([share]))[0] <= worst(grid).min() + 1e-6
        combined = np.sqrt(max(rest @ gramian @ rest, 0.0))
        assert combined == pytest.approx(radius, rel=1e-6)
    if abs(gramian[0, 1]) < 0.9 * np.sqrt(gramian[0, 0] * gramian[1, 1]):
        reference = CAGradWeighting(c=c)(torch.tensor(gramian)).numpy()
        np.testing.assert_allclose(found, reference, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP")
def test_nash_and_fairgrad_meet_their_equations_and_torchjd_s(tasks):
    random = np.random.default_rng(tasks)
    gradients = random.normal(size=(6, tasks, 8))
    gramian = gradients @ gradients.transpose(0, 2, 1)
    gramian /= np.trace(gramian, axis1=1, axis2=2)[:, None, None] / tasks
    nash, fair = fair_weights(gramian, 1.0), fair_weights(gramian, 2.0)
    agreed = 0
    for m in range(6):
        np.testing.assert_allclose(gramian[m] @ nash[m], 1 / nash[m], rtol=2e-3)
        np.testing.assert_allclose(gramian[m] @ fair[m], fair[m] ** -0.5, rtol=2e-3)
        np.testing.assert_allclose(fair[m], FairGradWeighting(2.0)(torch.tensor(gramian[m])).numpy(), rtol=1e-2)
        reference = NashMTL(n_tasks=tasks, max_norm=0.0)
        theirs = reference.weighting(torch.tensor(gradients[m]))
        theirs = theirs.numpy()
        if (theirs == theirs[0]).all():  # TorchJD's solver gave up, and left the weights at 1
            continue
        agreed += 1
        np.testing.assert_allclose(nash[m] / nash[m].sum(), theirs / theirs.sum(), rtol=2e-2)  # it scales them otherwise
    assert agreed >= 4


def test_nash_of_two_tasks_in_closed_form():
    """w_k = 1 / (|g_k| sqrt(1 + cos)): from w_1 G_11 w_1 = w_2 G_22 w_2 = 1 - w_1 G_12 w_2."""
    gradients = np.array([[2.0, 0.0], [-0.3, 0.4]])
    length = np.linalg.norm(gradients, axis=1)
    cosine = gradients[0] @ gradients[1] / length.prod()
    scale = np.sqrt((length**2).mean())
    np.testing.assert_allclose(weights_of("nash_mtl", gradients), scale / (length * np.sqrt(1 + cosine)), rtol=1e-3)


def test_gradvac_moves_the_cosine_to_its_running_mean():
    """One pair: when the cosine falls below the mean of those seen, task 1 gets the multiple of g_2 that restores it."""
    weighting = make("gradvac", binary=(True, True))
    alike = np.array([[1.0, 0.0], [0.8, 0.6]])
    weighting.weigh(losses(1, 1), look(gradients=alike))
    target = 0.5 * 0.8
    torch.testing.assert_close(weighting.state["target"][:, 0, 1], torch.full((MEMBERS,), target).double(), rtol=1e-4, atol=1e-5)
    apart = np.array([[1.0, 0.0], [-0.6, 0.8]])
    found = weighting.weigh(losses(1, 1), look(step=1, gradients=apart))[0].numpy()
    extra = (target * math.sqrt(1 - 0.6**2) + 0.6 * math.sqrt(1 - target**2)) / math.sqrt(1 - target**2)
    np.testing.assert_allclose(found, [1 + extra, 1 + extra], rtol=1e-4)


@pytest.mark.parametrize("name", ["pcgrad", "gradvac"])
def test_the_order_of_tasks_is_drawn_for_each_member_and_step(name):
    gradients = np.array([[1.0, 0.0, 0.0], [-0.8, 0.5, 0.1], [-0.5, -0.9, 0.3]])
    weighting = make(name, weight=(1.0,) * 3, decay=(1.0,) * 3, binary=(True,) * 3)
    drawn = [weighting.weigh(losses(1, 1, 1), look(tasks=3, step=step, gradients=gradients)) for step in range(12)]
    assert any(not torch.equal(found[0], found[1]) for found in drawn)
    again = make(name, weight=(1.0,) * 3, decay=(1.0,) * 3, binary=(True,) * 3)
    for step, found in enumerate(drawn):
        assert torch.equal(again.weigh(losses(1, 1, 1), look(tasks=3, step=step, gradients=gradients)), found)
    if name == "pcgrad":
        possible = {tuple(np.round(pcgrad(gradients, orders), 4)) for orders in itertools.product(*map(others, range(3)))}
        assert {tuple(np.round(row @ gradients, 4)) for found in drawn for row in found.double().numpy()} <= possible


def others(i: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations([j for j in range(3) if j != i]))


def pcgrad(gradients: np.ndarray, orders: Any) -> np.ndarray:
    """Algorithm 1 of Yu et al., with the order in which each task meets the others."""
    total = np.zeros(gradients.shape[1])
    for i, order in enumerate(orders):
        own = gradients[i].copy()
        for j in order:
            inner = own @ gradients[j]
            if inner < 0:
                own = own - inner / (gradients[j] @ gradients[j]) * gradients[j]
        total += own
    return total


@pytest.mark.parametrize("name", ["mgda", "nash_mtl", "fairgrad", "imtl_g", "aligned_mtl"])
def test_methods_that_undo_scales_take_the_weights_after(name):
    gradients = np.array([[1.0, 0.2], [-0.3, 0.6]])
    plain, doubled = (make(name, weight=weight).weigh(losses(1, 1), look(gradients=gradients)) for weight in ((1, 1), (1, 2)))
    torch.testing.assert_close(doubled, plain * torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("name", ["pcgrad", "cagrad", "upgrad", "dualproj"])
def test_the_others_see_the_weighted_losses(name):
    gradients = np.array([[1.0, 0.2], [-0.3, 0.6]])
    weighted = make(name, weight=(1.0, 2.0)).weigh(losses(1, 1), look(gradients=gradients))
    scaled = make(name).weigh(losses(1, 1), look(gradients=gradients * [[1.0], [2.0]]))
    torch.testing.assert_close(weighted, scaled * torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize(("pull", "expected"), [(0.0, 0.975), (0.0005, 0.975), (0.0015, 1.025)])
def test_famo_s_logits_decay_by_a_thousandth_of_themselves(pull, expected):
    """By hand: at xi = (1, -1), z_1 z_2 = e^2 / (1 + e^2)^2, and the gradient is 0.001 (1, -1) - pull (1, -1).

    Adam's first step is 0.025 long against its sign, so that the decay is known to lie between the pulls.
    """
    weighting = make("famo")
    weighting.state["logit"].copy_(torch.tensor([1.0, -1.0]))
    product = math.e**2 / (1 + math.e**2) ** 2
    weighting.weigh(losses(1.0, 1.0), look())
    weighting.look(losses(math.exp(pull / product), 1.0), look())  # task 1 fell by -pull / z_1 z_2
    torch.testing.assert_close(weighting.state["logit"], losses(expected, -expected), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", WEIGHTING_NAMES)
def test_what_members_learnt_is_forgotten_and_no_other_s(name):
    weighting = make(name)
    with torch.no_grad():
        for value in weighting.parameters.values():
            value.copy_(torch.arange(1.0, 1 + value.numel()).view(value.shape))
    weighting.forget([1])
    for value in weighting.parameters.values():
        assert (value[1] == 0).all()
        assert torch.equal(value[0].detach(), torch.arange(1.0, 1 + value[0].numel()))
    assert (name == "uncertainty") == bool(weighting.parameters)
