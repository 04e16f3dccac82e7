"""New footage beside that of the model: the distribution of each number, and the mix of classes."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pan_core.quality.profiles import FEATURES, Feature
from pan_core.viewer.canvas import BLUE, FAINT, INK, VERMILLION, Picture, canvas, drawn, percent_axis

BINS = 24
COLUMNS = 3
MOST_CLASSES = 30
OUTLIERS = 0.01
"""Share of the clips, at either end, that may lie outside of what is shown; they are counted in the last bar."""


def drift_pictures(reference: pd.DataFrame, new: pd.DataFrame, moved: Collection[str]) -> dict[str, Picture]:
    """Pictures by name of the file without its ending; titles of the columns that moved are marked."""
    return {"distributions": distributions(reference, new, moved), "classes": class_mix(reference, new)}


@drawn
def distributions(reference: pd.DataFrame, new: pd.DataFrame, moved: Collection[str]) -> tuple[Figure, str]:
    """Shares of clips by the value of each number."""
    rows = -(-len(FEATURES) // COLUMNS)
    figure, grid = canvas(3.4 * COLUMNS, 2.4 * rows, nrows=rows, ncols=COLUMNS, squeeze=False, gap=0.06)
    for axes in grid.flat[len(FEATURES) :]:
        axes.set_visible(False)
    for feature, axes in zip(FEATURES, grid.flat, strict=False):
        _draw_distribution(axes, feature, reference[feature.column], new[feature.column])
        mark = feature.column in moved
        axes.set_title(feature.name + (" (moved)" if mark else ""), color=VERMILLION if mark else INK)
    for axes in grid[:, 0]:
        axes.set_ylabel("clips (%)")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2)
    names = [feature.name for feature in FEATURES if feature.column in moved]
    return figure, f"Distributions of new footage and of the model's; moved: {', '.join(names) or 'none'}."


def _draw_distribution(axes: Axes, feature: Feature, reference: pd.Series, new: pd.Series) -> None:
    columns = {"footage of the model": reference, "new footage": new}
    edges = _place_edges(feature, [values for column in columns.values() if len(values := _drop_missing(column))])
    for (name, column), colour, alpha in zip(columns.items(), (BLUE, VERMILLION), (0.35, 0.0), strict=True):
        values = _drop_missing(column)
        shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(1, len(values))
        axes.stairs(shares, edges, fill=True, color=colour, alpha=alpha)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=f"{name} ({len(column)} clips)")
    empty = [name for name, column in columns.items() if not len(_drop_missing(column))]
    if empty:
        words = "\n".join(f"{name}: no value" for name in empty)
        axes.text(0.97, 0.95, words, transform=axes.transAxes, ha="right", va="top", color=FAINT)
    axes.set(xlabel=feature.unit, ylim=(0, None))
    # Ticks at whole percents.
    axes.locator_params(axis="y", steps=[1, 2, 5, 10], nbins=5)
    percent_axis(axes, "y")


def _place_edges(feature: Feature, columns: list[np.ndarray]) -> np.ndarray:
    """Edges of equal bins over nearly all values of both, on whole multiples of the number's step."""
    if not columns:
        return np.array([0.0, feature.step])
    low = min(np.quantile(values, OUTLIERS) for values in columns)
    high = max(np.quantile(values, 1 - OUTLIERS) for values in columns)
    first, last = np.floor(low / feature.step + 0.5), np.floor(high / feature.step + 0.5)
    cells = last - first + 1
    width = max(1.0, np.ceil(cells / BINS))
    bins = max(3, int(np.ceil(cells / width)))
    first -= (bins * width - cells) // 2
    return (first - 0.5 + width * np.arange(bins + 1)) * feature.step


def _drop_missing(column: pd.Series) -> np.ndarray:
    return column.dropna().to_numpy(dtype=float)


@drawn
def class_mix(reference: pd.DataFrame, new: pd.DataFrame) -> tuple[Figure, str]:
    """Share of the clips in each class; of many classes those whose share changed most."""
    shares = pd.DataFrame(
        {name: table["label"].value_counts() / max(1, len(table)) for name, table in (("old", reference), ("new", new))}
    ).fillna(0)
    order = (shares["new"] - shares["old"]).abs().sort_values(kind="stable", ascending=False).index[:MOST_CLASSES]
    shares = shares.loc[sorted(order)]
    figure, axes = canvas(7.2, 1.1 + 0.36 * max(1, len(shares)))
    places = np.arange(len(shares))
    axes.barh(places - 0.19, shares["old"], height=0.36, color=BLUE, label="footage of the model")
    axes.barh(places + 0.19, shares["new"], height=0.36, color=VERMILLION, label="new footage")
    axes.set_yticks(places, list(shares.index), fontsize=9)
    axes.set(xlabel="clips (%)", ylim=(len(shares) - 0.4, -0.6))
    percent_axis(axes, "x")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=2)
    listed = ", ".join(f"{name} {row['old']:.0%} -> {row['new']:.0%}" for name, row in shares.iterrows())
    return figure, f"Share of the clips by class: {listed}."
