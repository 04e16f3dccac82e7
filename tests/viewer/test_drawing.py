"""Drawings land where they should, and nowhere else."""

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.skeletons import SkeletonLayout
from pan_core.viewer.drawing import draw_caption, draw_skeleton, person_colour

CHAIN = SkeletonLayout("chain", ("top", "middle", "end"), ((0, 1), (1, 2)), (), (0,), ((0,), (1,)))
WHITE = (255, 255, 255)


def blank(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def changed(frame: np.ndarray) -> np.ndarray:
    return (frame != 128).any(axis=2)


def test_bones_and_joints_are_drawn_at_their_pixels():
    frame = blank()
    draw_skeleton(frame, np.array([[50, 40, 1], [50, 120, 1], [150, 120, 1.0]]), CHAIN, colour=WHITE)
    for x, y in ((50, 40), (50, 80), (50, 120), (100, 120), (150, 120)):
        assert frame[y, x].tolist() == [255, 255, 255]
    rows, columns = np.nonzero(changed(frame))
    assert rows.min() >= 34 and rows.max() <= 126
    assert columns.min() >= 44 and columns.max() <= 156
    assert not changed(frame)[60:110, 70:].any()


@pytest.mark.parametrize("missing", [(np.nan, np.nan, 0), (100, 100, 0), (100, 100, 0.01), (np.nan, 5, 0.9)])
def test_a_joint_that_was_not_found_is_left_out_with_its_bones(missing):
    frame = blank()
    draw_skeleton(frame, np.array([[50, 40, 1], [50, 120, 1], missing], float), CHAIN)
    assert not changed(frame)[:, 60:].any()
    assert changed(frame)[80, 50]


def test_nobody_found_draws_nothing():
    frame = blank()
    draw_skeleton(frame, np.full((3, 3), np.nan), CHAIN)
    assert not changed(frame).any()


def test_places_far_outside_are_survived():
    frame = blank()
    draw_skeleton(frame, np.array([[50, 40, 1], [1e12, -1e12, 1], [np.inf, 1, 1]]), CHAIN)
    assert changed(frame)[30:50, 40:60].any(), "the joint inside the picture is drawn all the same"


def test_attention_grows_the_joint():
    joints = np.array([[50, 60, 1], [150, 60, 1], [250, 60, 1.0]])
    loose = SkeletonLayout("loose", CHAIN.joints, (), (), (0,), ((0,), (1,)))
    frame = blank()
    draw_skeleton(frame, joints, loose, attention=np.array([0.1, 0.3, 0.6]))
    areas = [changed(frame)[:, left : left + 100].sum() for left in (0, 100, 200)]
    assert areas[0] < areas[1] < areas[2]
    # 0.6 of three joints is 1.8 even shares, far from the brightest; 4 shares are.
    draw_skeleton(frame, joints, loose, attention=np.array([0, 0, 4 / 3]))
    # The highest weight has viridis' last colour, yellow: little blue, much green and red.
    blue, green, red = frame[60, 250]
    assert blue < 80 and green > 200 and red > 200


def test_line_width_follows_the_picture():
    shares = []
    for scale in (1, 4):
        frame = blank(240 * scale, 320 * scale)
        joints = np.array([[50, 40, 1], [50, 120, 1], [150, 120, 1.0]]) * [scale, scale, 1]
        draw_skeleton(frame, joints, CHAIN)
        shares.append(changed(frame).mean())
    # Lines of the same pixels would cover a quarter of the share; whole pixels and soft edges cost some of it.
    assert 0.5 * shares[0] < shares[1] < 1.5 * shares[0]


@pytest.mark.parametrize("anchor", [(0, 0), (310, 230), (-50, -50), (160, 120)])
@pytest.mark.parametrize("above", [False, True])
def test_caption_box_stays_in_the_picture(anchor, above):
    frame = blank()
    box = draw_caption(frame, ("Walking & Waving 93 %", "WalkingAndWaving 88 %"), anchor=anchor, above=above)
    assert 0 <= box.left < box.right <= 320
    assert 0 <= box.top < box.bottom <= 240
    outside = changed(frame)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert not outside.any()


def test_caption_above_ends_at_its_anchor():
    assert draw_caption(blank(), "Walking", anchor=(20, 100), above=True).bottom == 100
    assert draw_caption(blank(), "Walking", anchor=(20, 100)).top == 100


def test_captions_of_neighbours_do_not_cover_each_other():
    frame, boxes = blank(), []
    for x in (60, 80, 100, 120):
        boxes.append(draw_caption(frame, "Walking 93 %", anchor=(x, 60), above=True, avoid=boxes))
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            assert box.bottom <= other.top or other.bottom <= box.top
    assert all(box.top >= 0 and box.bottom <= 240 for box in boxes)


def test_a_caption_far_from_the_others_stays_where_it_was():
    frame = blank()
    first = draw_caption(frame, "Walking", anchor=(0, 100))
    assert draw_caption(frame, "Running", anchor=(200, 100), avoid=[first]).top == 100


def test_without_room_a_caption_is_drawn_all_the_same():
    frame = blank(24, 64)
    box = draw_caption(frame, "Walking")
    assert draw_caption(frame, "Running", avoid=[box]).top >= 0


@pytest.mark.parametrize("size", [(48, 64), (240, 320), (1080, 1920)])
def test_a_long_caption_is_shrunk_to_fit(size):
    frame = blank(*size)
    box = draw_caption(frame, "Walking & Waving " * 6)
    assert box.right <= size[1] and box.bottom <= size[0]
    text = (frame > 200).all(axis=2)
    assert not text[:, -2:].any(), "the last letters are cut off"


def test_neighbouring_people_have_their_own_colours():
    assert len({person_colour(person) for person in range(7)}) == 7


def test_shapes_are_checked():
    with refused("drawing.shape", DataError) as caught:
        draw_skeleton(blank(), np.zeros((4, 3)), CHAIN)
    assert all(str(part) in str(caught.value) for part in ("`joints`", (3, 3), (4, 3)))
    with refused("drawing.shape", DataError) as caught:
        draw_skeleton(blank(), np.zeros((3, 3)), CHAIN, attention=np.zeros(2))
    assert "`attention`" in str(caught.value)
