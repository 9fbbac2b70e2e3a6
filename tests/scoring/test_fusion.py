"""The fused score against the product it stands for; its file; what cannot be a fusion."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.errors import InputError
from manygate.files import check_manifest, write_manifest
from manygate.scoring.fusion import LARGEST_LOG, TRANSFORMS, Fusion, Term, parse_fusion, read_fusion, write_fusion

DIRECT = {
    "log": lambda x: np.log1p(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "power": lambda x: 1 + x,
    "none": lambda x: x,
}
weights = st.floats(-3, 3).map(lambda w: round(w, 3))


def refused(*arguments: Any, **more: Any) -> list[str]:
    with pytest.raises(InputError) as error:
        parse_fusion(*arguments, **more)
    return list(error.value.problems)


@given(st.data())
def test_the_score_is_the_product(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 8))
    column = lambda low, high: np.array(data.draw(st.lists(st.floats(low, high), min_size=rows, max_size=rows)))  # noqa: E731
    columns = {"click": column(1e-6, 1), "click_buy": column(1e-6, 1), "watch": column(0.01, 500)}
    features = {"duration": column(0.1, 1000), "price": column(0.1, 30)}
    given_ = {name: data.draw(weights) for name in columns}
    terms = [Term(name, data.draw(st.sampled_from(sorted(DIRECT))), data.draw(weights)) for name in features]
    if not any([*given_.values(), *(term.weight for term in terms)]):
        given_["click"] = 1.0
    direct = np.prod([columns[name] ** weight for name, weight in given_.items()], axis=0)
    direct = direct * np.prod([DIRECT[t.transform](features[t.feature]) ** t.weight for t in terms], axis=0)
    fusion = Fusion(given_, tuple(terms))
    np.testing.assert_allclose(fusion.score(columns, features), direct, rtol=1e-6)
    np.testing.assert_allclose(np.exp(fusion.log_score(columns, features)), direct, rtol=1e-6)


def test_by_hand() -> None:
    fusion = parse_fusion("click=2,buy=0.5", ["duration:log=1", "age:power=-1", "price:none=1", "bias:sigmoid=1"])
    columns = {"click": np.array([0.5]), "buy": np.array([0.25])}
    features = {"duration": [np.e - 1], "age": [3.0], "price": [2.0], "bias": [0.0]}
    np.testing.assert_allclose(fusion.score(columns, features), [0.25 * 0.5 * 1 / 4 * 2 * 0.5])


@pytest.mark.parametrize("weight", [50.0, 1.0, -1.0, -50.0])
def test_certainties_negative_values_and_gaps_stay_finite(weight: float) -> None:
    fusion = Fusion({"click": weight, "watch": weight}, tuple(Term(name, name, weight) for name in TRANSFORMS))
    columns = {"click": np.array([0.0, 1.0, 0.5]), "watch": np.array([-4.0, 0.0, 1e30])}
    features = {name: np.array([-1e300, np.inf, np.nan]) for name in TRANSFORMS}
    score = fusion.score(columns, features)
    assert np.isfinite(score).all()
    assert (score > 0).all()
    assert np.isfinite(fusion.log_score(columns, features)).all()
    assert abs(np.log(score)).max() <= LARGEST_LOG + 1e-9


def test_numbers_of_numpy_are_numbers() -> None:
    fusion = parse_fusion({"click": np.int64(2), "buy": np.float32(0.5)})
    assert fusion == Fusion({"click": 2.0, "buy": 0.5})
    assert json.loads(fusion.to_json())["weights"] == {"click": 2.0, "buy": 0.5}


def test_a_missing_feature_is_the_factor_one() -> None:
    fusion = Fusion({"click": 1.0}, (Term("price", "log", 3.0),))
    np.testing.assert_allclose(fusion.score({"click": [0.3, 0.3]}, {"price": [np.nan, np.e - 1]}), [0.3, 0.3])


@given(st.floats(0.01, 20), st.lists(st.floats(0.001, 0.999), min_size=2, max_size=9))
def test_scaled_weights_keep_the_order(scale: float, click: list[float]) -> None:
    columns = {"click": np.array(click), "buy": np.array(click[::-1])}
    one, two = (Fusion({"click": 0.7 * by, "buy": 0.2 * by}).log_score(columns, {}) for by in (1.0, scale))
    np.testing.assert_allclose(two, scale * one, rtol=1e-9, atol=1e-12)


# --- what cannot be ---------------------------------------------------------------------------------------------------------------


def test_every_problem_is_listed() -> None:
    found = refused("clik=1,buy=nan,like,a=x,buy=2", ["duration:lgo=1", "price=2", "age:log"], columns=["click", "buy"])
    for part in (
        "'like' has no weight. Write it as NAME=NUMBER",
        "'a=x': 'x' is not a number",
        "'buy' is named twice",
        "feature='price' has no transform",
        "feature='age:log' has no weight",
        "no prediction 'clik'. Did you mean 'click'? There are click, buy.",
        "no prediction 'a'.",
        "the weight of buy must be a finite number, found nan",
        "unknown transform 'lgo'. Did you mean 'log'? Choose log, sigmoid, power, none.",
    ):
        assert sum(part in problem for problem in found) == 1, part
    assert len(found) == 9


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("click=0,buy=0.0",), "all weights are zero"),
        (("click=inf",), "finite number, found inf"),
        (("", ["a:log=1", "a:power=1"]), "'a' is named twice"),
        (({"click": "1"},), "finite number, found '1'"),
        (({"click": True},), "finite number, found True"),
    ],
)
def test_what_is_no_fusion(given_: Any, message: str) -> None:
    assert any(message in problem for problem in refused(*given_))


def test_the_score_needs_a_name_of_its_own() -> None:
    with pytest.raises(InputError, match="cannot be named 'click'"):
        Fusion({"click": 1.0}, name="click").check(["click", "buy"])
    with pytest.raises(InputError, match="needs a name"):
        Fusion({"click": 1.0}, name="")


def test_none_is_a_fusion_that_was_taken_out() -> None:
    first = Fusion({"click": 1.0})
    removed = Fusion({}).after(first)
    assert not removed.active
    assert (removed.version, first.after(removed).version, first.after(None).version) == (2, 3, 1)
    removed.check(["score"])


# --- the file --------------------------------------------------------------------------------------------------------------------


def test_the_file_keeps_everything(tmp_path: Any) -> None:
    write_manifest(tmp_path, {})
    fusion = Fusion({"click": 1 / 3}, (Term("price", "log", -0.1),), "rank", 7, "for the feed", {"how": "by hand"})
    write_fusion(tmp_path, fusion)
    assert read_fusion(tmp_path) == fusion
    check_manifest(tmp_path)
    tree = json.loads((tmp_path / "fusion.json").read_text())
    assert tree["features"] == [{"feature": "price", "transform": "log", "weight": -0.1}]
    assert (tree["version"], tree["fusion_version"]) == (7, 1)
    (tmp_path / "fusion.json").unlink()
    assert read_fusion(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusion_version": 9}, "fusion version 9, not 1"),
        ({"weights": {"click": None}}, "finite number, found None"),
        ({"weights": {"click": 0}}, "all weights are zero"),
        ({"features": [{"feature": "a", "transform": "exp", "weight": 1}]}, "unknown transform 'exp'"),
        ({"features": [{"feature": "a"}]}, "not a fusion"),
        ({"weights": 3}, "not a fusion"),
    ],
)
def test_a_file_that_is_none(tmp_path: Any, change: dict[str, Any], message: str) -> None:
    tree = json.loads(Fusion({"click": 1.0}).to_json())
    (tmp_path / "fusion.json").write_text(json.dumps({**tree, **change}))
    with pytest.raises(InputError, match=message) as error:
        read_fusion(tmp_path)
    assert "fusion.json" in str(error.value)
