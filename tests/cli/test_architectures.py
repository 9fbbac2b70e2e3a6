"""``manygate architectures`` on the command line."""

from __future__ import annotations

from pathlib import Path

from command_line import Run, refused


def test_a_scheme_without_a_log_has_the_parameters_by_hand(run: Run) -> None:
    command = "architectures --names single_task --columns 10 --labels 2 --bottom-hidden 4 --tower-hidden 3 --json"
    document = run(command).json
    (row,) = document["architectures"]
    a_task = (10 * 4 + 4) + (4 * 3 + 3) + (3 * 1 + 1)
    assert (document["inputs"], row["name"]) == ("10 numbers, 2 tasks", "single_task")
    assert row["network_parameters"] == 2 * a_task


def test_a_log_decides_the_inputs(run: Run, log: Path) -> None:
    result = run("architectures", log, "--names shared_bottom,mmoe")
    assert result.code == 0
    assert "11 features, 4 tasks" in " ".join(result.out.split())
    assert "mmoe" in result.out


def test_a_scheme_that_cannot_be_had_is_listed_with_its_reason_as_a_flag(run: Run) -> None:
    command = "architectures --names omoe,tensor_factorization --tucker-ranks 9999,1,1 --columns 10"
    rows = {row["name"]: row for row in run(command, "--json").json["architectures"]}
    assert rows["omoe"]["problem"] is None
    assert "--tucker-ranks: " in rows["tensor_factorization"]["problem"]
    refused(run(command.replace("omoe,", "")), "tensor_factorization", "--tucker-ranks: ")
    refused(run("architectures --columns 0"), "--columns and --labels: need at least 1 each; found 0 and 2")
