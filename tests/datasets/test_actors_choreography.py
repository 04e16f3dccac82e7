import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.actors import ACTIONS, CLASSES, COMPOSITION
from pan_core.datasets.actors.choreography import choreograph
from pan_core.datasets.actors.kinematics import POINTS, draw_body, pose_body
from pan_core.datasets.actors.motion_style import ActionTiming, draw_motion_style, ease

FRAMES = 36
SEEDS = range(8)


def perform(label, seed, frames=FRAMES):
    """Body, places by point name (T, 3), and segments of one clip at 15 frames a second."""
    rng = np.random.default_rng([seed, 99])
    body, style = draw_body(rng), draw_motion_style(rng)
    motion, segments = choreograph(label, body=body, style=style, frames=frames, fps=15.0, rng=rng)
    points = pose_body(body, motion)
    return body, {name: points[:, index] for index, name in enumerate(POINTS)}, segments


def sole_heights(places):
    """Lowest point of each foot, shape (T, 2)."""
    return np.stack(
        [np.minimum(places[f"{s}_heel"][:, 2], places[f"{s}_toe"][:, 2]) for s in ("right", "left")], axis=1
    )


def test_twelve_atomic_and_four_composed_classes():
    assert len(ACTIONS) == 12
    assert len(CLASSES) == len(set(CLASSES)) == 16
    assert COMPOSITION["LongJump"] == ("sequence", ("Running", "Jumping"))
    assert COMPOSITION["WalkingAndWaving"] == ("together", ("Walking", "Waving"))
    assert all(part in ACTIONS for _, parts in COMPOSITION.values() for part in parts)


def test_unknown_class_is_named():
    with refused("actors.unknown-class"):
        perform("Juggling", 0)


@pytest.mark.parametrize("label", ACTIONS)
def test_atomic_action_is_one_segment(label):
    _, _, segments = perform(label, 1)
    assert [(s.start_frame, s.end_frame, s.label) for s in segments] == [(0, FRAMES, label)]


@pytest.mark.parametrize("label", [name for name, (kind, _) in COMPOSITION.items() if kind == "sequence"])
def test_sequence_covers_the_clip_in_order_and_leaves_time_for_both_parts(label):
    """Of 36 frames at 15 a second neither part takes less than 0.7 s, nor a fifth."""
    borders = []
    for seed in SEEDS:
        _, _, (first, second) = perform(label, seed)
        assert (first.label, second.label) == COMPOSITION[label][1]
        assert (first.start_frame, second.end_frame) == (0, FRAMES)
        assert first.end_frame == second.start_frame
        borders.append(first.end_frame)
    assert min(borders) >= 10
    assert max(borders) <= FRAMES - 10
    assert max(borders) - min(borders) > FRAMES / 6


def test_actions_done_at_once_overlap():
    _, _, (walk, wave) = perform("WalkingAndWaving", 3)
    assert (walk.start_frame, walk.end_frame, walk.label) == (0, FRAMES, "Walking")
    assert wave.label == "Waving"
    assert 0 <= wave.start_frame < wave.end_frame <= FRAMES
    assert wave.end_frame - wave.start_frame > FRAMES / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_sinks_into_the_ground_or_leaps_between_frames(seed):
    for label in CLASSES:
        _, places, _ = perform(label, seed)
        everything = np.stack(list(places.values()), axis=1)
        assert everything[..., 2].min() > 0
        speed = np.linalg.norm(np.diff(places["pelvis"], axis=0), axis=-1) * 15
        assert speed.max() < 8, f"{label}: the pelvis is faster than a sprinter"


@pytest.mark.parametrize("seed", SEEDS)
def test_walking_keeps_a_foot_on_the_ground(seed):
    _, places, _ = perform("Walking", seed)
    assert sole_heights(places).min(axis=1).max() < 0.05
    assert places["pelvis"][-1, 0] - places["pelvis"][0, 0] > 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_running_has_flight_and_is_faster_than_walking(seed):
    _, run, _ = perform("Running", seed)
    _, walk, _ = perform("Walking", seed)
    assert sole_heights(run).min(axis=1).max() > 0.02
    assert np.ptp(run["pelvis"][:, 0]) > np.ptp(walk["pelvis"][:, 0])


@pytest.mark.parametrize("seed", SEEDS)
def test_both_feet_leave_the_ground_in_a_jump(seed):
    _, places, _ = perform("Jumping", seed)
    lowest = sole_heights(places).min(axis=1)
    begins, ends = lowest[[0, -1]]
    assert min(begins, ends) < 0.06, "one end of the jump is on the ground, the other there or on something else"
    assert lowest.max() > max(begins, ends) + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_jump_comes_after_the_run_up(seed):
    _, places, (run, jump) = perform("LongJump", seed)
    lowest = sole_heights(places).min(axis=1)
    assert run.end_frame <= lowest.argmax() < jump.end_frame
    speed = np.diff(places["pelvis"][:, 0]) * 15
    assert speed[: run.end_frame - 3].mean() > 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_fall_ends_with_the_head_low(seed):
    body, places, _ = perform("Falling", seed)
    assert places["head"][0, 2] > 0.85 * body.height
    assert places["head"][-1, 2] < 0.3 * body.height


@pytest.mark.parametrize("seed", range(24))
def test_fallen_people_lie_flat_on_the_ground_with_the_feet_away_from_the_head(seed):
    """The trunk's thickness keeps hips and neck some 10 to 25 cm up; nobody ends as a heap or hovers."""
    body, places, _ = perform("Falling", seed)
    end = {name: place[-1] for name, place in places.items()}
    assert end["pelvis"][2] < 0.14 * body.height
    assert end["neck"][2] < 0.2 * body.height
    assert max(end[f"{side}_shoulder"][2] for side in ("right", "left")) < 0.27 * body.height
    assert max(end[f"{side}_ankle"][2] for side in ("right", "left")) < 0.1 * body.height
    assert max(end[f"{side}_toe"][2] for side in ("right", "left")) < 0.2 * body.height
    from_neck = [np.linalg.norm((end[f"{side}_ankle"] - end["neck"])[:2]) for side in ("right", "left")]
    assert max(from_neck) > body.torso + 0.5 * body.leg, "a leg is stretched out, or half bent"
    assert min(from_neck) > body.torso + 0.3 * body.leg
    assert min(place[2] for place in end.values()) < 0.08, "something touches the ground"


@pytest.mark.parametrize("seed", range(24))
def test_hips_fall_faster_than_who_lies_down_and_slower_than_a_stone(seed):
    """From 0.9 m a stone lands with sqrt(2 g 0.9) = 4.2 m/s; who lies down in two seconds has about 0.7 m/s."""
    _, places, _ = perform("Falling", seed)
    speed = -np.diff(places["pelvis"][:, 2]).min() * 15
    assert 0.8 < speed < 4.2


@pytest.mark.parametrize("seed", SEEDS)
def test_sitting_down_and_standing_up_are_opposite(seed):
    body, sit, _ = perform("SittingDown", seed)
    _, stand, _ = perform("StandingUp", seed)
    for upright, seated in ((sit["pelvis"][0], sit["pelvis"][-1]), (stand["pelvis"][-1], stand["pelvis"][0])):
        assert upright[2] > 0.48 * body.height
        assert 0.4 < seated[2] < 0.75
    assert sit["pelvis"][-1, 0] < sit["right_ankle"][-1, 0] - 0.2, "the seat is behind the feet"


@pytest.mark.parametrize("seed", SEEDS)
def test_squat_returns_to_standing_on_flat_feet(seed):
    body, places, _ = perform("Squatting", seed)
    height = places["pelvis"][:, 2]
    assert height.min() < height[0] - 0.15 * body.leg
    assert height[-1] > height[0] - 0.05
    assert sole_heights(places).max() < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_kick_lifts_one_foot_in_front_of_the_body(seed):
    body, places, _ = perform("Kicking", seed)
    highest = sole_heights(places).max(axis=0)
    foot = ("right", "left")[highest.argmax()]
    moment = places[f"{foot}_ankle"][:, 0].argmax()
    assert highest.max() > 0.12
    assert highest.min() < 0.06
    assert places[f"{foot}_ankle"][moment, 0] > places["pelvis"][moment, 0] + 0.3 * body.leg


@pytest.mark.parametrize("seed", SEEDS)
def test_hands_meet_again_and_again_when_clapping(seed):
    body, places, _ = perform("Clapping", seed)
    gap = np.linalg.norm(places["right_wrist"] - places["left_wrist"], axis=-1)
    middle = gap[len(gap) // 3 : -len(gap) // 3]
    assert middle.min() < 0.45 * body.arm
    assert np.ptp(middle) > 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_wave_raises_a_hand_and_swings_it(seed):
    body, places, _ = perform("Waving", seed)
    raised = max(("right", "left"), key=lambda side: places[f"{side}_wrist"][:, 2].max())
    assert places[f"{raised}_wrist"][:, 2].max() > places["neck"][0, 2] - 0.1 * body.arm
    middle = places[f"{raised}_wrist"][12:24, 1]
    assert np.ptp(middle) > 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_throw_brings_a_hand_from_behind_to_the_front(seed):
    _, places, _ = perform("Throwing", seed)
    ahead = {side: places[f"{side}_wrist"][:, 0] - places[f"{side}_shoulder"][:, 0] for side in ("right", "left")}
    # The body turns, so that the other hand may get behind its shoulder, too.
    assert any(own.min() < -0.12 and own[own.argmin() :].max() > 0.2 for own in ahead.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_punch_stretches_an_arm_forward_and_draws_it_back(seed):
    body, places, _ = perform("Punching", seed)
    reach = {side: places[f"{side}_wrist"] - places[f"{side}_shoulder"] for side in ("right", "left")}
    farthest = max(np.linalg.norm(r[:, :2], axis=-1).max() for r in reach.values())
    assert farthest > 0.6 * body.arm


def test_ease_rests_at_both_ends():
    np.testing.assert_allclose(ease(np.array([-1.0, 0, 0.5, 1, 2]), 0, 1), [0, 0, 0.5, 1, 1])
    before, after = ease(np.array([0.001, 0.999]), 0, 1)
    assert before < 1e-5
    assert after > 1 - 1e-5


def test_envelope_is_zero_outside_the_movement():
    timing = ActionTiming(t=np.linspace(-1, 4, 51), start=0.5, end=2.5)
    envelope = timing.envelope(0.4)
    assert envelope[(timing.t <= 0.5) | (timing.t >= 2.5)].max() == 0
    np.testing.assert_allclose(envelope[(timing.t > 0.91) & (timing.t < 2.09)], 1)
