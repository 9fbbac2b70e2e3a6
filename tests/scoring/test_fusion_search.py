"""The search against brute force over directions; fixed seeds; objectives; what cannot be searched."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

from manygate.errors import InputError
from manygate.metrics.ranking import Visits
from manygate.report.fusion import render_search
from manygate.scoring.fusion import Fusion, log_factor
from manygate.scoring.fusion_search import Judge, Judged, Objective, Plan, found_fusion, plan_search, search

KINDS = {"click": "binary", "buy": "binary", "watch": "regression"}


def judged(rows: int = 3000, seed: int = 0) -> Judged:
    """Predictions that each know a part of two outcomes; buy and watch are null where no click was."""
    random = np.random.default_rng(seed)
    taste, need, time = random.normal(size=(3, rows))
    p_click, p_buy = 1 / (1 + np.exp(1 - taste)), 1 / (1 + np.exp(1.5 - need))
    click = random.random(rows) < p_click
    buy = click & (random.random(rows) < p_buy)
    watch = np.where(click, np.exp(0.5 * time + 1), 0.0)
    noisy = lambda p: np.clip(p * np.exp(0.3 * random.normal(size=rows)), 0, 1)  # noqa: E731
    return Judged(
        columns={"click": noisy(p_click), "buy": noisy(p_buy), "watch": np.exp(0.4 * time + 1)},
        labels={"click": click * 1.0, "buy": np.where(click, buy, 77.0), "watch": watch},
        weights={"click": np.ones(rows), "buy": click * 1.0, "watch": click * 1.0},
        group_N=random.integers(0, rows // 8, rows),
        features={"age": random.random(rows), "gap": np.where(random.random(rows) < 0.2, np.nan, taste)},
    )


ROWS = judged()


def plan(*texts: str, **more: Any) -> Plan:
    return plan_search(texts, KINDS, [*KINDS, "click_buy"], **more)


def best_of_grid(rows: Judged, objectives: tuple[Objective, ...], steps: int = 20) -> float:
    """The best weighted sum over all directions with multiples of 1/steps, each objective in units of its task alone."""
    judge, names = Judge(rows, objectives), list(rows.columns)
    task_alone = [judge(rows.columns[entry.task])[m] for m, entry in enumerate(objectives)]
    grid = [w for w in itertools.product(range(steps + 1), repeat=len(names)) if sum(w) == steps]
    logs = np.column_stack([np.log(np.maximum(rows.columns[name], 1e-12)) for name in names])
    return max(
        sum(
            entry.weight * value / unit
            for entry, value, unit in zip(objectives, judge(logs @ np.array(w)), task_alone, strict=True)
        )
        for w in grid
    )


@pytest.mark.parametrize(
    ("texts", "sampler", "trials"),
    [
        (("buy/ndcg",), "tpe", 100),
        (("watch/gain@3",), "tpe", 100),
        (("click/gauc",), "tpe", 100),
        (("buy/ndcg@3=1", "watch/gain@3=0.5"), "tpe", 100),
        (("click/ndcg", "watch/ndcg"), "tpe", 100),
        (("buy/ndcg",), "gp", 20),
        (("click/ndcg", "watch/ndcg"), "gp", 15),
    ],
)
def test_what_is_found_is_within_two_percent_of_the_best(texts: tuple[str, ...], sampler: Any, trials: int) -> None:
    wanted = plan(*texts, trials=trials, sampler=sampler, seed=1)
    result = search(ROWS, wanted)
    trials_of, best = result.trials[result.chosen].total, best_of_grid(ROWS, wanted.objectives)
    print(f"{sampler} {' '.join(texts)}: {trials_of / best:.4f} of the best of a grid")
    assert trials_of >= 0.98 * best


def test_the_same_seed_gives_the_same_result() -> None:
    def result_of(sampler: str, trials: int, seed: int) -> dict[str, Any]:
        return search(ROWS, plan("click/ndcg", "watch/gain@2", features=["age:power"], trials=trials, sampler=sampler, seed=seed))

    for sampler, trials in (("tpe", 30), ("gp", 12)):
        state = np.random.get_state()[1].copy()  # noqa: NPY002 - to see that it is left alone
        assert result_of(sampler, trials, 5) == result_of(sampler, trials, 5)
        assert (state == np.random.get_state()[1]).all()  # noqa: NPY002
    assert result_of("tpe", 30, 5).trials != result_of("tpe", 30, 6).trials


def test_what_the_result_says() -> None:
    wanted = plan("buy/ndcg=2", "watch/gain@3", factors=["click", "buy"], features=["gap:sigmoid"], trials=40)
    result = search(ROWS, wanted)
    visits = Visits(ROWS.group_N)
    gain = np.where(ROWS.weights["buy"] > 0, ROWS.labels["buy"], 0.0)
    judge = Judge(ROWS, wanted.objectives)
    assert result.alone["click"][0] == pytest.approx(visits.ranked(ROWS.columns["click"]).ndcg(gain), rel=1e-12)
    task_alone = [entry.task_alone for entry in result.objectives]
    assert task_alone[1] == visits.ranked(np.log(ROWS.columns["watch"])).gain(ROWS.labels["watch"] * ROWS.weights["watch"], 3)
    assert [entry.random for entry in result.objectives] == judge(np.zeros(len(gain)))
    for trial in result.trials:
        assert max(map(abs, trial.weights)) == 1.0
        np.testing.assert_allclose(trial.total, 2 * trial.values[0] / task_alone[0] + trial.values[1] / task_alone[1])
        fusion = found_fusion(result.model_copy(update={"chosen": result.trials.index(trial)}))
        np.testing.assert_allclose(judge(fusion.log_score(ROWS.columns, ROWS.features)), trial.values, rtol=1e-9)
    assert result.trials[0].weights == [1.0, 0.0, 0.0]
    assert result.trials[2].weights == [1.0, 1.0, 0.0]
    totals = [trial.total for trial in result.trials]
    assert result.chosen == int(np.argmax(totals))
    assert result.trials[result.chosen].front, "the best weighted sum is beaten by no other"
    worst = [entry.random / entry.task_alone for entry in result.objectives]
    point = np.array(result.trials[result.chosen].values) / task_alone - worst
    assert result.hypervolume >= np.prod(point) > 0
    fusion = found_fusion(result, "rank", "a note", log="valid")
    assert isinstance(fusion, Fusion)
    assert (fusion.name, fusion.note, fusion.made["log"], fusion.made["trials"]) == ("rank", "a note", "valid", 40)
    assert fusion.made["objectives"] == {"buy/ndcg": 2.0, "watch/gain@3": 1.0}


def test_rows_outside_a_sample_space_are_gain_zero_and_gauc_leaves_them_out() -> None:
    rows = Judged(
        columns={"buy": np.array([0.9, 0.5, 0.1])},
        labels={"buy": np.array([1.0, 1.0, 0.0])},
        weights={"buy": np.array([0.0, 1.0, 1.0])},
        group_N=np.array([1, 1, 1]),
        features={},
    )
    assert Judge(rows, plan("buy/ndcg", "buy/gain@2", "buy/gauc").objectives)(rows.columns["buy"]) == pytest.approx(
        [1 / np.log2(3), 0.5, 1.0]
    )


def test_any_column_may_be_a_factor() -> None:
    rows = judged(800)
    joint = {**rows.columns, "click_buy": rows.columns["click"] * rows.columns["buy"]}
    both = Judged(joint, rows.labels, rows.weights, rows.group_N, rows.features)
    result = search(both, plan("buy/ndcg", factors=["click_buy", "watch"], trials=10))
    assert set(result.alone) == {"click_buy", "watch"}
    assert log_factor(joint["click_buy"]).shape == (800,)


def test_the_page_shows_the_surface() -> None:
    two = search(ROWS, plan("buy/ndcg=2", "watch/gain@3", features=["age:log"], trials=30))
    page = render_search(two.model_copy(update={"log": "<b>log</b>"}))
    assert page.count("<svg") == 1
    assert "&lt;b&gt;log&lt;/b&gt;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    for part in ("buy/ndcg", "watch/gain@3", "click alone", "a random order", "log(age)", "hypervolume"):
        assert part in page
    assert page == render_search(two.model_copy(update={"log": "<b>log</b>"}))
    entry = search(ROWS, plan("buy/ndcg", factors=["buy"], trials=5))
    assert "buy/ndcg by trial" in render_search(entry)
    three = search(ROWS, plan("buy/ndcg", "click/gauc", "watch/gain", trials=20))
    assert render_search(three).count("<svg") == 3


# --- what cannot be ---------------------------------------------------------------------------------------------------------------


def test_every_problem_of_a_plan_is_listed() -> None:
    wishes = ["clik/ndcg", "buy/ndgcg@5", "watch/gauc", "click", "buy/gain@0", "buy/ndcg=0", "click/gauc@3", "buy/ndcg=x"]
    more = {"factors": ["clik", "buy", "buy"], "features": ["age:lgo", "age", "gap:log=1"], "trials": 2, "seed": -1}
    with pytest.raises(InputError) as error:
        plan(*wishes, sampler="random", **more)
    trials_of = error.value.problems
    for part in (
        "no task 'clik'. Did you mean 'click'?",
        "no metric 'ndgcg@5'. Did you mean 'ndcg",
        "gauc needs a binary task; 'watch' is a regression",
        "'click': expected TASK/METRIC",
        "@0 must be at least 1",
        "its weight must be a number above 0, found '0'",
        "no metric 'gauc@3'",
        "'x' is not a number",
        "objective='buy/ndcg': given twice",
        "8 given; a search takes 4 at most",
        "no prediction 'clik'. Did you mean 'click'",
        "'buy' is given twice as a factor",
        "unknown transform 'lgo'",
        "feature='age' has no transform",
        "'age' is given twice as a factor",
        "the search determines the weight. Write gap:log.",
        "trials=2",
        "sampler='random'",
        "seed=-1",
    ):
        assert sum(part in problem for problem in trials_of) == 1, part
    assert len(trials_of) == 19
    with pytest.raises(InputError, match="no objective is given"):
        plan()


def test_rows_that_cannot_be_searched() -> None:
    single = Judged(ROWS.columns, ROWS.labels, ROWS.weights, np.arange(3000), ROWS.features)
    with pytest.raises(InputError, match="no visit has several rows"):
        search(single, plan("click/ndcg"))
    negative = Judged(ROWS.columns, {**ROWS.labels, "watch": -ROWS.labels["watch"]}, ROWS.weights, ROWS.group_N, {})
    with pytest.raises(InputError, match="ndcg needs labels of at least 0"):
        search(negative, plan("watch/ndcg"))
    with pytest.raises(InputError, match="divides by it"):
        search(negative, plan("watch/gain@2"))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_without_the_extra_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch, sampler: Any) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'manygate\[tune\]'"):
        plan("click/ndcg", sampler=sampler)


def test_a_features_weight_may_be_negative_and_a_predictions_never_is() -> None:
    """Rows are bought the more, the smaller their price, and the prediction knows nothing: only a negative weight ranks them."""
    random = np.random.default_rng(0)
    price, visits = random.uniform(1, 100, 400), np.repeat(np.arange(40), 10)
    buy = (price < 40).astype(float)
    noise = np.clip(random.random(400), 0.01, 0.99)
    rows = Judged({"buy": noise}, {"buy": buy}, {"buy": np.ones(400)}, visits, {"price": price})
    wanted = plan_search(["buy/ndcg"], {"buy": "binary"}, ["buy"], features=["price:none"], trials=60)
    result = search(rows, wanted)
    weights = np.array([trial.weights for trial in result.trials])
    assert (weights[:, 0] >= 0).all()
    assert (weights[:, 1] < 0).any()
    assert (weights[:, 1] > 0).any()
    chosen = result.trials[result.chosen]
    assert chosen.weights[1] < 0
    assert chosen.values[0] > 0.99
    fusion = found_fusion(result)
    assert fusion.terms[0].weight < 0
    low, high = fusion.score({"buy": np.array([0.5, 0.5])}, {"price": np.array([10.0, 90.0])})
    assert low > high
