"""Tracking, first with an estimator that knows the true joints, then with the network on drawn people."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.accuracy import pck, track_accuracy, visible
from pan_core.pose.clothing import LINES
from pan_core.pose.crops import Square, upright_turn
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.person_tracker import PersonTracker
from pan_core.pose.pretrained import DECLARATIONS
from pan_core.pose.tracks import TrackCollector

FRAME = np.zeros((240, 320, 3), np.uint8)
# Eyes to ankles 100 pixels, the neck at 0, 0.
STANDING = np.array([
    (0, -11), (0, 0), (-12, 0), (-16, 20), (-16, 37), (12, 0), (16, 20), (16, 37), (-7, 35), (-7, 60), (-7, 85),
    (7, 35), (7, 60), (7, 85), (-3, -15), (3, -15), (-6, -12), (6, -12),
], float)  # fmt: skip


def person(x: float, y: float, *, score: float = 0.8, lying: bool = False) -> np.ndarray:
    """A standing pose, or one that lies with the head to the left, around a neck at x, y."""
    places = np.stack([STANDING[:, 1], -STANDING[:, 0]], axis=1) if lying else STANDING
    return np.column_stack([places + np.array([x, y]), np.full(18, score)])


class TrueJoints:
    """Estimator that is told who is there in each frame, and sees only people upright in their view."""

    searches_crops = False

    def __init__(self, script: Sequence[Sequence[np.ndarray]]) -> None:
        self.script = script
        self.frame = -1
        self.searches: list[int] = []
        self.close: list[int] = []
        self.looks: list[int] = []

    def upright(self, turn: int) -> list[np.ndarray]:
        return [pose for pose in self.script[self.frame] if upright_turn(pose, turn=turn) == turn]

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        self.searches.append(self.frame)
        self.close += [self.frame] if closely else []
        return np.array(self.upright(turn)).reshape(-1, 18, 3)

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        self.looks.append(len(squares))
        found = []
        for square in squares:
            inside = [
                pose
                for pose in self.upright(square.turn)
                if (np.abs(pose[:, :2] - square.centre) <= square.side / 2).all(axis=1).mean() > 0.7
            ]
            found.append(np.array(inside).reshape(-1, 18, 3))
        return found


def follow(script: Sequence[Sequence[np.ndarray]], **changes: int) -> tuple[list[dict[int, np.ndarray]], TrueJoints]:
    estimator = TrueJoints(script)
    settings = {"max_people": 2, "search_every": 15} | changes
    tracker = PersonTracker(estimator, min_person_score=0.12, **settings)
    seen = []
    for number in range(len(script)):
        estimator.frame = number
        seen.append(dict(tracker.update(FRAME)))
    return seen, estimator


def test_one_person_is_searched_once_and_followed_in_crops() -> None:
    script = [[person(60 + 4 * t, 80)] for t in range(15)]
    seen, estimator = follow(script)
    assert all(list(people) == [0] for people in seen)
    np.testing.assert_array_equal([people[0] for people in seen], [people[0] for people in script])
    assert estimator.searches == [0]
    assert [count for count in estimator.looks if count] == [1] * 15


def test_between_looks_joints_go_with_the_picture() -> None:
    """A texture that moves under the joints by a known way; where it is cut off, the network looks at once."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (400, 600, 3), dtype=np.uint8), (0, 0), 2)
    script = [[person(100 + 3 * t, 90 + t)] for t in range(12)]
    frames = [texture[100 - t : 340 - t, 150 - 3 * t : 470 - 3 * t].copy() for t in range(12)]
    frames[9] = np.full_like(frames[9], 128)
    estimator = TrueJoints(script)
    tracker = PersonTracker(estimator, max_people=1, search_every=30, min_person_score=0.12, look_every=4)
    looked = []
    for number, frame in enumerate(frames):
        estimator.frame, before = number, sum(estimator.looks)
        ((_, joints),) = tracker.update(frame)
        looked += [number] if sum(estimator.looks) > before else []
        np.testing.assert_allclose(joints[:, :2], script[number][0][:, :2], atol=0.3)
    assert looked == [0, 4, 8, 9, 10]


def test_a_joint_that_a_look_misses_goes_on_with_the_picture_and_fades() -> None:
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (400, 600, 3), dtype=np.uint8), (0, 0), 2)
    script = [[person(100 + 3 * t, 90 + t)] for t in range(14)]
    for people in script[2:]:
        people[0][4] = np.nan, np.nan, 0.0
    for keep in (True, False):
        estimator = TrueJoints(script)
        tracker = PersonTracker(estimator, max_people=1, search_every=30, min_person_score=0.12, keep_missed=keep)
        wrists = []
        for number in range(14):
            estimator.frame = number
            ((_, joints),) = tracker.update(texture[100 - number : 340 - number, 150 - 3 * number : 470 - 3 * number])
            wrists.append(joints[4])
        # A score of 0.8 is 0.8 * 0.7^n n frames later, and below 0.05 it is given up.
        faded = [0.8 * 0.7 ** max(0, t - 1) for t in range(14)]
        expected = [score if t < 2 or (keep and score >= 0.05) else 0.0 for t, score in enumerate(faded)]
        np.testing.assert_allclose([wrist[2] for wrist in wrists], expected)
        kept = [t for t in range(14) if expected[t]]
        places = [person(100 + 3 * t, 90 + t)[4, :2] for t in kept]
        np.testing.assert_allclose([wrists[t][:2] for t in kept], places, atol=0.3)


def test_searches_are_close_where_nobody_was_found_and_now_and_then() -> None:
    _, empty = follow([[]] * 9)
    assert empty.close == [0, 6]
    _, followed = follow([[person(150, 80)]] * 45, search_every=5)
    assert followed.searches == list(range(0, 45, 5))
    assert followed.close == [15, 35]


def test_people_who_cross_keep_their_numbers() -> None:
    script = [[person(60 + 5 * t, 80), person(260 - 5 * t, 84)] for t in range(40)]
    seen, _ = follow(script)
    first = next(number for number, pose in seen[0].items() if pose[1, 0] < 160)
    for people, (one, other) in zip(seen, script, strict=True):
        # Where both poses are nearly the same, one of them cannot be told from a repetition.
        if abs(one[1, 0] - other[1, 0]) > 30:
            np.testing.assert_array_equal(people[first], one)
            np.testing.assert_array_equal(people[1 - first], other)


def test_one_passes_behind_the_other() -> None:
    script = [[person(100, 80)] + ([person(180 - 4 * t, 80)] if not 14 < t < 26 else []) for t in range(36)]
    seen, _ = follow(script)
    walker = next(number for number, pose in seen[0].items() if pose[1, 0] > 150)
    assert all(walker not in seen[t] for t in range(15, 26))
    np.testing.assert_array_equal(seen[35][walker], script[35][1])


def test_a_newcomer_is_found_by_the_next_search() -> None:
    script = [[person(80, 80)] + ([person(230, 80)] if t >= 5 else []) for t in range(20)]
    seen, _ = follow(script, search_every=10)
    assert [len(people) for people in seen] == [1] * 10 + [2] * 10


def test_never_more_people_than_allowed() -> None:
    script = [[person(60, 80), person(150, 80, score=0.5), person(240, 80)]] * 12
    seen, _ = follow(script, search_every=3)
    assert all(len(people) == 2 for people in seen)
    assert sorted(round(pose[1, 0]) for pose in seen[-1].values()) == [60, 240]


def test_a_much_surer_person_takes_the_place_of_a_faint_one() -> None:
    script = [[person(60, 80, score=0.2)] + ([person(240, 80, score=0.9)] if t >= 2 else []) for t in range(12)]
    seen, _ = follow(script, max_people=1, search_every=3)
    assert [round(pose[1, 0]) for pose in seen[-1].values()] == [240]


def test_a_person_who_falls_keeps_the_number() -> None:
    script = [[person(150, 80)]] * 5 + [[person(130, 130, lying=True)]] * 20
    seen, _ = follow(script, search_every=1000)
    assert set().union(*seen) == {0}
    assert all(0 in people for people in seen[-15:])


def test_somebody_faint_is_looked_for_in_turned_crops_too_at_every_second_look() -> None:
    class Leaning(TrueJoints):
        """From the third frame on, the person scores a quarter unless the crop is turned."""

        def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
            self.looks += [len(squares)] if squares else []
            shares = [0.25 if self.frame >= 3 and not square.turn else 1 for square in squares]
            return [self.script[self.frame][0][None] * (1, 1, share) for share in shares]

    tracker = PersonTracker(
        estimator := Leaning([[person(150, 80)]] * 7), max_people=1, search_every=1000, min_person_score=0.12
    )
    scores = []
    for estimator.frame in range(7):
        ((_, joints),) = tracker.update(FRAME)
        scores.append(round(joints[1, 2], 2))
    assert scores == [0.8, 0.8, 0.8, 0.8, 0.2, 0.8, 0.2]
    assert estimator.looks == [1, 1, 1, 1, 2, 1, 1, 2, 1]  # both ways, beside the look itself


def test_a_turned_look_counts_only_if_it_is_as_sure_as_the_upright_one() -> None:
    class Crooked(TrueJoints):
        """Somebody faint, whom a turned crop shows fainter still and elsewhere."""

        def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
            upright, turned = person(150, 80, score=0.35)[None], person(190, 120, score=0.3)[None]
            return [turned if square.turn else upright for square in squares]

    script = [[person(150, 80, score=0.35)]] * 9
    tracker = PersonTracker(estimator := Crooked(script), max_people=2, search_every=1000, min_person_score=0.12)
    for estimator.frame in range(9):
        seen = tracker.update(FRAME)
        assert [round(joints[1, 0]) for _, joints in seen] == [150]


def test_somebody_who_lies_from_the_start_is_found() -> None:
    seen, _ = follow([[person(100, 120, lying=True)]] * 15)  # a second
    assert seen[-1] and not seen[0]


def test_an_empty_scene_is_searched_every_second_frame() -> None:
    seen, estimator = follow([[]] * 9)
    assert all(not people for people in seen)
    assert estimator.searches == [0, 0, 2, 4, 6, 6, 8]  # glances, and closely at first and every sixth frame
    assert estimator.close == [0, 6]


def test_somebody_whom_only_a_glance_finds_is_found_in_an_empty_scene() -> None:
    class Nearby(TrueJoints):
        def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
            found = super().search(frame, turn=turn, closely=closely)
            return found[:0] if closely else found

    estimator = Nearby([[]] * 31 + [[person(150, 80)]] * 3)
    tracker = PersonTracker(estimator, max_people=2, search_every=30, min_person_score=0.12)
    seen = []
    for estimator.frame in range(34):
        seen.append(len(tracker.update(FRAME)))
    assert seen == [0] * 32 + [1, 1]  # every second frame is searched


@pytest.mark.parametrize(("score", "looks"), [(0.8, 0), (0.35, 1)])
def test_a_search_that_looks_into_crops_is_followed_by_a_look_only_at_somebody_faint(score: float, looks: int) -> None:
    estimator = TrueJoints([[person(150, 80, score=score)]])
    estimator.searches_crops = True
    tracker = PersonTracker(estimator, max_people=2, search_every=30, min_person_score=0.12)
    estimator.frame = 0
    assert len(tracker.update(FRAME)) == 1
    assert sum(estimator.looks) == looks


def test_a_glance_that_finds_only_something_faint_is_followed_by_a_close_search() -> None:
    class Faint(TrueJoints):
        def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
            found = super().search(frame, turn=turn, closely=closely)
            return found if closely else found[1:]

    script = [[person(80, 80), person(240, 80, score=0.2)]]
    tracker = PersonTracker(estimator := Faint(script), max_people=2, search_every=30, min_person_score=0.12)
    estimator.frame = 0
    assert 80 in [pose[1, 0] for _, pose in tracker.update(FRAME)]
    assert estimator.close == [0]


def test_who_comes_in_beside_something_faint_is_found_at_once() -> None:
    """A towel that is taken for somebody does not hide who comes in: searches go on as if nobody were there."""
    towel = person(300, 80, score=0.2)
    script = [[towel]] * 9 + [[towel, person(100, 80)]] * 6
    seen, _ = follow(script, search_every=1000)
    assert len(seen[8]) == 1
    assert len(seen[10]) == 2


def test_a_person_who_leaves_is_given_up() -> None:
    script = [[person(150, 80)]] * 3 + [[]] * 60 + [[person(150, 80)]] * 8
    seen, _ = follow(script)
    assert list(seen[2]) == [0] and list(seen[-1]) == [1]


def test_missing_joints_do_not_let_the_crop_close_in() -> None:
    """Only the head is found for ten frames; the crop must still hold the whole person afterwards."""
    head = person(150, 80)
    head[[2, 3, 4, *range(6, 14)], 2] = 0
    head[head[:, 2] == 0, :2] = np.nan
    script = [[person(150, 80)]] + [[head]] * 30 + [[person(150, 80)]] * 2
    seen, _ = follow(script, search_every=1000)
    assert (seen[-1][0][:, 2] > 0).all()


def dressed(*people: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    """A grey picture of some people in clothes of a colour each."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    for pose, colour in people:
        for part in LINES.reshape(-1, 2):
            cv2.line(picture, *(tuple(map(int, end)) for end in pose[part, :2]), colour, 9)
    return picture


@pytest.mark.parametrize("coloured", [True, False])
def test_people_who_change_places_out_of_sight_are_told_apart_by_their_clothes(coloured: bool) -> None:
    before, after = [person(100, 80), person(200, 80)], [person(170, 80), person(130, 80)]
    colours = [(0, 0, 200), (200, 80, 0)] if coloured else [(90, 90, 90)] * 2
    script = [before] * 4 + [[]] * 5 + [after] * 15
    tracker = PersonTracker(estimator := TrueJoints(script), max_people=2, search_every=30, min_person_score=0.12)
    seen = []
    for estimator.frame, people in enumerate(script):
        picture = dressed(*zip(people, colours, strict=True)) if people else FRAME
        seen.append({number: pose[1, 0] for number, pose in tracker.update(picture)})
    numbers = {x: number for number, x in seen[3].items()}
    expected = {numbers[100]: 170, numbers[200]: 130} if coloured else {numbers[100]: 130, numbers[200]: 170}
    assert seen[-1] == expected


@pytest.mark.parametrize("places", [1, 2])
def test_somebody_beside_whom_only_a_look_finds_is_followed_if_there_is_room(places: int) -> None:
    class Overlooked(TrueJoints):
        def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
            return super().search(frame, turn=turn, closely=closely)[:1]

    script = [[person(140, 80), person(170, 80, score=0.7)]] * 5
    tracker = PersonTracker(estimator := Overlooked(script), max_people=places, search_every=30, min_person_score=0.12)
    for estimator.frame in range(5):
        seen = tracker.update(FRAME)
    assert sorted(pose[1, 0] for _, pose in seen) == [140, 170][:places]


def test_joints_beyond_the_picture_are_not_given() -> None:
    seen, _ = follow([[person(150, 190)]] * 3)
    assert [(people[0][:, 2] > 0).tolist() for people in seen] == [(STANDING[:, 1] + 190 <= 239.5).tolist()] * 3


def test_somebody_who_walks_out_of_the_picture_is_lost_and_comes_back_as_the_same() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    script = [[person(260 + 12 * t, 80)] for t in range(10)] + [[]] * 8 + [[person(300, 80)]] * 12
    estimator = TrueJoints(script)
    tracker = PersonTracker(estimator, max_people=2, search_every=30, min_person_score=0.12, look_every=4)
    seen = []
    for estimator.frame in range(len(script)):
        seen.append(dict(tracker.update(texture)))
    assert not seen[12] and list(seen[-1]) == list(seen[0])
    assert all((pose[pose[:, 2] > 0, 0] <= 319.5).all() for people in seen for pose in people.values())


@pytest.mark.timeout(300)
def test_two_drawn_people_who_pass_each_other_keep_their_numbers_with_movenet() -> None:
    """Other scenes than those of the published table."""
    switches = 0
    for seed in (20, 24, 28):
        walkers = [
            Performer("Walking", seed, (-1.3, -0.5), heading=0.0),
            Performer("Walking", seed + 3, (1.3, 0.5), heading=180.0),
        ]
        frames, truth = render_scene(walkers, seed=seed, frames=32)
        tracker = PoseExtractor(DECLARATIONS["movenet"], settings=ExtractionSettings()).tracker()
        seen = TrackCollector(joints=18)
        for frame in frames:
            seen.add(tracker.update(frame))
        result = track_accuracy(seen.tracks().dense(), visible(truth))
        switches += result.switches
        assert result.covered > 0.8
    assert switches <= 3


@pytest.mark.timeout(60)
def test_drawn_people_who_cross_keep_their_numbers(pose_model: Path) -> None:
    """Two people walk past each other at different depths; each track stays on one of them."""
    walkers = [
        Performer("Walking", group=1, start=(-1.4, -0.6), heading=0.0),
        Performer("Walking", group=4, start=(1.4, 0.6), heading=180.0),
    ]
    frames, truth = render_scene(walkers, seed=3, frames=30)
    tracker = PoseExtractor(pose_model, settings=ExtractionSettings(stages=3)).tracker()
    seen = [dict(tracker.update(frame)) for frame in frames]
    owners = {number: nearest_person(pose, truth[:, 0]) for number, pose in seen[0].items()}
    assert sorted(owners.values()) == [0, 1]
    assert {number: nearest_person(pose, truth[:, -1]) for number, pose in seen[-1].items()} == owners
    for number, owner in owners.items():
        found = np.array([people.get(number, np.zeros((18, 3))) for people in seen])
        visible = np.where(truth[owner, ..., 2:] >= 1, truth[owner], 0.0)
        assert pck(found, visible).overall > 0.6


def nearest_person(pose: np.ndarray, people: np.ndarray) -> int:
    """Which of some people (M, V, 3) a pose is nearest to, by its median joint distance."""
    apart = np.linalg.norm(pose[None, :, :2] - people[..., :2], axis=-1)
    return int(np.argmin(np.nanmedian(apart, axis=1)))
