"""Skeleton layouts: which joints a pose has, in which order, and how they are connected.

A layout is plain data and travels with every pose file and every model, so that a model is never fed
joints in another order than the one that it was trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pan_core.errors import DataError


@dataclass(frozen=True)
class SkeletonLayout:
    """Joints of a 2D skeleton.

    Attributes:
        name: Name under which files refer to the layout.
        joints: Joint names; their order is the order of the joint axis V everywhere.
        bones: Pairs (parent, child) of joint indices; together they form a forest.
        pairs: Pairs (right, left) of joint indices that a mirror swaps.
        root: Joints whose mean is the origin of body-relative coordinates.
        torso: Two groups of joints; the distance between their means is the torso length.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]
    root: tuple[int, ...]
    torso: tuple[tuple[int, ...], tuple[int, ...]]

    def __post_init__(self) -> None:
        size = len(self.joints)
        used = [j for pair in (*self.bones, *self.pairs, *self.torso, self.root) for j in pair]
        outside = sorted({j for j in used if not 0 <= j < size})
        if outside:
            raise DataError(
                f"skeleton layout {self.name!r}: joint indices {outside} are outside 0..{size - 1}",
                code="skeleton.index",
            )
        children = [child for _, child in self.bones]
        if len(set(children)) != len(children):
            raise DataError(
                f"skeleton layout {self.name!r}: a joint has two parents, expected a forest of bones",
                code="skeleton.two-parents",
            )

    @property
    def size(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    def adjacency(self) -> np.ndarray:
        """Symmetric 0/1 adjacency of the bones, without self loops, shape (V, V)."""
        matrix = np.zeros((self.size, self.size), dtype=np.float32)
        for parent, child in self.bones:
            matrix[parent, child] = matrix[child, parent] = 1.0
        return matrix

    def mirror(self) -> np.ndarray:
        """Joint order after a left-right flip, shape (V,)."""
        order = np.arange(self.size)
        for right, left in self.pairs:
            order[[right, left]] = left, right
        return order

    def parents(self) -> np.ndarray:
        """Parent of each joint, shape (V,); a root of the forest is its own parent."""
        parents = np.arange(self.size)
        for parent, child in self.bones:
            parents[child] = parent
        return parents

    def index(self, joint: str) -> int:
        """Index of a joint by name."""
        if joint not in self.joints:
            raise DataError(
                f"skeleton layout {self.name!r} has no joint {joint!r}; it has {', '.join(self.joints)}",
                code="skeleton.no-joint",
            )
        return self.joints.index(joint)

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "bones": [list(bone) for bone in self.bones],
            "pairs": [list(pair) for pair in self.pairs],
            "root": list(self.root),
            "torso": [list(group) for group in self.torso],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "SkeletonLayout":
        """Layout from plain data, for user-defined skeletons and for model files."""
        missing = sorted({"name", "joints", "bones", "pairs", "root", "torso"} - set(data))
        if missing:
            raise DataError(f"skeleton layout: missing {', '.join(missing)}", code="skeleton.missing")

        def tuples(value: object) -> tuple[tuple[int, ...], ...]:
            return tuple(tuple(int(j) for j in group) for group in value)  # type: ignore[attr-defined]

        return cls(
            name=str(data["name"]),
            joints=tuple(data["joints"]),  # type: ignore[arg-type]
            bones=tuples(data["bones"]),  # type: ignore[arg-type]
            pairs=tuples(data["pairs"]),  # type: ignore[arg-type]
            root=tuple(int(j) for j in data["root"]),  # type: ignore[attr-defined]
            torso=tuples(data["torso"]),  # type: ignore[arg-type]
        )


OPENPOSE18 = SkeletonLayout(
    name="openpose18",
    joints=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    bones=(
        (1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
        (0, 14), (0, 15), (14, 16), (15, 17),
    ),
    pairs=((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17)),
    root=(8, 11),
    torso=((1,), (8, 11)),
)  # fmt: skip

COCO17 = SkeletonLayout(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
        "left_ankle", "right_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
        (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    pairs=((2, 1), (4, 3), (6, 5), (8, 7), (10, 9), (12, 11), (14, 13), (16, 15)),
    root=(11, 12),
    torso=((5, 6), (11, 12)),
)  # fmt: skip

PENN13 = SkeletonLayout(
    name="penn13",
    joints=(
        "head", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "right_wrist", "left_wrist",
        "right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 3), (3, 5), (2, 4), (4, 6), (1, 7), (2, 8), (7, 9), (9, 11), (8, 10), (10, 12),
    ),
    pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12)),
    root=(7, 8),
    torso=((1, 2), (7, 8)),
)  # fmt: skip
"""Penn Action's own list names "left" first, but its columns are the other way round: of people who face the camera the
first shoulder is to the left in the picture (all who strum a guitar, 98 % of those who do jumping jacks), and of those who
pitch, bowl and serve the first wrist is the fast one."""

JHMDB15 = SkeletonLayout(
    name="jhmdb15",
    joints=(
        "neck", "belly", "face", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_elbow",
        "left_elbow", "right_knee", "left_knee", "right_wrist", "left_wrist", "right_ankle", "left_ankle",
    ),
    bones=(
        (1, 0), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (3, 7), (4, 8), (5, 9), (6, 10), (7, 11), (8, 12),
        (9, 13), (10, 14),
    ),
    pairs=((3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14)),
    root=(1,),
    torso=((0,), (1,)),
)  # fmt: skip

LAYOUTS = {layout.name: layout for layout in (OPENPOSE18, COCO17, PENN13, JHMDB15)}


def layout_by_name(name: str) -> SkeletonLayout:
    """One of the built-in layouts."""
    if name not in LAYOUTS:
        raise DataError(
            f"unknown skeleton layout {name!r}; known: {', '.join(sorted(LAYOUTS))}", code="skeleton.unknown-layout"
        )
    return LAYOUTS[name]


# Joints that one layout has and another has not: the mean of these, where they are seen; the first group that the other has.
_DERIVED = {
    "head": (("nose",), ("face",)),
    "face": (("nose",), ("head",)),
    "nose": (("face",), ("head",)),
    "neck": (("left_shoulder", "right_shoulder"),),
    "belly": (("left_shoulder", "right_shoulder", "left_hip", "right_hip"),),
}


def convert(
    joints: np.ndarray, source: SkeletonLayout, target: SkeletonLayout, *, may_lack: bool = False
) -> np.ndarray:
    """Joints in the order of another layout; a joint that the source lacks is derived from its neighbours.

    Args:
        joints: Shape (..., V, 3): x, y, score; missing joints have score 0 and NaN places.
        source: Layout of `joints`.
        target: Layout wanted.
        may_lack: Whether a joint that cannot be had is missing everywhere instead of being refused.

    Returns:
        Shape (..., W, 3). A derived joint is missing unless all that it is made of is seen; its score is the lowest
        of theirs.

    Raises:
        DataError: If a joint of the target cannot be had from the source, unless it may be lacking.
    """
    if joints.shape[-2:] != (source.size, 3):
        raise DataError(
            f"Expected joints to have shape (..., {source.size}, 3), but got {joints.shape}", code="skeleton.shape"
        )
    columns = []
    for name in target.joints:
        groups = ((name,), *_DERIVED.get(name, ()))
        names = next((group for group in groups if set(group) <= set(source.joints)), None)
        if names is None and may_lack:
            columns.append(np.zeros_like(joints[..., 0, :]))
            continue
        if names is None:
            raise DataError(
                f"skeleton layout {source.name!r} has no {name!r} and nothing to derive it from",
                code="skeleton.no-source",
            )
        columns.append(joints[..., [source.index(n) for n in names], :].mean(axis=-2))
        columns[-1][..., 2] = joints[..., [source.index(n) for n in names], 2].min(axis=-1)
    converted = np.stack(columns, axis=-2)
    converted[converted[..., 2] <= 0] = np.array([np.nan, np.nan, 0.0])
    return converted
