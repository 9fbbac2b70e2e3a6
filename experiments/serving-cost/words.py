"""The words of the page, and the claims of plan.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

FULL, QUALITY = "at full width", "at equal quality"
MOST, LEAST = "at most", "at least"


class Claim(NamedTuple):
    """A ratio of two schemes' costs, and the bar that plan.md sets for it."""

    text: str
    scheme: str
    other: str
    side: str
    limit: float

    @property
    def bar(self) -> str:
        """The bar in words."""
        return f"{self.side} {self.limit:g}"

    def holds(self, ratio: float) -> bool:
        """Say whether a ratio keeps the bar."""
        return ratio <= self.limit if self.side == MOST else ratio >= self.limit


CLAIMS = (
    Claim("sharing saves: shared_bottom ÷ single_task", "shared_bottom", "single_task", MOST, 0.8),
    Claim("sharing saves: mmoe ÷ single_task", "mmoe", "single_task", MOST, 0.8),
    Claim("MMoE costs little more: mmoe ÷ shared_bottom", "mmoe", "shared_bottom", MOST, 1.2),
    *(
        Claim(f"loses the benefit: {scheme} ÷ shared_bottom", scheme, "shared_bottom", LEAST, 1.5)
        for scheme in ("l2_constrained", "cross_stitch", "tensor_factorization")
    ),
)
HEAD = """# What does serving cost with each way of sharing?
"""
PLAN = """The argument is that of section 7 of the MMoE paper (Ma et al., KDD 2018). What counts, and when it holds, was fixed
before the first result, in [plan.md](plan.md). `python experiments/serving-cost/run.py --data FOLDER` makes it all. A training
leaves a file, and what is there is not run again. `results.json` has the value of each seed, `times.json` the times, and `table.py`
writes this page.
"""
NOTES = """Each cell has the ratio of FLOPs and that of the milliseconds of the network (one thread, 500 rows). *Mixed*: one of the
two keeps the bar. At full width, that MMoE costs little more is partly by construction, since the default bottom has as many
weights as the experts.

With other margins the cheapest equal widths differ. These are the ratios of FLOPs at equal quality by margin. A cell is empty where
one of the two has no equal width among those that were trained.
"""
GATES = """The gates of an MMoE read the whole input whatever the width of its experts. So at 1/16 `mmoe` takes {ratios}
the FLOPs of `shared_bottom`.
"""
CHECK = """A check that is not in the plan judges the widths on test rows in place of validation rows, with the same reference and
margin. These are the FLOPs in multiples of those of `single_task`, and the widths:
"""
LIMITS = """
What this does not show:

* A width divides all hidden layers alike. At 1/16 a tower has 2 hidden units, at 1/8 it has 4, and on some seeds a task then stays
  at guessing (*lost*). A narrow scheme below towers of 32 units was not tried, and neither were fewer experts.
* Widths differ by a factor of 2. So a ratio of costs at equal quality is known to about that factor, and a verdict at one width
  can hang on one seed.
* The intervals hold the luck of 5 seeds. They do not hold that of the rows, of the logs or of one learning rate for all.
* The reference is the best of five widths on validation rows, so verdicts there lean towards it: {higher} differences of the other
  schemes are higher on test rows.
* A scheme that shares keeps the weights of one epoch for all tasks, and each network of `single_task` those of its own best epoch.
* The logs are small. Where a server reads tables of millions of ids, `single_task` has them once for each task.
"""
Ratio = Callable[..., float | None]
Widths = dict[str, dict[str, dict[str, str | None]]]


def lead(results: dict[str, Any], at: Widths, ratio: Ratio) -> str:
    """The five sentences that open the page."""
    first = f"That sharing saves {_at_full(results, CLAIMS[:2], ratio)}"
    second = f"That MMoE costs little more than a shared bottom {_at_full(results, CLAIMS[2:3], ratio)}"
    third = f"That the other three lose the benefit {_at_full(results, CLAIMS[3:], ratio)}"
    return "\n".join(f"* {sentence}" for sentence in (first, second, third, *_equal(results, at, ratio))) + "\n\n" + PLAN


def _at_full(results: dict[str, Any], claims: Sequence[Claim], ratio: Ratio) -> str:
    """Say whether claims hold at full width, and with which ratios."""
    found = {
        (name, claim): [ratio(name, FULL, claim.scheme, claim.other, what) for what in ("flops", "network")]
        for name in results
        for claim in claims
    }
    held = {claim.holds(value) for (_, claim), values in found.items() for value in values if value is not None}
    word = "holds" if held == {True} else "holds in part" if True in held else "does not hold"
    parts = [", ".join(f"`{claim.scheme}` {_two(found[name, claim])}" for claim in claims) + f" on {name}" for name in results]
    many = f"in multiples of `{claims[0].other}`, FLOPs and milliseconds of the network are"
    return f"**{word} at full width**: {many} {'; '.join(parts)}."


def _two(values: Sequence[float | None]) -> str:
    return " and ".join(f"{value:.2f}" for value in values)


def _equal(results: dict[str, Any], at: Widths, ratio: Ratio) -> Iterator[str]:
    """What the cheapest widths of equal quality cost, a sentence for each log."""
    for name in results:
        widths = at[name][QUALITY]
        found = {scheme: ratio(name, QUALITY, scheme, "single_task") for scheme in widths if scheme != "single_task"}
        known = sorted((value, scheme) for scheme, value in found.items() if value is not None)
        text = ", ".join(f"`{scheme}` {value:.2f}" for value, scheme in known) or "none"
        without = ", ".join(f"`{scheme}`" for scheme, value in found.items() if value is None)
        rest = f"; of {without} no width that was trained is shown to be equal" if without else ""
        own = widths["single_task"]
        yield f"**At equal quality on {name}**, FLOPs in multiples of those of `single_task` (width {own}) are: {text}{rest}."
