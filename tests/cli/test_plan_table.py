"""The table of a plan."""

from __future__ import annotations

from dataclasses import replace

from manygate.cli.plan_table import show_estimate
from manygate.runs.estimate import Cluster, Estimate, Rates

FOUND = Estimate(
    rows=10**9,
    training_rows=8 * 10**8,
    batch=1024,
    replicas=2,
    rates=Rates(rows=200_000, training_rows=160_000, encoding=6e5, reading=3e6, training=2.5e5, row_bytes=76.0),
    cluster=Cluster(),
    network_parameters=90_000,
    table_parameters=10**9,
    tables={f"feature_{n}": (n, 100 * n) for n in range(1, 12)},
    memory=5e10,
    model_memory=4e10,
    exchange=3e6,
)


def test_one_machine_exchanges_nothing(capsys) -> None:
    show_estimate(FOUND, epochs=3)
    shown = " ".join(capsys.readouterr().out.split())
    assert "a process receives" not in shown
    assert "encoded rows 76 GB measured on 200,000 rows" in shown
    assert "rows of feature_11 1,100 11 in the sample" in shown
    assert "feature_2 " not in shown, "the largest tables are enough"


def test_several_machines_do(capsys) -> None:
    show_estimate(replace(FOUND, cluster=Cluster(machines=2, processes=4)), epochs=3)
    shown = " ".join(capsys.readouterr().out.split())
    assert "a process receives in a step 3.0 MB" in shown
    assert "Each process encodes the whole log" in shown
