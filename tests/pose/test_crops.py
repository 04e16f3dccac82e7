"""Crops: what is seen at a place in a crop lies at the place that is computed for it in the frame."""

import numpy as np
import pytest

from pan_core.pose.crops import LIMB_SHARES, Square, cut_square, shrink_frame, square_around, statures, upright_turn
from pan_core.skeletons import OPENPOSE18

# A person who stands in the frame, 100 pixels from eyes to ankles.
STANDING = np.array([
    (50, 14), (50, 25), (38, 25), (34, 45), (34, 62), (62, 25), (66, 45), (66, 62), (43, 60), (43, 85), (43, 110),
    (57, 60), (57, 85), (57, 110), (47, 10), (53, 10), (44, 13), (56, 13),
], float)  # fmt: skip


def pose(places: np.ndarray) -> np.ndarray:
    return np.column_stack([places, np.ones(len(places))])


def blob_centre(image: np.ndarray) -> np.ndarray:
    """Centre of brightness of a dark picture with one bright blob, as x, y."""
    weight = np.where(image[..., 0] > 140, image[..., 0].astype(float), 0.0)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("side", [60.0, 113.0, 224.0])
def test_crop_and_back(turn: int, side: float) -> None:
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[40:45, 30:35] = 255  # centred at x = 32, y = 42
    source = cut_square(frame, Square(np.array([50.0, 50.0]), side, turn), size=224)
    assert source.image.shape == (224, 224, 3)
    seen = np.array([[*blob_centre(source.image), 1.0]])
    np.testing.assert_allclose(source.to_frame(seen), [[32.0, 42.0, 1.0]], atol=0.3)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_narrow_crop_shows_the_same_at_less_cost(turn: int) -> None:
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[40:45, 30:35] = 255
    square = Square(np.array([50.0, 50.0]), 113.0, turn, (0.5, 1.0))
    source = cut_square(frame, square, size=176, narrowest=0.4)
    assert source.image.shape == ((96, 176, 3) if turn % 2 else (176, 96, 3))  # 0.5 of 176, up to the next 16
    seen = np.array([[*blob_centre(source.image), 1.0]])
    np.testing.assert_allclose(source.to_frame(seen), [[32.0, 42.0, 1.0]], atol=0.3)


def test_a_crop_leaves_the_same_room_on_all_sides() -> None:
    square = square_around(pose(STANDING))  # 32 wide, 100 high, so 25 around it
    assert square.side * np.array(square.shares) == pytest.approx([82, 150])


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_shrunk_frame_and_back(turn: int) -> None:
    frame = np.zeros((240, 560, 3), np.uint8)
    frame[100:111, 300:311] = 255
    source = shrink_frame(frame, size=(432, 368), turn=turn)
    assert sorted(source.image.shape[:2]) == [184, 432]
    seen = np.array([[*blob_centre(source.image), 1.0]])
    np.testing.assert_allclose(source.to_frame(seen)[0, :2], [305.0, 105.0], atol=0.5)


def test_a_standing_person_is_as_tall_as_the_limbs_say() -> None:
    joints = np.zeros((1, 18, 3))
    for (a, b), share in LIMB_SHARES.items():
        joints[0, b] = [*(joints[0, a, :2] + (0, share * 200)), 1]
    joints[0, 1, 2] = 1
    np.testing.assert_allclose(statures(joints), [200.0])
    assert statures(np.zeros((1, 18, 3))) == [0.0]


@pytest.mark.parametrize("missing", [[], [4], [4, 7, 10], [1, 2, 5], list(range(2, 18))])
def test_stature_is_a_quantile_over_the_limbs_found(missing: list[int]) -> None:
    rng = np.random.default_rng(len(missing))
    people = np.concatenate([rng.uniform(0, 100, (3, 18, 2)), np.ones((3, 18, 1))], axis=2)
    people[:, missing] = np.nan, np.nan, 0
    limbs = [limb for limb in LIMB_SHARES if not set(limb) & set(missing)]
    heights = [[np.hypot(*(p[a, :2] - p[b, :2])) / LIMB_SHARES[a, b] for a, b in limbs] for p in people]
    np.testing.assert_allclose(statures(people), np.quantile(heights, 0.75, axis=1))


def test_crop_around_a_face_alone_still_holds_the_body() -> None:
    whole = square_around(pose(STANDING))
    face = pose(STANDING)
    face[[j for j, name in enumerate(OPENPOSE18.joints) if name not in ("nose", "neck", "right_shoulder")], 2] = 0
    alone = square_around(face)
    assert alone.side > 0.5 * whole.side
    assert whole.side == pytest.approx(1.5 * 100)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_lying_people_are_turned_upright(turn: int) -> None:
    # np.rot90 turns counter-clockwise, so a crop turned by `turn` undoes a person turned by -turn.
    centred = STANDING - (50, 50)
    for _ in range(turn):
        centred = np.stack([-centred[:, 1], centred[:, 0]], axis=1)  # clockwise on the screen
    assert upright_turn(pose(centred + 50), turn=0) == turn


def test_turn_does_not_flicker_and_is_kept_without_a_torso() -> None:
    angle = np.radians(50)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    leaning = pose((STANDING - 50) @ rotation.T + 50)
    assert upright_turn(leaning, turn=0) == 0
    assert upright_turn(leaning, turn=1) == 1
    leaning[[8, 11], 2] = 0
    assert upright_turn(leaning, turn=3) == 3
