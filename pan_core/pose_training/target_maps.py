"""Target maps of the network for annotated people: confidence maps and part affinity fields (Cao et al., 2017).

Shape letters: N people, V = 18 joints of the layout openpose18, h x w cells of 8 pixels.
"""

import numpy as np

from pan_core.pose.maps import AFFINITY_MAPS, CONFIDENCE_MAPS, JOINTS, LIMB_JOINTS, LIMB_MAPS, MAP_CHANNELS, STRIDE

# Standard deviation of a joint's peak and half the width of a limb, in cells; 7 and 8 pixels as in OpenPose's training.
SIGMA = 7 / STRIDE
LIMB_WIDTH = 1.0


def target_maps(people: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Maps of some people, (57, height, width) float32: 18 joints, the background, then 38 affinity maps.

    Where people overlap, a joint's map holds the highest of them and a limb's field their mean, as in the paper.

    Args:
        people: (N, V, 3) x, y in pixels of the network's input; joints with score 0 are not there.
        height: Cells.
        width: Cells.
    """
    cells = people.copy()
    cells[..., :2] = (people[..., :2] + 0.5) / STRIDE - 0.5
    y, x = np.mgrid[:height, :width].astype(float)
    maps = np.zeros((MAP_CHANNELS, height, width), np.float32)
    for person in cells:
        for joint in np.flatnonzero(person[:, 2] > 0):
            apart = (x - person[joint, 0]) ** 2 + (y - person[joint, 1]) ** 2
            maps[joint] = np.maximum(maps[joint], np.exp(-apart / (2 * SIGMA**2)))
    maps[JOINTS] = 1 - maps[:JOINTS].max(axis=0)
    maps[CONFIDENCE_MAPS:] = _draw_affinity(cells, x, y)
    return maps


def _draw_affinity(people: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unit vectors along the limbs (Cao et al., equations 8 and 9), (38, h, w)."""
    fields = np.zeros((AFFINITY_MAPS, *x.shape))
    for (start, end), channel in zip(LIMB_JOINTS, LIMB_MAPS, strict=True):
        count = np.zeros(x.shape)
        for person in people[(people[:, [start, end], 2] > 0).all(axis=1)]:
            way = person[end, :2] - person[start, :2]
            length = float(np.linalg.norm(way))
            if length < 1e-6:
                continue
            unit = way / length
            right, down = x - person[start, 0], y - person[start, 1]
            along, across = right * unit[0] + down * unit[1], right * unit[1] - down * unit[0]
            # Past the ends, too, as OpenPose's own training has it: else short limbs are narrower than their samples.
            on = (along >= -LIMB_WIDTH) & (along <= length + LIMB_WIDTH) & (np.abs(across) <= LIMB_WIDTH)
            fields[channel : channel + 2] += unit[:, None, None] * on
            count += on
        fields[channel : channel + 2] /= np.maximum(count, 1)
    return fields
