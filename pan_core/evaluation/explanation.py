"""Picture of an explanation: skeletons, joints over time and frames that decided the class of a clip."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from pan_core.evaluation.attention_figures import draw_skeletons
from pan_core.evaluation.relevance import Explanation
from pan_core.viewer.canvas import BLUE, FAINT, SHADES, VERMILLION, canvas, drawn

SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#f4f4f4", VERMILLION])
"""Against the class, neither, for the class."""


@drawn
def explanation_picture(explanation: Explanation, *, instants: int = 8) -> tuple[Figure, str]:
    """Skeletons, a heat map of joints over frames, and curves over frames, one below the other.

    Skeletons: colour and size of a joint are its attention at that instant times what it adds to the predicted class,
    where that is above 0. Heat map: the same for every frame, with its sign, as a share of the largest. Curves: the
    attention that frames get, and what the joints of a frame add together.

    Args:
        explanation: What to draw.
        instants: Skeletons to draw.
    """
    frames, size = explanation.relevance.shape
    times = np.unique(np.linspace(0, frames - 1, instants).round().astype(int))
    largest = max(float(np.abs(explanation.relevance).max()), 1e-12)
    share = explanation.relevance / largest
    figure, grid = canvas(
        1.35 * len(times) + 1.8, 5.2 + 0.19 * size, nrows=3, height_ratios=(2.6, 0.19 * size + 0.3, 1.5), gap=0.04
    )
    positive = np.clip(share, 0, 1)
    scale = Normalize(0, max(float(positive.max()), 1e-6))
    draw_skeletons(grid[0], explanation.joints, explanation.layout, times, positive, scale)
    _draw_bar(figure, grid[0], ScalarMappable(scale, SHADES), "speaks for it")
    _draw_heat_map(figure, grid[1], explanation, share)
    _draw_frames(grid[2], explanation, times)
    grid[2].sharex(grid[1])
    figure.suptitle(
        f"{explanation.true}: recognised as {explanation.predicted} ({100 * explanation.confidence:.0f} %)",
        x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    return figure, _describe(explanation)


def _draw_heat_map(figure: Figure, axes: Axes, explanation: Explanation, share: np.ndarray) -> None:
    names = [joint.replace("_", " ") for joint in explanation.layout.joints]
    signed = Normalize(-1, 1)
    axes.imshow(share.T, aspect="auto", cmap=SIGNED, norm=signed, interpolation="nearest")
    axes.set_yticks(np.arange(len(names)), names, fontsize=8)
    axes.grid(False)
    axes.tick_params(labelbottom=False, length=0)
    _draw_bar(figure, axes, ScalarMappable(signed, SIGNED), f"against / for\n{explanation.predicted}")


def _draw_frames(axes: Axes, explanation: Explanation, times: np.ndarray) -> None:
    """Attention over frames as a multiple of an even share, and the signed sum over the joints of a frame."""
    frames = np.arange(len(explanation.pose_attention))
    attention = explanation.pose_attention * len(frames)
    evidence = explanation.relevance.sum(axis=1)
    evidence = evidence / max(float(np.abs(evidence).max()), 1e-12) * float(attention.max())
    axes.fill_between(frames, attention, color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(frames, attention, color=BLUE, linewidth=1.6, label="pose attention (×)")
    axes.plot(frames, evidence, color=VERMILLION, linewidth=1.6, label="joints of the frame together (scaled)")
    axes.plot(times, attention[times], "o", color=BLUE, markersize=4)
    axes.axhline(1, color=FAINT, linewidth=1, linestyle=":")
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set(xlabel="frame", xlim=(-0.5, len(frames) - 0.5))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=2, fontsize=9)


def _draw_bar(figure: Figure, axes: Axes, colours: ScalarMappable, label: str) -> None:
    bar = figure.colorbar(colours, ax=axes, pad=0.01, aspect=14, label=label)
    bar.outline.set_visible(False)


def _describe(explanation: Explanation) -> str:
    by_joint = np.clip(explanation.relevance, 0, None).sum(axis=0)
    total = max(float(by_joint.sum()), 1e-12)
    leading = [
        f"{explanation.layout.joints[joint].replace('_', ' ')} {100 * by_joint[joint] / total:.0f} %"
        for joint in by_joint.argsort()[::-1][:3]
    ]
    frame = int(explanation.relevance.sum(axis=1).argmax())
    return (
        f"Clip {explanation.clip_id}, true class {explanation.true}, recognised as {explanation.predicted} "
        f"({100 * explanation.confidence:.0f} %). What speaks for it comes from {', '.join(leading)}; most of all from "
        f"frame {frame} of {len(explanation.relevance)}; most attended frame {int(explanation.pose_attention.argmax())}."
    )
