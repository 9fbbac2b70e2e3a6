"""``manygate dataset``: ready-made data sets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from manygate.cli.flags import Json
from manygate.cli.streams import print_json, say
from manygate.errors import InputError

if TYPE_CHECKING:
    from manygate.datasets import WrittenDataset

dataset_app = App(name="dataset", help="Write a ready-made data set: ordinary Parquet (train, valid, test) and schema.yaml.")


@dataset_app.command(name="census")
def dataset_census(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
    group: Annotated[Literal["income", "education"], Parameter(help="Main task; the other is never_married.")] = "income",
    data_dir: Annotated[Path | None, Parameter(help="Folder with the two UCI files. Default: download them.")] = None,
    seed: Annotated[int, Parameter(help="Seed of the validation/test split.")] = 0,
    overwrite: Annotated[bool, Parameter(help="Replace what is in --out.")] = False,
    json: Json = False,
) -> None:
    """Write UCI Census-Income (KDD) as the MMoE paper uses it (section 6.3): 38 inputs, two tasks.

    Example: manygate dataset census --group income --data-dir downloads --out census
    """
    from manygate import datasets

    _show(datasets.census(group, out, data_dir=data_dir, seed=seed, overwrite=overwrite), json)


@dataset_app.command(name="impressions")
def dataset_impressions(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
    rows: Annotated[int, Parameter(help="Impressions.")] = 100_000,
    relatedness: Annotated[
        str,
        Parameter(
            help="Cosine between click's and each other task's preferences, -1 to 1; or one each for like, watch_time, buy.",
            allow_leading_hyphen=True,
        ),
    ] = "0.5",
    turnover: Annotated[float, Parameter(help="Share of the test rows whose item is younger than training, 0 to 0.9.")] = 0.0,
    buy_spread: Annotated[float, Parameter(help="Standard deviation of buy's logit: how predictable buy is.")] = 1.8,
    seed: Annotated[int, Parameter(help="Seed.")] = 0,
    overwrite: Annotated[bool, Parameter(help="Replace what is in --out.")] = False,
    json: Json = False,
) -> None:
    """Write a seeded impression log with click, like, watch_time and buy, and the true probabilities beside it.

    Example: manygate dataset impressions --rows 200000 --relatedness -0.5 --out log
    """
    from manygate import datasets

    cosines = _numbers("--relatedness", relatedness)
    related = cosines[0] if len(cosines) == 1 else cosines
    _show(datasets.impressions(out, rows, related, seed, overwrite, turnover, buy_spread), json)


@dataset_app.command(name="log", show=False)
def dataset_log(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Refuse the former name of ``manygate dataset impressions``."""
    raise InputError("manygate dataset log is now manygate dataset impressions. The flags are the same.")


@dataset_app.command(name="synthetic")
def dataset_synthetic(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
    correlation: Annotated[
        str, Parameter(help="Cosine of the tasks' vectors, -1 to 1; or a matrix of them, 1,0.5/0.5,1.", allow_leading_hyphen=True)
    ] = "0.5",
    rows: Annotated[int, Parameter(help="Rows in all.")] = 10_000,
    tasks: Annotated[int, Parameter(help="Number of tasks.")] = 2,
    inputs: Annotated[int, Parameter(help="Number of inputs.")] = 100,
    scale: Annotated[float, Parameter(help="Length of the tasks' vectors, the paper's c.")] = 1.0,
    alpha: Annotated[str, Parameter(help="Frequency of each sine, separated by commas.")] = "1,2,3,4,5",
    beta: Annotated[str | None, Parameter(help="Phase of each sine. Default: pi/4, 2 pi/4, and so on.")] = None,
    noise_var: Annotated[float, Parameter(help="Variance of the noise.")] = 0.01,
    seed: Annotated[int, Parameter(help="Seed.")] = 0,
    overwrite: Annotated[bool, Parameter(help="Replace what is in --out.")] = False,
    json: Json = False,
) -> None:
    """Write the MMoE paper's synthetic regression tasks (section 3.2), whose relatedness is a number that you choose.

    Example: manygate dataset synthetic --correlation 0.9 --rows 20000 --out p09
    """
    from manygate import datasets

    written = datasets.synthetic(
        out,
        _cosines(correlation),
        rows,
        tasks,
        inputs,
        scale,
        _numbers("--alpha", alpha),
        None if beta is None else _numbers("--beta", beta),
        noise_var,
        seed,
        overwrite,
    )
    _show(written, json)


def _show(written: WrittenDataset, json: bool) -> None:
    if json:
        paths = {name: str(path) for name in ("schema", "truth", "ceiling") if (path := getattr(written, name)) is not None}
        parts = {part: str(path) for part, path in written.parts.items()}
        print_json({"out": str(written.folder), "rows": written.rows, "parts": parts, **paths})
    else:
        say(f"wrote {written.folder}. Next: manygate compare {shlex.quote(str(written.folder))}")


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InputError(f"{flag}: expected numbers separated by commas, found {text!r}.") from None


def _cosines(text: str) -> float | list[tuple[float, ...]]:
    """One cosine, or rows of a matrix separated by slashes."""
    rows = [_numbers("--correlation", row) for row in text.split("/")]
    return rows[0][0] if len(rows) == len(rows[0]) == 1 else rows
