"""What the network is to answer, read back by the grouping that reads the network's answers."""

from pathlib import Path

import cv2
import numpy as np

from pan_core.pose.crops import Square, square_around
from pan_core.pose.grouping import GroupingSettings, cells_to_pixels, group_people
from pan_core.pose_training.pictures import TrainingPicture, from_coco
from pan_core.pose_training.target_maps import target_maps
from pan_core.pose_training.training_crops import draw_sample
from pan_core.skeletons import OPENPOSE18
from tests.scripted_people import STANDING


def person(x: float, y: float, scale: float = 1.0) -> np.ndarray:
    return np.column_stack([STANDING * scale + (x, y), np.ones(18)])


def test_the_grouping_finds_in_the_maps_whom_they_were_drawn_for() -> None:
    people = np.stack([person(80, 100), person(190, 120)])
    people[1, 4, 2] = 0  # a wrist is not marked
    maps = target_maps(people, height=28, width=32)
    found = cells_to_pixels(group_people(maps, settings=GroupingSettings()))
    found = found[np.argsort(np.nanmean(found[..., 0], axis=1))]
    assert found.shape == (2, 18, 3)
    assert found[1, 4, 2] == 0
    marked = people[..., 2] > 0
    np.testing.assert_allclose(found[marked][:, :2], people[marked][:, :2], atol=2.0)


def test_maps_by_hand() -> None:
    """A right shoulder at the middle of cell (2, 3) and a right elbow four cells to the right of it."""
    people = np.zeros((1, 18, 3))
    people[0, 2] = 2 * 8 + 3.5, 3 * 8 + 3.5, 1
    people[0, 3] = 6 * 8 + 3.5, 3 * 8 + 3.5, 1
    maps = target_maps(people, height=8, width=10)
    assert maps[2, 3, 2] == 1
    np.testing.assert_allclose(maps[2, 3, 3], np.exp(-1 / (2 * (7 / 8) ** 2)), rtol=1e-6)
    np.testing.assert_allclose(maps[18], 1 - maps[:18].max(axis=0))
    x, y = maps[19 + 14], maps[19 + 15]  # the limb from shoulder to elbow, as in `maps.LIMB_MAPS`
    np.testing.assert_array_equal(x[2:5, 1:8], np.ones((3, 7)))
    assert x.sum() == 21 and not y.any()
    assert not np.delete(maps[19:], [14, 15], axis=0).any()


def test_a_mirrored_sample_shows_the_mirrored_person() -> None:
    """Whatever is drawn: grouping the sample's maps gives joints at the bright dots in the sample's picture."""
    image = np.zeros((240, 320, 3), np.uint8)
    people = person(150, 120)[None]
    wrist = OPENPOSE18.index("right_wrist")
    cv2.circle(image, tuple(int(v) for v in people[0, wrist, :2]), 6, (255, 255, 255), -1)
    picture = TrainingPicture(image, square_around(people[0]), people)
    for seed in range(6):
        crop, maps, learnt = draw_sample(picture, np.random.default_rng(seed), size=160)
        assert crop.shape == (160, 160, 3) and learnt.all()
        found = cells_to_pixels(group_people(maps, settings=GroupingSettings()))[0]
        y, x = np.nonzero(crop[..., 0] > 180)
        # A mirrored person's right hand is a left one, and hangs on the other side.
        side = "left_wrist" if x.mean() > found[OPENPOSE18.index("neck"), 0] else "right_wrist"
        np.testing.assert_allclose(found[OPENPOSE18.index(side), :2], [x.mean(), y.mean()], atol=4)


def test_coco_people_with_their_necks_and_nothing_is_learnt_where_nobody_was_marked(real_data: Path) -> None:
    folder = real_data / "people" / "coco"
    pictures = from_coco(folder / "person_keypoints.json", folder)
    assert len(pictures) >= 10
    for picture in pictures:
        shoulders = picture.people[:, [2, 5]]
        both = (shoulders[..., 2] > 0).all(axis=1)
        np.testing.assert_allclose(picture.people[both, 1, :2], shoulders[both, :, :2].mean(axis=1))
    picture = TrainingPicture(np.zeros((80, 80, 3), np.uint8), pictures[0].square, None, np.array([[0, 0, 16, 24]]))
    whole = TrainingPicture(picture.image, Square(np.array([40, 40]), 80), None, picture.unmarked)
    _, maps, learnt = draw_sample(whole, None, size=80)
    assert maps is None
    assert (learnt == 0).sum() == 6 and not learnt[:3, :2].any()
