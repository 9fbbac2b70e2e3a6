"""What the rows of a log looked like stands in the manifest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from exported import FUNNEL, Exported, draw, funnel_log
from manygate.export.log_reference import log_reference
from manygate.scoring.reference import Bins, psi, shares


def test_every_served_feature_and_every_output(exported: Exported) -> None:
    batch = pa.record_batch(funnel_log() | {"other": draw([1.0, 2.0], pa.float64(), 3)})
    found = log_reference(exported.model, exported.predictor.encoder, batch)
    assert found is not None
    assert found["rows"] == 120
    assert list(found["features"]) == [f.name for f in FUNNEL.served_features]
    assert list(found["outputs"]) == exported.model.output_names
    kinds = {f.name: set(found["features"][f.name]) for f in FUNNEL.served_features}
    assert kinds["item"] == {"null", "unseen", "rows", "shares"}
    assert kinds["age"] == {"null", "cuts", "shares"}
    assert kinds["tags"] == {"null", "unseen"}
    for name in ("item", "age", "large"):
        assert found["features"][name]["null"] == batch.column(name).null_count / 120
    empty = sum(1 for value in batch.column("tags").to_pylist() if not value)
    assert found["features"]["tags"]["null"] == empty / 120
    assert len(found["features"]["item"]["rows"]) == 3
    clicks = exported.model.columns(batch)["click"]
    click = found["outputs"]["click"]
    np.testing.assert_allclose(shares(Bins(tuple(click["cuts"])).count(clicks)), click["shares"])
    assert psi(click["shares"], shares(Bins(tuple(click["cuts"])).count(clicks / 4))) > 0.25


def test_unseen_ids_are_a_share_of_the_ids(exported: Exported) -> None:
    log = funnel_log() | {"item": pa.array([99] * 60 + [None] * 60), "other": draw([1.0], pa.float64(), 3)}
    found = log_reference(exported.model, exported.predictor.encoder, pa.record_batch(log))
    assert found is not None
    assert found["features"]["item"] == {"null": 0.5, "unseen": 1.0, "rows": [1], "shares": [1.0, 0.0]}


def test_no_rows_are_no_reference(exported: Exported) -> None:
    batch = pa.record_batch(funnel_log() | {"other": draw([1.0], pa.float64(), 3)})
    assert log_reference(exported.model, exported.predictor.encoder, batch.slice(0, 0)) is None
