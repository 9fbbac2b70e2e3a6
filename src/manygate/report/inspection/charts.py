"""This module draws the charts of an inspection as SVG elements in the report's style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from manygate.report.svg import DASHES, Canvas, colour, label
from manygate.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NUMBERS = 16
"""With more experts than this, only some of their numbers are written under a chart."""


class Use(NamedTuple):
    """An expert in a task's gate: mean and sd of its weight.

    ``mean`` is None if the gate does not see the expert. ``one_task`` is true if no other task's gate sees it.
    """

    mean: float | None
    sd: float
    one_task: bool


class Line(NamedTuple):
    """An expert's mean weight, epoch by epoch."""

    name: str
    style: int
    up: Sequence[float]


class Bar(NamedTuple):
    """A feature's importance and its standard error."""

    name: str
    value: float
    se: float


def utilisation(key: str, title: str, uses: Sequence[Use], even: float, top: float) -> str:
    """Draw PLE's figure for a task: mean weight of each expert as a bar, its standard deviation over rows as a line."""
    with Canvas(height=178, left=44, right=10, top=10, bottom=36) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        for e, use in enumerate(uses):
            if use.mean is None:
                axes.plot([e], [0], marker=".", color=colour("zero"), markersize=4, clip_on=False)
                continue
            paint = colour("a4" if use.one_task else "a3")
            axes.bar([e], [use.mean], width=0.72, color=paint, alpha=0.82, linewidth=0)
            low, high = max(use.mean - use.sd, 0.0), min(use.mean + use.sd, 1.0)
            axes.plot([e, e], [low, high], color=colour("ink"), linewidth=1.3, solid_capstyle="butt")
        axes.axhline(even, color=colour("zero"), linewidth=1, dashes=(4, 3))
        axes.set(xlim=(-0.6, len(uses) - 0.4), ylim=(0, top))
        _numbered(axes, len(uses))
        _shares(axes.yaxis)
        axes.set_xlabel("expert", labelpad=3, fontsize=10.5)
        description = "; ".join(
            f"expert {e + 1}: {use.mean:.3f} ± {use.sd:.3f}" for e, use in enumerate(uses) if use.mean is not None
        )
        return canvas.svg(key, title, f"Mean weight and standard deviation over rows. {description}.")


def over_time(key: str, title: str, lines: Sequence[Line], epochs: Sequence[float]) -> str:
    """Draw the mean weight of each expert by epoch, with the numbers of the experts at the right."""
    with Canvas(height=196, left=44, right=34, top=10, bottom=38) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        low, high = min(epochs), max(epochs)
        for line in lines:
            (drawn,) = axes.plot(epochs, line.up, color=colour(f"a{line.style % 8}"), linewidth=1.8)
            if DASHES[line.style // 8 % 8]:
                drawn.set_dashes(DASHES[line.style // 8 % 8])
            if len(epochs) == 1:
                axes.plot(epochs, line.up, marker="o", markersize=4, color=colour(f"a{line.style % 8}"))
        air = 0.03 * (high - low) or 0.5
        top = max(1.08 * max(max(line.up) for line in lines), 0.05)
        axes.set(xlim=(low - air, high + air), ylim=(0, top))
        _ends(axes, lines, top)
        _shares(axes.yaxis)
        _whole(axes.xaxis)
        axes.set_xlabel("epoch", labelpad=3, fontsize=10.5)
        description = "; ".join(f"{line.name}: {line.up[0]:.3f} to {line.up[-1]:.3f}" for line in lines)
        return canvas.svg(key, title, f"Mean weight, first epoch to last. {description}.")


def _ends(axes: Axes, lines: Sequence[Line], top: float) -> None:
    """Write the experts' numbers at the ends of their lines, without overlap; write none if there are too many."""
    if len(lines) > MOST_NUMBERS:
        return
    gap, height = top / 13, -1.0
    ranked = sorted(lines, key=lambda line: line.up[-1])
    spare = max(len(ranked) * gap - top, 0.0)
    for line in ranked:
        height = max(line.up[-1], height + gap) - (spare / len(ranked) if height >= 0 else 0.0)
        axes.annotate(
            line.name,
            (1.02, height / top),
            xycoords="axes fraction",
            va="center",
            fontsize=10,
            color=colour(f"a{line.style % 8}"),
            annotation_clip=False,
        )
        axes.annotate(
            "",
            (1.01, height / top),
            xytext=(0.972, line.up[-1] / top),
            xycoords="axes fraction",
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": colour("line"), "linewidth": 0.8, "shrinkA": 1, "shrinkB": 1},
            annotation_clip=False,
        )


def importance(key: str, title: str, metric: str, bars: Sequence[Bar]) -> str:
    """Draw the drop of the metric when a feature is permuted, with two standard errors to each side, a feature in each row."""
    names = [label(bar.name, 18) for bar in bars]
    left = min(150, 16 + 6.9 * max(map(len, names)))
    with Canvas(height=52 + 21 * len(bars), left=left, right=62, top=8, bottom=40) as canvas:
        axes = canvas.axes
        axes.grid(axis="x")
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_yticks(range(len(bars)), names, color=colour("ink"))
        low = min(0.0, *(bar.value - 2 * bar.se for bar in bars))
        high = max(1e-6, *(bar.value + 2 * bar.se for bar in bars))
        axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
        axes.axvline(0, color=colour("zero"), linewidth=1.2)
        for row, bar in enumerate(bars):
            sure = bar.value - 2 * bar.se > 0
            axes.barh([row], [bar.value], height=0.6, color=colour("helps" if sure else "unsure"), alpha=0.85, linewidth=0)
            ends = [bar.value - 2 * bar.se, bar.value + 2 * bar.se]
            axes.plot(ends, [row, row], color=colour("ink"), linewidth=1.2, solid_capstyle="butt")
            text = number(bar.value, signed=True)
            axes.annotate(
                text, (axes.get_xlim()[1], row), xytext=(6, 0), textcoords="offset points", va="center", annotation_clip=False
            )
        _decimals(axes.xaxis, most=5)
        axes.set_xlabel(f"{metric} lost", labelpad=4, fontsize=10.5)
        description = "; ".join(f"{bar.name}: {number(bar.value, signed=True)}" for bar in bars)
        return canvas.svg(key, title, description)


def spectra(key: str, title: str, lines: Sequence[tuple[str, int, Sequence[float]]]) -> str:
    """Draw the singular values of each table, divided by the largest, in descending order."""
    with Canvas(height=230, left=48, right=12, bottom=40) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        for _, style, values in lines:
            across = range(1, len(values) + 1)
            paint = colour(f"a{style % 8}")
            (drawn,) = axes.plot(across, values, color=paint, linewidth=1.8, marker="o", markersize=3.2)
            if DASHES[style % 8]:
                drawn.set_dashes(DASHES[style % 8])
        axes.set_ylim(0, 1.05)
        _whole(axes.xaxis)
        _shares(axes.yaxis)
        axes.set_xlabel("singular value", labelpad=4, fontsize=10.5)
        description = "; ".join(f"{name}: smallest {values[-1]:.2f}" for name, _, values in lines if len(values))
        return canvas.svg(key, title, f"Singular values over the largest. {description}.")


def _numbered(axes: Axes, count: int) -> None:
    """Number the experts from 1; if there are many, only some get a tick."""
    step = 1 if count <= MOST_NUMBERS else -(-count // MOST_NUMBERS)
    axes.set_xticks(range(0, count, step), [str(e + 1) for e in range(0, count, step)])


def _whole(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _shares(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _decimals(axis: Any, most: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "−")))
