"""``manygate export``: write a trained model as a folder for ONNX Runtime that takes raw features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.streams import print_json, say
from manygate.text import count_of

if TYPE_CHECKING:
    from manygate.export.folder import Export


def export(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[
        str | None,
        Parameter(help="Rows on which the exported model is compared with the run. Default: the run's own validation rows."),
    ] = None,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
    raw: Annotated[bool, Parameter(help="The model's own predictions: no calibration and no fused score.")] = False,
    context: Annotated[
        tuple[str, ...],
        Parameter(help="Features of the user or the request, beside those of the schema. They are given once for all candidates."),
    ] = (),
    triton: Annotated[Path | None, Parameter(help="Model repository of a Triton server, to write the model to as well.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace an exported model at --out.")] = False,
    json: Json = False,
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Write a trained model as a folder for ONNX Runtime: raw features in, calibrated predictions out, no Python needed.

    The graph looks up ids, scales numbers, and averages all replicas. It is compared with the run before the folder appears.

    Example: manygate export runs/mmoe --out model
    """
    ranker = load_ranker(run, "cpu", import_, csv_settings(csv))
    done = ranker.export(out, log, raw=raw, overwrite=overwrite, context=context, triton=triton)
    if json:
        print_json(done.to_tree())
    else:
        _show(run, done)


def _show(run: Path, done: Export) -> None:
    mean = "" if done.replicas == 1 else f", the mean of {count_of(done.replicas, 'replica')}"
    say(f"exported {run} to {done.folder}: {count_of(len(done.inputs), 'feature')} in, {', '.join(done.outputs)} out{mean}")
    if done.context:
        say(f"once for all candidates of a request: {', '.join(done.context)}")
    if done.triton:
        say(f"a model of a Triton repository: {done.triton}")
    rows = f"{done.hostile.rows:,} difficult rows" + (f" and {done.log.rows:,} rows of the log" if done.log else "")
    say(f"compared with the run on {rows}: the largest difference is {done.largest:.1e}")
    if done.log is None:
        say("no rows of a log were compared, because the run's own log is not at hand. Name one to compare with it.")
    if done.rounded:
        say(f"{count_of(done.rounded, 'row')} differ by more than 1e-6 (values: 1e-5 of their size), as float32 rounds")
    if done.at_jumps:
        rows = count_of(done.at_jumps, "row")
        say(f"{rows} at a tie of a gate or a jump of a calibration had another answer, as right as the run's")
