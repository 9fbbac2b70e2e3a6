"""This module provides a canvas for charts: matplotlib draws SVG for a page, independent of the user's matplotlib settings."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# CSS variable -> its colour on a light and on a dark page. Charts are drawn in the light one, then refer to the variable.
PALETTE = {
    "ink": ("#1b2330", "#e8ebf0"),
    "soft": ("#586274", "#a3adbd"),
    "line": ("#dfe3e9", "#333b47"),
    "zero": ("#8b95a5", "#7d8796"),
    "card": ("#fefefe", "#191d24"),
    "helps": ("#0a6b8a", "#56bbdc"),
    "hurts": ("#b1470e", "#f2935a"),
    "unsure": ("#667080", "#9aa4b3"),
    "a0": ("#4d5766", "#a9b3c1"),
    "a1": ("#b58500", "#e3bb4b"),
    "a2": ("#b13a86", "#ec86c5"),
    "a3": ("#4b4fc4", "#9a9dff"),
    "a4": ("#2f8a57", "#63cf93"),
    "a5": ("#97512d", "#d89a72"),
    "a6": ("#1e88a8", "#62c4e0"),
    "a7": ("#8a6fb5", "#c3abe8"),
}
DASHES = ((), (5, 2), (2, 1.5), (), (7, 2, 1.5, 2), (3, 1.5), (1.2, 1.2), (9, 2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
SHAPES = (  # the same markers as paths, 26 wide and 10 high, for the legend
    "M13 2a3 3 0 1 0 .01 0z",
    "M10.2 2.2h5.6v5.6h-5.6z",
    "M13 1.4l3.6 6.6H9.4z",
    "M13 .9l4 4.1-4 4.1L9 5z",
    "M13 8.6L9.4 2h7.2z",
    "M12 1.5h2V4h2.5v2H14v2.5h-2V6H9.5V4H12z",
    "M10.5 1L13 3.5 15.5 1 17 2.5 14.5 5 17 7.5 15.5 9 13 6.5 10.5 9 9 7.5 11.5 5 9 2.5z",
    "M13 1l3.5 2v4L13 9 9.5 7V3z",
)
WIDTH = 420
_VARIABLES = {light: name for name, (light, _) in PALETTE.items()}
_COLOUR = re.compile("|".join(_VARIABLES))
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_OURS = (  # the families of settings that a chart depends on
    *("axes.", "errorbar.", "figure.", "font.", "grid.", "lines.", "mathtext.", "patch.", "path.", "savefig.", "svg."),
    *("text.", "xaxis.", "yaxis.", "xtick.", "ytick."),
)


def mark(style: int) -> int:
    """Return the index of the marker and dash of a style; its colour has the index ``style % 8``, so that sixteen styles differ.

    >>> len({(style % 8, mark(style)) for style in range(16)})
    16
    """
    return (style + 3 * (style // 8)) % 8


def colour(name: str) -> str:
    """Return the colour to draw with; the finished chart refers to it as a CSS variable."""
    return PALETTE[name][0]


def label(text: str, most: int = 24) -> str:
    """Make a name ready to draw: one line, printable, shortened.

    >>> label("watch\\ntime"), label("a" * 30, most=5)
    ('watch time', 'aaaa…')
    """
    clean = _UNPRINTABLE.sub("�", re.sub(r"\s", " ", text))
    return clean if len(clean) <= most else clean[: most - 1] + "…"


@contextmanager
def _own_settings() -> Iterator[None]:
    """Set matplotlib's defaults and the settings of the report's charts; restore the user's settings afterwards."""
    import matplotlib

    defaults: dict[Any, Any] = {key: value for key, value in matplotlib.rcParamsDefault.items() if key.startswith(_OURS)}
    ours: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "manygate",
        "font.size": 11,
        "text.color": colour("ink"),
        "text.parse_math": False,
        "axes.edgecolor": colour("line"),
        "axes.labelcolor": colour("soft"),
        "axes.linewidth": 1,
        "xtick.color": colour("soft"),
        "ytick.color": colour("soft"),
        "grid.color": colour("line"),
        "grid.linewidth": 0.8,
    }
    with warnings.catch_warnings(), matplotlib.rc_context({**defaults, **ours}):
        # A name may hold letters that matplotlib's own font lacks; the text stays text, and the reader's font draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


class Canvas:
    """A chart of fixed shape; sizes are in CSS pixels at the width ``WIDTH``.

    Use it as a context manager, which sets matplotlib's settings; :meth:`svg` ends the drawing.
    """

    figure: Figure
    axes: Axes

    def __init__(self, height: float, left: float = 52, right: float = 12, top: float = 10, bottom: float = 38):
        self.height = height
        self.margins = (left / WIDTH, 1 - right / WIDTH, 1 - top / height, bottom / height)
        self._settings = _own_settings()

    def __enter__(self) -> Canvas:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self._settings.__enter__()
        self.figure = Figure(figsize=(WIDTH / 72, self.height / 72), dpi=72)
        FigureCanvasSVG(self.figure)
        left, right, top, bottom = self.margins
        self.figure.subplots_adjust(left=left, right=right, top=top, bottom=bottom)
        self.axes = self.figure.add_subplot()
        for side in ("top", "right", "left"):
            self.axes.spines[side].set_visible(False)
        self.axes.tick_params(length=0, pad=6)
        self.axes.set_axisbelow(True)
        return self

    def __exit__(self, *error: object) -> None:
        self._settings.__exit__(None, None, None)

    def svg(self, key: str, title: str, description: str) -> str:
        """Return the chart as an ``<svg>`` element; ``key`` makes its ids unique in the page."""
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        root = ElementTree.fromstring(stream.getvalue())
        return _tidy(root, key, label(title, 300), label(description, 4000))


def _tidy(root: ElementTree.Element, key: str, title: str, description: str) -> str:
    """Turn matplotlib's document into an element of a page.

    It gets unique ids, the page's font and colours and a description, and loses its namespaces.
    """
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        if "style" in element.attrib:
            element.set("style", _restyle(element.get("style", "")))
    used = {element.get("href", "")[1:] for element in root.iter()}
    used |= set(re.findall(r"url\(#([^)]+)\)", " ".join(element.get("clip-path", "") for element in root.iter())))
    for element in root.iter():
        identity = element.attrib.pop("id", "")
        if identity and identity in used:
            element.set("id", f"{key}-{identity}")
        if element.get("href", "").startswith("#"):
            element.set("href", f"#{key}-{element.get('href', '')[1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.get("clip-path", "").replace("url(#", f"url(#{key}-"))
    for child in [child for child in root if child.tag == "metadata" or child.find("style") is not None]:
        root.remove(child)
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _restyle(style: str) -> str:
    """Remove font families, so that the text uses the page's font, and replace colours by CSS variables."""
    kept = []
    for part in style.split(";"):
        name, _, value = part.strip().partition(": ")
        if name == "font":
            size = re.search(r"[\d.]+px", value)
            name, value = "font-size", size[0] if size else "11px"
        if name and name != "font-family":
            kept.append(f"{name}: {value}")
    return _COLOUR.sub(lambda match: f"var(--{_VARIABLES[match[0]]}, {match[0]})", "; ".join(kept))
