"""A calibration and a fusion on disk that replace the model's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exported import Exported
from manygate.errors import InputError
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.fusion import Fusion, Term
from manygate.serving.corrections import Corrections, number_of, read_corrections
from manygate.serving.feeds import Feed
from manygate.serving.rank import read_rank
from manygate.serving.versions import Version
from served import as_json, funnel_rows

CALIBRATION = Calibration(
    {"click": Calibrator("isotonic", {"x": [0.2, 0.6], "y": [0.1, 0.9]}), "like": Calibrator("platt", {"a": 0.7, "b": 0.3})}
)
FUSION = Fusion({"click_like": 2.0}, (Term("price", "power", 0.5), Term("item", "log", 0.1)), name="mine")
NO_FUSION = Fusion({}, name="mine")


def feed_of(version: Version, rows: int = 24) -> Feed:
    candidates = as_json(funnel_rows(rows), version.model.features)
    return read_rank({"candidates": candidates, "by": "click"}, version.inputs, version.outputs, version.score, 100).feed


@pytest.mark.parametrize(
    ("calibration", "fusion"),
    [(CALIBRATION, None), (None, FUSION), (CALIBRATION, FUSION), (None, NO_FUSION), (CALIBRATION, NO_FUSION), (None, None)],
)
def test_corrections_give_what_the_predictor_gives(
    exported: Exported, calibration: Calibration | None, fusion: Fusion | None
) -> None:
    corrections = Corrections(calibration, fusion)
    corrections.check(exported.model.manifest)
    version = Version(exported.model, "one", corrections)
    predictor = exported.predictor
    predictor = replace(predictor, calibration=calibration or predictor.calibration, fusion=fusion or predictor.fusion)
    expected = predictor.predict(funnel_rows())
    columns, _ = version.predict(feed_of(version))
    assert list(columns) == version.outputs == predictor.output_names == expected.column_names
    assert version.score == ("score" if fusion is None else "mine" if fusion.active else None)
    for name, column in columns.items():
        np.testing.assert_allclose(column, expected[name].to_numpy(), rtol=2e-5, atol=1e-6, err_msg=name)


def test_the_number_of_a_null_id_is_missing(exported: Exported) -> None:
    version = Version(exported.model, "one")
    feed = feed_of(version)
    expected = [np.nan if value is None else float(value) for value in funnel_rows()["item"].to_pylist()]
    np.testing.assert_array_equal(number_of("item", feed, version.inputs), expected)


def test_everything_that_does_not_fit_is_one_error(exported: Exported) -> None:
    wrong = Corrections(
        Calibration({"age": Calibrator("platt", {"a": 1.0, "b": 0.0})}),
        Fusion({"clik": 1.0}, (Term("word", "log", 1.0), Term("none", "log", 1.0)), name="like"),
    )
    with pytest.raises(InputError) as caught:
        wrong.check(exported.model.manifest)
    text = str(caught.value)
    for part in ("no binary task 'age'", "no output 'clik'", "'word' is no number", "'none' is no number", "named 'like'"):
        assert part in text
    assert len(caught.value.problems) == 5
    with pytest.raises(InputError, match="has no task"):
        Corrections(Calibration({})).check(exported.model.manifest)


def test_files_are_read_and_named_in_errors(tmp_path: Path) -> None:
    calibration, fusion = tmp_path / "calibration.json", tmp_path / "fusion.json"
    calibration.write_text(CALIBRATION.to_json())
    fusion.write_text(FUSION.to_json())
    assert read_corrections(calibration, fusion) == Corrections(CALIBRATION, FUSION)
    assert read_corrections(None, None) == Corrections()
    calibration.write_text("{")
    fusion.write_text('{"fusion_version": 1}')
    with pytest.raises(InputError) as caught:
        read_corrections(calibration, fusion)
    assert "calibration.json" in str(caught.value)
    assert "fusion.json" in str(caught.value)
