"""Levels of experts: what settings make of them, and which gates are made."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import PLE, Level
from manygate.architecture.level import check_experts, check_levels, levels_of, mixtures, spread, wiring
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.mixture import PLAIN
from numpy_reading import rows


def levels(**settings):
    return levels_of(2, ModelConfig(experts=8, expert_hidden=(6,), **settings), 2)


def test_settings_become_levels():
    half = Level((2, 2), 4, (6,))
    assert levels() == [half, half]
    assert levels(shared_experts="4,2") == [half, Level((2, 2), 2, (6,))]
    assert levels(task_experts="2,1") == [Level((2, 1), 4, (6,))] * 2
    assert levels(task_experts="2,1/1,3", level_hidden="6/5,4") == [Level((2, 1), 4, (6,)), Level((1, 3), 4, (5, 4))]
    assert levels(task_expert_hidden="7,6/6") == [Level((2, 2), 4, (6,), ((7, 6), (6,)))] * 2
    assert levels_of(2, ModelConfig(experts=8, shared_experts="4,2", level_hidden="6/5"), 1) == [half]
    assert levels_of(3, ModelConfig(experts=2, expert_hidden=(6,)), 1) == [Level((1, 1, 1), 1, (6,))]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shared_experts": "4,2,1"}, r"shared_experts: 3 values for 2 levels, found \[4, 2, 1\]\. Give one, or 2"),
        ({"task_experts": "4,2,1"}, r"task_experts: 3 values for 2 tasks, found \[4, 2, 1\]\. Give one, or 2"),
        ({"task_experts": "1,1/1,1/1,1"}, r"task_experts: 3 values for 2 levels"),
        ({"task_expert_hidden": "6/6/6"}, r"task_expert_hidden: 3 values for 2 tasks"),
        ({"level_hidden": "6/6/6"}, r"level_hidden: widths of 3 levels for 2\. Give one, or 2, separated by /"),
        ({"task_experts": "2,0/2,2", "shared_experts": 0}, r"level 1 leaves task 1 \(counted from 0\) without any expert"),
        ({"task_experts": "0", "shared_experts": "2,0"}, r"level 2 leaves task 0, 1 \(counted from 0\) without any expert"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(InputError, match=message) as caught:
        PLE(5, levels(**settings))
    assert len(caught.value.problems) == 1


def test_experts_of_one_level_end_in_the_same_width():
    with pytest.raises(InputError, match=r"experts of one level must end in the same width.*found \[5, 6\]"):
        PLE(5, [Level((1, 1), 1, (6,), ((5,), (6,)))])


UNEVEN = Level((2, 1), 2, (6, 4))


def test_a_level_lists_its_groups_and_what_each_gate_sees():
    """Experts 0 and 1 are the first task's, 2 is the second's, 3 and 4 are shared."""
    assert UNEVEN.experts == 5
    assert [group.experts for group in UNEVEN.groups()] == [2, 1, 2]
    assert UNEVEN.seen() == [(0, 1, 3, 4), (2, 3, 4)]
    assert Level((0, 2), 1, (6,)).seen() == [(2,), (0, 1, 2)]


def test_experts_of_a_task_can_have_widths_of_their_own():
    level = Level((1, 1), 2, (6, 4), ((4,), (5, 4)))
    assert [tuple(group.hidden) for group in level.groups()] == [(4,), (5, 4), (6, 4)]


def everything(level: Level) -> tuple[int, ...]:
    return tuple(range(level.experts))


def test_the_last_level_has_no_shared_gate_and_the_one_below_has():
    levels = [UNEVEN, Level((1, 1), 1, (4,))]
    seen = [[*level.seen(), everything(level)] for level in levels]
    (below, gates_below), (above, gates_above) = wiring(levels, seen, own_gate_input=False)
    assert [group.experts for group in below] == [2, 1, 2]
    assert gates_below == [(0, 1, 3, 4), (2, 3, 4), (0, 1, 2, 3, 4)]
    assert [group.experts for group in above] == [1, 1, 1]
    assert gates_above == [(0, 2), (1, 2)], "nothing reads a shared gate of the last level"


def test_a_shared_gate_is_not_made_where_no_shared_expert_reads_it():
    levels = [UNEVEN, Level((1, 2), 0, (4,))]
    seen = [[*level.seen(), everything(level)] for level in levels]
    (_, gates_below), (above, gates_above) = wiring(levels, seen, own_gate_input=False)
    assert gates_below == [(0, 1, 3, 4), (2, 3, 4)]
    assert [group.experts for group in above] == [1, 2], "no shared group"
    assert gates_above == [(0,), (1, 2)]


@pytest.mark.parametrize(("own_gate_input", "first"), [(False, (0, 1, 3, 4)), (True, ())])
def test_a_task_without_experts_above_is_read_by_its_gate_alone(own_gate_input: bool, first: tuple[int, ...]):
    """Above, the first task has no expert: its gate reads what its unit gives below, unless gates read an input of their own."""
    levels = [UNEVEN, Level((0, 1), 2, (4,))]
    seen = [[*level.seen(), everything(level)] for level in levels]
    (_, gates_below), _ = wiring(levels, seen, own_gate_input)
    assert gates_below[0] == first
    assert gates_below[1:] == [(2, 3, 4), (0, 1, 2, 3, 4)]


def test_a_gate_without_a_choice_reads_nothing():
    """Above, the first task sees the one shared expert alone: it has no choice, so its gate reads nothing."""
    levels = [UNEVEN, Level((0, 1), 1, (4,))]
    seen = [[*level.seen(), everything(level)] for level in levels]
    (_, gates_below), _ = wiring(levels, seen, own_gate_input=False)
    assert gates_below[0] == ()


def test_the_first_level_reads_x_and_the_others_what_is_below_them():
    levels = [Level((1, 1), 1, (6, 4)), Level((1, 1), 1, (3,))]
    seen = [[*level.seen(), everything(level)] for level in levels]
    first, second = mixtures(7, levels, seen, PLAIN)
    assert first(rows(5, 7).float())[0].shape == (5, 3, 4)
    assert second(torch.zeros(5, 3, 4))[0].shape == (5, 3, 3)


def test_a_level_without_an_expert_is_named():
    check_experts([Level((0, 0), 1, (6,)), Level((1, 0), 0, (6,))])
    with pytest.raises(InputError, match=r"level 2 has no expert\. Give it at least one"):
        check_experts([UNEVEN, Level((0, 0), 0, (6,))])
    check_levels([UNEVEN])
    with pytest.raises(InputError, match=r"level 1 leaves task 0, 1 \(counted from 0\) without any expert"):
        check_levels([Level((0, 0), 0, (6,)), UNEVEN])


def test_one_value_serves_all_and_another_count_is_named():
    assert spread("top_k", (3,), 4, "level") == (3, 3, 3, 3)
    assert spread("top_k", [1, 2], 2, "level") == (1, 2)
    with pytest.raises(InputError, match=r"top_k: 2 values for 3 tasks, found \[1, 2\]\. Give one, or 3\."):
        spread("top_k", [1, 2], 3, "task")
