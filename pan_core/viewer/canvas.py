"""Style and canvas of pictures that read on white paper and inside a dark page.

`drawn` turns a drawing function into one that returns a `Picture`: an SVG without background, and the words that say
what it shows to those who cannot see it. Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from pan_core.viewer.lettering import readable

INK, FAINT, GRID = "#1d2730", "#5d6974", "#d3d9df"
BLUE, VERMILLION, GREEN, PURPLE, ORANGE = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
# What each colour becomes on a dark page; SVG is text, so no picture is drawn twice.
DARK = {INK: "#e4e9ee", FAINT: "#a3b0bc", GRID: "#39444f", BLUE: "#56b4e9", VERMILLION: "#f0803c", GREEN: "#2fc795"}

# Without its darkest part, which would vanish on a dark page.
SHADES = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.14, 1, 256)), "shades")

# For what the first one lacks: fonts that Debian's and Ubuntu's packages fonts-noto-* and fonts-wqy-* install, if they are there.
FALLBACK = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans", "Noto Sans Thai", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Arabic", "Noto Sans Hebrew",
)  # fmt: skip
_INSTALLED = {font.name for font in fontManager.ttflist}

FONTS = ["DejaVu Sans", *(name for name in FALLBACK if name in _INSTALLED)]

STYLE: dict[str, Any] = {
    "font.family": FONTS,
    "text.parse_math": False,
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "pan",
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}

P = ParamSpec("P")


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        svg: The picture for a light background.
        alt: What it shows, in words.
        width: Natural width in CSS pixels.
    """

    svg: str
    alt: str
    width: int

    @property
    def dark_svg(self) -> str:
        """The same picture for a dark background."""
        text = self.svg
        for light, dark in DARK.items():
            text = text.replace(light, dark)
        return text


def drawn(draw: Callable[P, tuple[Figure, str]]) -> Callable[P, Picture]:
    """Run a drawing function in the house style, and turn its figure into a `Picture`."""

    @wraps(draw)
    def picture(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with matplotlib.rc_context(STYLE):
            figure, alt = draw(*args, **kwargs)
            _write_readably(figure)
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, dpi=110, bbox_inches="tight")
        svg = _round_paths(text.getvalue())
        points = float(re.search(r'width="([\d.]+)pt"', svg)[1])  # type: ignore[index]
        return Picture(svg, alt, round(points * 96 / 72))

    return picture


def _write_readably(figure: Figure) -> None:
    """Put into words what the font cannot draw: names of classes are the user's own."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if (written := [readable(label, _has_glyph) for label in labels]) != labels:
                axis.set_ticks(axis.get_ticklocs(), written)
    for text in figure.findobj(Text):
        if (written_text := readable(text.get_text(), _has_glyph)) != text.get_text():
            text.set_text(written_text)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    """Whether a font of the pictures, or a line break, draws a character."""
    if character == "\n":
        return True
    return any(get_font(findfont(family)).get_char_index(ord(character)) for family in FONTS)


def _round_paths(svg: str) -> str:
    """Path coordinates to a hundredth of a point, which no screen shows and which makes a report a third smaller."""
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)


def canvas(width: float, height: float, *, gap: float = 0.02, **grid: Any) -> tuple[Figure, Any]:
    """A figure of its own, outside pyplot's global list, with its axes; sizes in inches, gaps as shares."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=gap, hspace=gap))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**grid)


def percent_axis(axes: Axes, which: str) -> None:
    """Write the shares 0..1 of an axis, "x" or "y", in percent."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
