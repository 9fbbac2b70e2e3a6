"""The figure of a log: quality against FLOPs, in the style of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manygate.report.svg import MARKERS, PALETTE, WIDTH, Canvas, colour, mark

HEIGHT = 420
DEEPEST = 8
"""How many margins the figure goes below the reference. What lies lower is outside."""


class Line(NamedTuple):
    """A scheme's points, the cheapest first; ``style`` is its index in the palette."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]


def draw(log: str, lines: Sequence[Line], margin: float) -> str:
    """Draw a line for each scheme through its widths, around the quality of the reference, as an SVG document."""
    with Canvas(height=HEIGHT, left=72, bottom=150) as canvas:
        axes = canvas.axes
        axes.grid()
        axes.axhline(0, color=colour("zero"), linewidth=1.2)
        axes.axhline(-margin, color=colour("zero"), linewidth=1, dashes=(4, 3))
        for line in lines:
            paint, marker = colour(f"a{line.style % 8}"), MARKERS[mark(line.style)]
            across, up = zip(*line.points, strict=True)
            axes.plot(across, up, color=paint, linewidth=1.2, marker=marker, markersize=5, label=line.name)
        lowest, highest = (end(y for line in lines for _, y in line.points) for end in (min, max))
        axes.set_ylim(max(1.1 * min(lowest, -margin), -DEEPEST * margin), 1.2 * max(highest, margin / 2))
        axes.set_xscale("log", subs=(2, 5))
        for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            ticks(lambda flops, _: f"{flops:,.0f}")
        axes.set_xlabel("FLOPs of a row's forward pass", labelpad=4, fontsize=10.5)
        axes.set_ylabel("test quality minus the reference's", labelpad=6, fontsize=10.5)
        axes.legend(loc="upper center", bbox_to_anchor=(0.44, -0.2), ncol=3, frameon=False, fontsize=9, handlelength=1.6)
        words = "; ".join(f"{line.name}: " + ", ".join(f"{x:,.0f} FLOPs {y:+.4f}" for x, y in line.points) for line in lines)
        return document(
            canvas.svg(
                log,
                f"Quality against FLOPs on {log}",
                f"The dashed line is the margin. Points below {-DEEPEST * margin:g} are outside. {words}.",
            )
        )


def document(svg: str) -> str:
    """Return an element of a page as a document of its own, with the palette of a light and of a dark page."""
    light, dark = (";".join(f"--{name}:{pair[side]}" for name, pair in PALETTE.items()) for side in (0, 1))
    style = f"svg{{{light}}}text{{font-family:system-ui,sans-serif}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
    inside = f'<style>{style}</style><rect width="100%" height="100%" style="fill:var(--card)"/>'
    opening, _, rest = svg.removeprefix("<svg ").partition(">")
    return f"{head}{opening}>{inside}{rest}\n"
