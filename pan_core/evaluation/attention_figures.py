"""Figures of attention: joints and frames of single clips that the network attends to, as in the paper's Figures 4 and 5."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.skeletons import SkeletonLayout
from pan_core.viewer.canvas import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SHADES, VERMILLION, canvas, drawn
from pan_core.viewer.captions import JOINER, Caption, holding, spans

# Rows of captions are filled with these; black letters read on each of them, on a light and on a dark page.
FILLS = (ORANGE, "#56b4e9", GREEN, PURPLE, "#f0e442", VERMILLION, BLUE, "#999999")


def example_clips(predictions: SplitPredictions, count: int = 4) -> list[int]:
    """Clips worth showing, by a rule that cannot flatter: ordinary successes and the most confident mistake.

    The first ones are recognised, each of another class, classes with most simultaneous or successive actions first
    and, within a class, the clip of median confidence. The last is the mistake that was stated with most confidence,
    where there is one.

    Returns:
        At most `count` indices of clips.
    """
    stated = predictions.probabilities.max(axis=1)
    right = predictions.predictions == predictions.labels
    wrong = np.flatnonzero(~right)
    mistake = [int(wrong[stated[wrong].argmax()])] if wrong.size and count > 1 else []
    chosen = []
    for label in sorted(set(predictions.labels[right].tolist()), key=lambda k: (-_count_actions(predictions, k), k)):
        members = np.flatnonzero(right & (predictions.labels == label))
        chosen.append(int(members[np.argsort(stated[members], kind="stable")[(len(members) - 1) // 2]]))
    return chosen[: count - len(mistake)] + mistake


def _count_actions(predictions: SplitPredictions, label: int) -> int:
    """Largest number of atomic actions in a clip of the class; 1 where nobody knows."""
    if predictions.frame_targets is None:
        return 1
    return int((predictions.frame_targets[predictions.labels == label] > 0).any(axis=1).sum(axis=1).max())


@drawn
def filmstrip(predictions: SplitPredictions, clip: int, *, instants: int = 8) -> tuple[Figure, str]:
    """Skeletons at evenly spaced instants with their joints' attention, above the attention over frames.

    A joint's colour and size are its attention as a multiple of an even share, so that 1 means "not preferred".
    Below, pose attention by frame and, frame by frame, the predicted and the true actions.

    Args:
        predictions: Of the split.
        clip: Index of the clip.
        instants: Skeletons to draw.
    """
    length = int(predictions.lengths[clip])
    times = np.unique(np.linspace(0, length - 1, instants).round().astype(int))
    weights = predictions.joints_attention[clip, :length] * predictions.layout.size
    scale = Normalize(0, max(float(weights.max()), 1.0))
    figure, grid = canvas(1.35 * len(times) + 1.6, 5.6, nrows=4, height_ratios=(2.4, 1.1, 0.32, 0.32), gap=0.04)
    draw_skeletons(grid[0], predictions.joints[clip], predictions.layout, times, weights, scale)
    bar = figure.colorbar(ScalarMappable(scale, SHADES), ax=grid[0], pad=0.01, aspect=14, label="joint attention (×)")
    bar.outline.set_visible(False)
    _draw_pose_attention(grid[1], predictions.pose_attention[clip, :length], times)
    said = [holding(row, predictions.actions) for row in predictions.action_probabilities[clip, :length]]
    truth = _caption_truth(predictions, clip)
    names = list(dict.fromkeys(caption.label for caption in (*truth, *said)))
    for axes, title, captions in ((grid[2], "predicted", said), (grid[3], "true", truth)):
        _draw_captions(axes, title, captions, names)
    grid[2].sharex(grid[1])
    grid[3].sharex(grid[1])
    grid[3].set_xlabel("frame")
    predicted = predictions.classes[predictions.predictions[clip]]
    true = predictions.classes[predictions.labels[clip]]
    confidence = 100 * predictions.probabilities[clip].max()
    figure.suptitle(f"{true}: recognised as {predicted} ({confidence:.0f} %)", x=0.01, ha="left", fontsize=11)
    return figure, (
        f"Clip {predictions.clip_ids[clip]}, true class {true}, predicted {predicted} with {confidence:.0f} %: skeletons "
        f"at {len(times)} instants; most attended joint {_name_most_attended(predictions, clip)}, "
        f"most attended frame {int(predictions.pose_attention[clip, :length].argmax())} of {length}."
    )


def _name_most_attended(predictions: SplitPredictions, clip: int) -> str:
    mean = predictions.joints_attention[clip, : predictions.lengths[clip]].mean(axis=0)
    return predictions.layout.joints[int(mean.argmax())].replace("_", " ")


def draw_skeletons(
    axes: Axes, joints: np.ndarray, layout: SkeletonLayout, times: np.ndarray, weights: np.ndarray, scale: Normalize
) -> None:
    """Skeletons side by side in one pair of axes, each moved to its own column, all at one scale.

    Args:
        axes: Where to draw.
        joints: Poses of one person, (T, V, 3); NaN places where a joint was not found.
        layout: Says which joints a bone connects.
        times: Frames to draw.
        weights: Colour and size of each joint, (T, V).
        scale: Of the weights.
    """
    poses = np.where(joints[:, :, 2:] > 0, joints[:, :, :2], np.nan)
    found = poses[times][np.isfinite(poses[times]).all(axis=2)]
    low, high = (found.min(axis=0), found.max(axis=0)) if len(found) else (np.zeros(2), np.ones(2))
    tall = max(float(high[1] - low[1]), 1.0)
    wide = 0.75 * tall
    for column, time in enumerate(times):
        pose = poses[time]
        seen = np.isfinite(pose).all(axis=1)
        if seen.any():
            # Centred on the pose's own middle: a walker would leave the column otherwise.
            middle = (pose[seen, 0].min() + pose[seen, 0].max()) / 2
            pose = pose + np.array([column * wide - middle, -low[1]])
            bones = [pose[[a, b]] for a, b in layout.bones if seen[a] and seen[b]]
            axes.add_collection(LineCollection(bones, colors=FAINT, linewidths=2.2, capstyle="round"))
            share = weights[time, seen]
            axes.scatter(
                pose[seen, 0], pose[seen, 1], c=share, s=14 + 90 * scale(share), cmap=SHADES, norm=scale,
                edgecolors=INK, linewidths=0.5, zorder=3,
            )  # fmt: skip
        else:
            axes.text(column * wide, tall / 2, "nobody\nfound", ha="center", va="center", color=FAINT, fontsize=8)
        axes.text(column * wide, -0.1 * tall, f"frame {time}", ha="center", va="bottom", fontsize=8, color=FAINT)
    axes.set(xlim=(-wide * 0.6, (len(times) - 0.4) * wide), ylim=(1.06 * tall, -0.12 * tall), aspect="equal")
    axes.set_axis_off()


def _draw_pose_attention(axes: Axes, attention: np.ndarray, times: np.ndarray) -> None:
    frames = np.arange(len(attention))
    share = attention * len(attention)
    axes.fill_between(frames, share, color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(frames, share, color=BLUE, linewidth=1.6)
    axes.plot(times, share[times], "o", color=BLUE, markersize=4)
    axes.axhline(1, color=FAINT, linewidth=1, linestyle=":")
    axes.set(ylabel="pose\nattention (×)", xlim=(-0.5, len(attention) - 0.5), ylim=(0, None))
    axes.tick_params(labelbottom=False)


def _caption_truth(predictions: SplitPredictions, clip: int) -> list[Caption]:
    length = int(predictions.lengths[clip])
    if predictions.frame_targets is None:
        return [Caption(predictions.classes[predictions.labels[clip]], 1.0)] * length
    held = predictions.frame_targets[clip, :length] > 0
    return [
        Caption(JOINER.join(name for name, holds in zip(predictions.actions, row, strict=True) if holds) or "none", 1.0)
        for row in held
    ]


def _draw_captions(axes: Axes, title: str, captions: Sequence[Caption], names: Sequence[str]) -> None:
    for span in spans(captions):
        colour = FILLS[names.index(span.label) % len(FILLS)]
        axes.axvspan(span.start - 0.5, span.end - 0.5, color=colour, linewidth=0)
        # Letters that would spill over their band are left out; the colours still line up with the other row.
        if (span.end - span.start) / len(captions) > 0.011 * len(span.label):
            middle = (span.start + span.end - 1) / 2
            axes.text(middle, 0.48, span.label, ha="center", va="center", fontsize=8, color="black", clip_on=True)
    axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    axes.set(yticks=[], ylim=(0, 1))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelbottom=title == "true", length=0)


@drawn
def joints_heatmap(predictions: SplitPredictions, clip: int) -> tuple[Figure, str]:
    """Attention of every joint (row) at every frame (column), as a multiple of an even share."""
    length, size = int(predictions.lengths[clip]), predictions.layout.size
    weights = predictions.joints_attention[clip, :length].T * size
    figure, axes = canvas(7.2, 1.2 + 0.23 * size)
    image = axes.imshow(weights, aspect="auto", cmap=SHADES, vmin=0, interpolation="nearest")
    axes.set_yticks(np.arange(size), [joint.replace("_", " ") for joint in predictions.layout.joints], fontsize=8)
    axes.set(xlabel="frame", title=f"{predictions.classes[predictions.labels[clip]]}: attention of joints over time")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.01, label="joint attention (×)")
    bar.outline.set_visible(False)
    return figure, (
        f"Attention of each joint over the {length} frames of clip {predictions.clip_ids[clip]}; "
        f"highest on average: {_name_most_attended(predictions, clip)}."
    )
