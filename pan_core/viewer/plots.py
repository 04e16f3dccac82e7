"""Charts of the report. Every function returns a `Picture`; `pan_core.viewer.canvas` has their style."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pan_core.viewer.canvas import BLUE, FAINT, SERIES, SHADES, VERMILLION, canvas, drawn, percent_axis

# One dict of figures an epoch, as training logs them.
History = Sequence[Mapping[str, float]]


@drawn
def training_curves(histories: Mapping[str, History]) -> tuple[Figure, str]:
    """Loss and accuracy by epoch, as in the paper's Figure 6; one column a training.

    Args:
        histories: By name of the training: for each epoch "train_loss", "val_loss", "train_accuracy" and
            "val_accuracy", the latter two in 0..1.
    """
    figure, grid = canvas(
        5.2 * len(histories), 5.6, nrows=2, ncols=len(histories), squeeze=False, sharex="col", gap=0.05
    )
    for column, (name, history) in enumerate(histories.items()):
        loss, right = grid[:, column]
        for axes, quantity in ((loss, "loss"), (right, "accuracy")):
            for part, colour, style in (("train", BLUE, "-"), ("val", VERMILLION, "--")):
                values = [epoch[f"{part}_{quantity}"] for epoch in history]
                title = {"train": "training", "val": "validation"}[part]
                axes.plot(np.arange(1, len(values) + 1), values, style, color=colour, label=title, linewidth=1.8)
        loss.set(title=name, ylabel="loss", ylim=(0, None))
        right.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 1.02))
        percent_axis(right, "y")
        loss.legend()
    ends = ", ".join(f"{name} ends at {100 * h[-1]['val_accuracy']:.1f} %" for name, h in histories.items())
    return figure, f"Loss and accuracy of training and validation by epoch. Validation accuracy: {ends}."


@drawn
def confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> tuple[Figure, str]:
    """Shares of each true class (row) by predicted class (column), in percent; empty cells are left blank.

    Args:
        matrix: Counts, shape (K, K).
        classes: The K names.
    """
    size = len(classes)
    side = 2.6 + (0.42 if size <= 30 else 0.17) * size
    letters = 9 if size <= 30 else 7
    figure, axes = canvas(side, side)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    mesh = axes.pcolormesh(np.ma.masked_equal(shares, 0), cmap=SHADES, vmin=0, vmax=1, rasterized=size > 30)
    axes.set(xlabel="predicted class", ylabel="true class", aspect="equal", ylim=(size, 0))
    axes.set_xticks(np.arange(size) + 0.5, classes, rotation=90, fontsize=letters)
    axes.set_yticks(np.arange(size) + 0.5, classes, fontsize=letters)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    if size <= 30:
        for row, column in np.argwhere(matrix > 0):
            share = shares[row, column]
            colour = "white" if share < 0.6 else "black"
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", color=colour, ha="center", va="center", fontsize=8)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.6, pad=0.02, label="share of the true class (%)")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
    bar.outline.set_visible(False)
    right = np.trace(matrix) / max(matrix.sum(), 1)
    return figure, f"Confusion matrix of {size} classes; {100 * right:.1f} % of {matrix.sum()} clips on the diagonal."


@drawn
def class_bars(accuracies: np.ndarray, counts: np.ndarray, classes: Sequence[str]) -> tuple[Figure, str]:
    """Accuracy of each class, best on top, with the number of its test clips.

    Args:
        accuracies: Shape (K,); a class without clips holds NaN and is left out.
        counts: Test clips of each class, shape (K,).
        classes: The K names.
    """
    order = [k for k in np.argsort(accuracies, kind="stable") if np.isfinite(accuracies[k])]
    figure, axes = canvas(7.2, 1.1 + 0.25 * len(order))
    places = np.arange(len(order))
    axes.barh(places, accuracies[order], color=BLUE, height=0.72)
    mean = float(np.mean(accuracies[order]))
    axes.axvline(mean, color=VERMILLION, linewidth=1.4, linestyle="--", label=f"mean of classes {100 * mean:.1f} %")
    for place, k in zip(places, order, strict=True):
        axes.text(1.05, place, f"{100 * accuracies[k]:.0f}", ha="right", va="center", fontsize=8, color=FAINT)
    axes.set_yticks(places, [f"{classes[k]} ({counts[k]})" for k in order], fontsize=9)
    axes.set(xlabel="accuracy (%)", xlim=(0, 1.06), ylim=(-0.6, len(order) - 0.4))
    percent_axis(axes, "x")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    worst = ", ".join(f"{classes[k]} {100 * accuracies[k]:.0f} %" for k in order[:3])
    return figure, f"Accuracy of each class; lowest: {worst}. In brackets the number of test clips."


@drawn
def observed_curve(shares: Sequence[float], curves: Mapping[str, np.ndarray], chance: float) -> tuple[Figure, str]:
    """Accuracy against the share of each clip that has been seen.

    Args:
        shares: Observed shares in (0, 1].
        curves: Accuracy at each share, by name.
        chance: Accuracy of a guess, 1/K.
    """
    figure, axes = canvas(7.2, 4.0)
    for (name, values), colour in zip(curves.items(), SERIES, strict=False):
        axes.plot(shares, values, "o-", color=colour, label=name, linewidth=1.8, markersize=5)
    axes.axhline(chance, color=FAINT, linestyle=":", label=f"guess ({100 * chance:.1f} %)")
    axes.set(xlabel="share of the clip seen (%)", ylabel="accuracy (%)", ylim=(0, 1.02), xlim=(0, 1.03))
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=3)
    name, values = next(iter(curves.items()))
    half = float(np.interp(0.5, shares, values))
    return figure, (
        f"Accuracy against the share of the clip seen; {name}: {100 * values[0]:.1f} % after {100 * shares[0]:.0f} %, "
        f"{100 * half:.1f} % after half, {100 * values[-1]:.1f} % at the end. A guess has {100 * chance:.1f} %."
    )


@drawn
def calibration_plot(
    confidence: np.ndarray, accuracy: np.ndarray, count: np.ndarray, *, error: float
) -> tuple[Figure, str]:
    """Accuracy against stated confidence, bin by bin; the area of a dot grows with the number of clips.

    Args:
        confidence: Mean confidence of each bin, shape (B,).
        accuracy: Share of right answers in each bin, shape (B,).
        count: Clips in each bin, shape (B,).
        error: Expected calibration error, for the caption.
    """
    figure, axes = canvas(4.8, 4.4)
    filled = count > 0
    sizes = 30 + 400 * count[filled] / count.sum()
    axes.plot([0, 1], [0, 1], ":", color=FAINT, label="perfectly calibrated")
    axes.plot(confidence[filled], accuracy[filled], "-", color=BLUE, linewidth=1.2)
    axes.scatter(confidence[filled], accuracy[filled], s=sizes, color=BLUE, alpha=0.8, clip_on=False)
    axes.set(xlabel="stated confidence (%)", ylabel="accuracy (%)", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    axes.legend(loc="upper left")
    return figure, f"Accuracy against stated confidence; expected calibration error {100 * error:.1f} %."


@drawn
def joint_bars(joints: Sequence[str], pck: Mapping[str, np.ndarray], threshold: float) -> tuple[Figure, str]:
    """Share of joints found within a distance of the true place, by joint; NaN shows no bar.

    Args:
        joints: The V joint names.
        pck: Shares, shape (V,), by name of the extractor or data.
        threshold: Tolerated distance, as a share of the person's box.
    """
    figure, axes = canvas(7.2, 1.2 + 0.28 * len(joints) * (0.6 + 0.4 * len(pck)))
    height = 0.78 / len(pck)
    for place, ((name, values), colour) in enumerate(zip(pck.items(), SERIES, strict=False)):
        rows = np.arange(len(joints)) + (place - (len(pck) - 1) / 2) * height
        axes.barh(
            rows, values, height=height, color=colour, label=f"{name} (mean of joints {100 * np.nanmean(values):.1f} %)"
        )
    axes.set_yticks(np.arange(len(joints)), [joint.replace("_", " ") for joint in joints], fontsize=9)
    axes.set(
        xlabel=f"joints found within {100 * threshold:.0f} % of the person's size (%)",
        xlim=(0, 1.02),
        ylim=(len(joints) - 0.4, -0.6),
    )
    percent_axis(axes, "x")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=2)
    name, values = next(iter(pck.items()))
    lowest = joints[int(np.nanargmin(values))].replace("_", " ")
    return figure, f"Joints found by joint; {name}: mean {100 * np.nanmean(values):.1f} %, lowest {lowest}."


@drawn
def boundary_errors(errors: Mapping[str, np.ndarray], unit: str = "frames") -> tuple[Figure, str]:
    """Histogram of the distances between found and true segment boundaries.

    Args:
        errors: Found minus true boundary, one value a boundary, by name of the method.
        unit: "frames" or "s".
    """
    figure, axes = canvas(7.2, 3.6)
    widest = max(1.0, *(float(np.abs(values).max()) for values in errors.values() if values.size))
    edges = np.linspace(-widest, widest, 26)
    for (name, values), colour in zip(errors.items(), SERIES, strict=False):
        label = f"{name} (mean distance {np.abs(values).mean():.2f} {unit})"
        axes.hist(values, edges, histtype="stepfilled", color=colour, alpha=0.35)
        axes.hist(values, edges, histtype="step", color=colour, linewidth=1.6, label=label)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set(xlabel=f"found minus true boundary ({unit})", ylabel="boundaries")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1)
    means = ", ".join(f"{name} {np.abs(values).mean():.2f} {unit}" for name, values in errors.items())
    return figure, f"Distances between found and true segment boundaries; mean distance: {means}."


@drawn
def clip_class_bars(accuracies: Mapping[str, Mapping[str, float]]) -> tuple[Figure, str]:
    """Clip-level accuracy in groups of bars.

    Args:
        accuracies: By name of the group, then of the bar, in 0..1.
    """
    ways = list(dict.fromkeys(way for own in accuracies.values() for way in own))
    figure, axes = canvas(7.2, 1.0 + 0.34 * len(accuracies) * (len(ways) + 0.6))
    height = 0.8 / len(ways)
    for place, (way, colour) in enumerate(zip(ways, SERIES, strict=False)):
        rows = np.arange(len(accuracies)) + (place - (len(ways) - 1) / 2) * height
        values = np.array([own.get(way, np.nan) for own in accuracies.values()])
        axes.barh(rows, values, height=0.88 * height, color=colour, label=way)
        for row, value in zip(rows, values, strict=True):
            if np.isfinite(value):
                axes.text(value + 0.012, row, f"{100 * value:.1f}", va="center", fontsize=9)
    axes.set_yticks(np.arange(len(accuracies)), list(accuracies))
    axes.set(xlabel="clip-level accuracy (%)", xlim=(0, 1.08), ylim=(len(accuracies) - 0.5, -0.5))
    percent_axis(axes, "x")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=3)
    words = "; ".join(
        f"{name}: " + ", ".join(f"{way} {100 * value:.1f} %" for way, value in own.items())
        for name, own in accuracies.items()
    )
    return figure, f"Clip-level accuracy by the way in which the class is read. {words}."
