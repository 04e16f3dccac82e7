"""Decode the output of a pose model into joints in pixels of its input, for the forms in common use.

Shape letters: N people, V joints, w x h pixels of the input.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from pan_core.errors import DataError
from pan_core.skeletons import SkeletonLayout

# In cells: how far from the middle, or from a rough place, a peak counts half. It is in MoveNet's own graph.
SPREAD = 1.8
# Another centre in the same crop is another person if it is so sure and a peak of its own so many cells around.
MIN_CENTRE = 0.3
APART = 3
MOST_PEOPLE = 3


class Declared(Protocol):
    """Facts about a model that a decoder needs."""

    @property
    def skeleton(self) -> SkeletonLayout:
        """Its layout."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its input."""

    @property
    def split(self) -> float:
        """Places on an axis for one pixel."""

    @property
    def coordinates(self) -> str:
        """`xy` or `yx`."""

    @property
    def unit(self) -> str:
        """`pixels` or `share`."""


def decode_simcc(outputs: Sequence[np.ndarray], model: Declared) -> np.ndarray:
    """SimCC (Li et al., 2022), as RTMPose has it: a distribution over x and one over y for every joint.

    Args:
        outputs: (N, V, w * split) and (N, V, h * split).
        model: Its declaration.

    Returns:
        (N, V, 3) x, y, and the lower one of the two heights as score.
    """
    across, down = _require_count(outputs, 2, "simcc", "x and y")
    _require_shape(across.ndim == down.ndim == 3 and across.shape[1] == down.shape[1] == model.skeleton.size,
             "simcc", f"(N, {model.skeleton.size}, places) twice", across, down)  # fmt: skip
    places = np.stack([across.argmax(axis=2), down.argmax(axis=2)], axis=-1) / model.split
    score = np.minimum(across.max(axis=2), down.max(axis=2))
    return _join_scores(places, score)


def decode_heatmaps(outputs: Sequence[np.ndarray], model: Declared) -> np.ndarray:
    """One map a joint (HRNet, SimpleBaseline): its peak, a quarter of a cell towards the higher neighbour.

    Args:
        outputs: (N, V, cells down, cells across).
        model: Its declaration.
    """
    (maps,) = _require_count(outputs, 1, "heatmaps", "the maps")
    _require_shape(
        maps.ndim == 4 and maps.shape[1] == model.skeleton.size, "heatmaps", f"(N, {model.skeleton.size}, h, w)", maps
    )
    people, joints, height, width = maps.shape
    flat = maps.reshape(people, joints, -1)
    y, x = np.divmod(flat.argmax(axis=2), width)
    person, joint = np.ogrid[:people, :joints]
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    right = padded[person, joint, y + 1, x + 2] - padded[person, joint, y + 1, x]
    below = padded[person, joint, y + 2, x + 1] - padded[person, joint, y, x + 1]
    cells = np.stack([x + 0.25 * np.sign(right), y + 0.25 * np.sign(below)], axis=-1)
    step = np.array(model.size) / (width, height)
    return _join_scores((cells + 0.5) * step - 0.5, flat.max(axis=2))


def decode_keypoints(outputs: Sequence[np.ndarray], model: Declared) -> np.ndarray:
    """Places and scores as such, as MoveNet has them: (..., V, 3), or rows (..., 3 V or more) of one person each.

    Args:
        outputs: One array.
        model: Its declaration.
    """
    (found,) = _require_count(outputs, 1, "keypoints", "the joints")
    size = model.skeleton.size
    if found.ndim >= 2 and found.shape[-2:] == (size, 3):
        people = found.reshape(-1, size, 3)
    else:
        _require_shape(
            found.ndim >= 1 and found.shape[-1] >= 3 * size,
            "keypoints",
            f"(..., {size}, 3) or (..., {3 * size})",
            found,
        )
        people = found.reshape(-1, found.shape[-1])[:, : 3 * size].reshape(-1, size, 3)
    places = people[..., :2] if model.coordinates == "xy" else people[..., 1::-1]
    if model.unit == "share":
        places = places * np.array(model.size) - 0.5
    return _join_scores(places, people[..., 2])


def decode_movenet(outputs: Sequence[np.ndarray], model: Declared) -> np.ndarray:
    """MoveNet's four maps (Google, 2021): the person nearest the middle, then others, and each joint near where they say it is.

    A centre gives by regression a rough place of each joint; the joint is the peak of its own map, weighed down
    with the distance from there, and moved by an offset smaller than a cell. The published graph stops at one person, but
    its map of centres has others, too, and of two people who cross both are wanted.

    Args:
        outputs: Maps of the joints (1, V, h, w), of centres (1, 1, h, w), places from a centre (1, 2 V, h, w) and offsets
            (1, 2 V, h, w), both y before x, in cells.
        model: Its declaration.
    """
    four = _require_count(outputs, 4, "movenet", "maps, centre, regression, offsets")
    size = model.skeleton.size
    expected = [(1, depth, *four[0].shape[2:]) for depth in (size, 1, 2 * size, 2 * size)]
    _require_shape(
        [one.shape for one in four] == expected,
        "movenet",
        f"{size}, 1, {2 * size} and {2 * size} maps of a size",
        *four,
    )
    maps, centre, regression, offsets = (one[0] for one in four)
    height, width = maps.shape[1:]
    y, x = np.mgrid[:height, :width]
    rows, columns = _central_peaks(centre[0] / (np.hypot(y - height / 2, x - width / 2) + SPREAD), centre[0])
    rough = (
        regression[:, rows, columns].reshape(size, 2, -1).transpose(2, 0, 1)
        + np.stack([rows, columns], axis=1)[:, None]
    )
    people = [_joints_near(maps, each) for each in rough]
    for one, other in itertools.combinations(range(len(people)), 2):
        _settle(maps, rough, people, one, other)
    down, across = np.stack(people, axis=1)
    joint = np.arange(size)
    moved = offsets.reshape(size, 2, height, width)[joint, :, down, across]
    cells = np.stack([across + moved[..., 1], down + moved[..., 0]], axis=-1)
    step = np.array(model.size) / (width, height)
    return _join_scores(cells * step, maps[joint, down, across])


def _joints_near(maps: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Row and column, (2, V), of the highest place of each map, weighed down with the distance from a rough one."""
    y, x = np.arange(maps.shape[1], dtype=np.float32), np.arange(maps.shape[2], dtype=np.float32)
    down, across = rough.astype(np.float32).T[..., None]
    away = np.sqrt(((y - down) ** 2)[:, :, None] + ((x - across) ** 2)[:, None])
    peaks = (maps / (away + SPREAD)).reshape(len(maps), -1).argmax(axis=1)
    return np.stack(np.divmod(peaks, maps.shape[2]))


def _settle(maps: np.ndarray, rough: np.ndarray, people: list[np.ndarray], one: int, other: int) -> None:
    """Give a joint that two people claim to the nearer one; the other takes the best place elsewhere."""
    for joint in np.flatnonzero(np.abs(people[one] - people[other]).max(axis=0) <= 1):
        place = people[one][:, joint]
        away = [np.hypot(*(place - rough[person, joint])) for person in (one, other)]
        loser = other if away[0] <= away[1] else one
        rest = maps[joint].copy()
        rest[_around(place.tolist())] = 0
        people[loser][:, joint] = _joints_near(rest[None], rough[loser, joint][None])[:, 0]


def _central_peaks(weighted: np.ndarray, sureness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the surest centre by weight, and of other people's, the most central first."""
    first = np.unravel_index(np.argmax(weighted), weighted.shape)
    found, left = [first], np.where(sureness >= MIN_CENTRE, sureness, 0)
    left[_around(first)] = 0
    while left.any():
        place = np.unravel_index(np.argmax(left), left.shape)
        if sureness[place] >= sureness[_around(place)].max():
            found.append(place)
        left[_around(place)] = 0
    found[1:] = sorted(found[1:], key=lambda place: -weighted[place])
    rows, columns = np.array(found[:MOST_PEOPLE]).T
    return rows, columns


def _around(place: Sequence[Any]) -> tuple[slice, ...]:
    """The cells so near to a place that a peak there is the same."""
    return tuple(slice(max(at - APART, 0), at + APART + 1) for at in place)


DECODERS: dict[str, Callable[[Sequence[np.ndarray], Declared], np.ndarray]] = {
    "simcc": decode_simcc,
    "heatmaps": decode_heatmaps,
    "keypoints": decode_keypoints,
    "movenet": decode_movenet,
}


def _join_scores(places: np.ndarray, score: np.ndarray) -> np.ndarray:
    return np.concatenate([places, np.clip(score, 0.0, 1.0)[..., None]], axis=-1).astype(float)


def _require_count(outputs: Sequence[np.ndarray], count: int, decoding: str, what: str) -> Sequence[np.ndarray]:
    if len(outputs) != count:
        raise DataError(
            f"decoding {decoding}: Expected {count} outputs, {what}, but the model gives {len(outputs)}; "
            "name the right ones under `outputs` in its declaration",
            code="pose-model.outputs",
        )
    return outputs


def _require_shape(kept: bool, decoding: str, expected: str, *found: np.ndarray) -> None:
    if not kept:
        raise DataError(
            f"decoding {decoding}: Expected {expected}, but got {', '.join(str(one.shape) for one in found)}",
            code="pose-model.output-shape",
        )
