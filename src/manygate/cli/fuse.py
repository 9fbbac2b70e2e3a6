"""``manygate fuse``: one score from all predictions, put into a trained model's bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.streams import print_json, say
from manygate.errors import InputError

if TYPE_CHECKING:
    from manygate.ranker import Ranker
    from manygate.results.fusion import FusionSearch

SearchLog = Annotated[
    str | None,
    Parameter(help="Labelled rows to search on; of a data set's folder, the valid part. Default: the run's own validation rows."),
]
Weights = Annotated[str | None, Parameter(help="Weights by hand, click=1,buy=0.5.")]
Factor = Annotated[
    tuple[str, ...],
    Parameter(
        help="A feature as a factor, NAME:TRANSFORM=WEIGHT; in a search NAME:TRANSFORM. Transforms: log, sigmoid, power, none."
    ),
]
SearchedFor = Annotated[
    tuple[str, ...],
    Parameter(help="What to search for, TASK/METRIC or TASK/METRIC=WEIGHT. Metrics: ndcg, ndcg@K, gain, gain@K, gauc."),
]


def fuse(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: SearchLog = None,
    /,
    *,
    weights: Weights = None,
    feature: Factor = (),
    objective: SearchedFor = (),
    factors: Annotated[str | None, Parameter(help="Predictions to weigh in a search, click,buy. Default: every task's.")] = None,
    trials: Annotated[int, Parameter(help="Weights to try.")] = 200,
    sampler: Annotated[Literal["tpe", "gp"], Parameter(help="What proposes weights; gp is slower and needs fewer trials.")] = "tpe",
    seed: Annotated[int, Parameter(help="Seed of the search.")] = 0,
    name: Annotated[str | None, Parameter(help="Column of the score. Default: that of the present fusion, else score.")] = None,
    note: Annotated[str, Parameter(help="A word for those who read fusion.json.")] = "",
    show: Annotated[bool, Parameter(help="Print the present fusion.")] = False,
    remove: Annotated[bool, Parameter(help="Take the fusion out.")] = False,
    json: Json = False,
    device: Device = "auto",
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Rank by one score, prod p^w x prod f(feature)^v, with weights by hand or searched on the visits of a labelled log.

    The formula is kept in the bundle, and predict adds its column; nothing is trained again. A search writes fusion-search.json and
    fusion-search.html beside the bundle. Never search on rows that are to judge the result.

    Example: manygate fuse runs/mmoe --weights click=1,buy=0.5 --feature duration:log=0.3

    Example: manygate fuse runs/mmoe january.parquet --objective click/ndcg=1 --objective watch_time/gain@5=0.5
    """
    check_one_request(log, weights, feature, objective, show, remove)
    ranker = load_ranker(run, device, import_, csv_settings(csv))
    name = name or (ranker.fusion.name if ranker.fusion else "score")
    before = ranker.fusion
    result: FusionSearch | None = None
    if remove:
        _remove(ranker, name, note)
    elif objective:
        chosen = [part.strip() for part in (factors or "").split(",") if part.strip()]
        result = ranker.search_fusion(
            log, objective, factors=chosen, feature=feature, trials=trials, sampler=sampler, seed=seed, name=name, note=note
        )
    elif not show:
        ranker.fuse(weights or "", feature, name=name, note=note)
    _write_and_show(run, ranker, ranker.fusion is not before, result, json)


def check_one_request(
    log: str | None, weights: str | None, feature: tuple[str, ...], objective: tuple[str, ...], show: bool, remove: bool
) -> None:
    """Raise an :class:`InputError` unless the flags ask for one thing: weights by hand, a search, to show or to remove."""
    if weights is not None and not weights.strip(" ,"):
        raise InputError("--weights: no weight is given. Write for example --weights click=1,buy=0.5, or --remove the score.")
    by_hand = weights is not None or bool(feature and not objective)
    requests = {"--weights or --feature": by_hand, "--objective": bool(objective), "--show": show, "--remove": remove}
    given = [flag for flag, asked_for in requests.items() if asked_for]
    if len(given) != 1:
        named = f"; found {' and '.join(given)}" if given else ""
        raise InputError(f"give one of --weights (by hand), --objective (search), --show and --remove{named}.")
    if log is not None and not objective:
        raise InputError(f"a log ({log}) is for a search; add --objective TASK/METRIC, or leave it out.")


def _remove(ranker: Ranker, name: str, note: str) -> None:
    """Replace the fusion by an empty one with the next version; without a fusion nothing is done."""
    from manygate.scoring.fusion import Fusion, now

    if ranker.fusion is not None:
        removed = Fusion({}, (), name, note=note, made={"how": "removed", "when": now()})
        ranker.fusion = removed.after(ranker.fusion)


def _write_and_show(run: Path, ranker: Ranker, changed: bool, result: FusionSearch | None, json: bool) -> None:
    from manygate.cli.terminal import show_fusion
    from manygate.scoring.bundle import find_bundle
    from manygate.scoring.fusion import write_fusion

    folder = find_bundle(run)
    if ranker.fusion is not None and changed:
        write_fusion(folder, ranker.fusion)
    pages = _write_search(folder.parent, result, ranker) if result else []
    if json:
        print_json(
            {
                "bundle": str(folder),
                "fusion": ranker.fusion.tree() if ranker.fusion else None,
                "search": result.to_tree() if result else None,
            }
        )
    else:
        show_fusion(ranker.fusion, result)
        say("\n".join(str(page) for page in pages) or f"bundle {folder}")


def _write_search(folder: Path, result: FusionSearch, ranker: Ranker) -> list[Path]:
    from manygate.files import to_json, write_text
    from manygate.report.fusion import write_search_page

    pages = [folder / "fusion-search.json", folder / "fusion-search.html"]
    write_text(pages[0], to_json(result.to_tree()))
    write_search_page(result, pages[1])
    return pages
