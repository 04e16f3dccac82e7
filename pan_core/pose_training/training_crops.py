"""Pictures varied at random as the network reads them: shifted, scaled, mirrored, lighter or darker."""

from dataclasses import replace

import numpy as np

from pan_core.pose.crops import NetworkInput, cut_square
from pan_core.pose.maps import STRIDE
from pan_core.pose_training.pictures import TrainingPicture
from pan_core.pose_training.target_maps import target_maps
from pan_core.skeletons import OPENPOSE18

SCALES = (0.75, 1.3)
SHIFT = 0.1
LIGHT = (0.8, 1.2)


def draw_sample(
    picture: TrainingPicture, rng: np.random.Generator | None, *, size: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """One crop of a picture.

    Args:
        picture: With a person.
        rng: What varies it; None takes the crop as it is.
        size: Side in pixels.

    Returns:
        The crop (size, size, 3) uint8; its maps (57, size / 8, size / 8), None if a teacher annotates it; and the mask
        of what is learnt, (size / 8, size / 8) of 0 and 1.
    """
    square, mirror, light = picture.square, False, 1.0
    if rng is not None:
        way = rng.uniform(-SHIFT, SHIFT, 2) * square.side
        square = replace(square, side=square.side * rng.uniform(*SCALES), centre=square.centre + way)
        mirror, light = bool(rng.random() < 0.5), rng.uniform(*LIGHT)
    source = cut_square(picture.read(), square, size=size)
    image = np.clip(source.image * light, 0, 255).astype(np.uint8)
    cells = size // STRIDE
    maps = None
    if picture.people is not None:
        people = _place_in_crop(picture.people, source)
        maps = target_maps(_mirror_people(people, size) if mirror else people, height=cells, width=cells)
    learnt = _mask_learnt(picture, source, cells)
    return (image[:, ::-1], maps, learnt[:, ::-1]) if mirror else (image, maps, learnt)


def _place_in_crop(joints: np.ndarray, source: NetworkInput) -> np.ndarray:
    """Joints of an unturned crop's frame in pixels of the crop; what `NetworkInput.to_frame` undoes."""
    placed = joints.copy()
    placed[..., :2] = (joints[..., :2] + 0.5 - source.origin) / source.scale - 0.5
    return placed


def _mirror_people(people: np.ndarray, size: int) -> np.ndarray:
    turned = people[:, OPENPOSE18.mirror()]
    turned[..., 0] = size - 1 - turned[..., 0]
    return turned


def _mask_learnt(picture: TrainingPicture, source: NetworkInput, cells: int) -> np.ndarray:
    """1 in every cell but those of people without marked joints."""
    learnt = np.ones((cells, cells), np.float32)
    for x, y, width, height in picture.unmarked:
        corners = np.array([[x, y], [x + width, y + height]])
        low, high = np.clip((corners - source.origin) / source.scale / STRIDE, 0, cells)
        learnt[int(low[1]) : int(np.ceil(high[1])), int(low[0]) : int(np.ceil(high[0]))] = 0
    return learnt
