"""Rules fitted to recordings whose best rule is known by thought, and streams of clips."""

import numpy as np
import pytest
import torch
from refusals import refused
from scripted_people import small_network

from pan_core.errors import DataError
from pan_core.live.clip_streams import PersonClip, Recording, record, string_clips
from pan_core.live.rule_fitting import fit_rules, fit_to_clips
from pan_core.model.store import LoadedModel
from pan_core.recognition.stream import Recognition, StreamRecognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.skeletons import OPENPOSE18
from pan_core.viewer.captions import Caption

RATE = 10.0
ACTIONS = ("Falling", "Waving")


def recording(*courses: list[tuple[float, bool]]) -> Recording:
    """One person; for each action its probability and truth at each look."""
    nothing = Caption("", 0.0)
    values = np.array([[p for p, _ in course] for course in courses]).T
    people = [[Recognition(0, np.zeros((2, 3)), nothing, nothing, np.ones(1), row, np.ones(2), 1.0)] for row in values]
    holds = np.array([[h for _, h in course] for course in courses], bool).T
    return Recording(np.arange(len(values)) / RATE, people, holds, RATE)


def spell(probability: float, seconds: float, holds: bool) -> list[tuple[float, bool]]:
    return [(probability, holds)] * round(seconds * RATE)


QUIET = spell(0.05, 3, False)
# True actions reach 0.75 for two seconds; what only looks like one reaches 0.55, or 0.98 for an instant.
WAVING = (QUIET + spell(0.75, 2, True) + QUIET + spell(0.55, 2, False) + QUIET + spell(0.98, 0.1, False)) * 4
NOTHING = [(0.0, False)] * len(WAVING)


def test_the_rule_that_costs_least_is_found() -> None:
    fitted = fit_rules([recording(NOTHING, WAVING)], ACTIONS, miss_cost=1.0)
    assert 0.55 < fitted.rules["Waving"].threshold <= 0.75
    assert fitted.rules["Waving"].minimum_s > 0
    counts = fitted.counts["Waving"]
    assert (counts.hits, counts.misses, counts.false_alarms) == (4, 0, 0)


def test_what_a_miss_costs_decides() -> None:
    """One of five actions cannot be told from four false ones."""
    course = spell(0.3, 2, True) + (QUIET + spell(0.3, 2, False)) * 4 + (QUIET + spell(0.9, 2, True)) * 4 + QUIET
    both = [recording(course, course)]
    dear, cheap = (fit_rules(both, ACTIONS, miss_cost=cost).counts["Waving"] for cost in (10.0, 0.1))
    assert (dear.misses, dear.false_alarms) == (0, 4)
    assert (cheap.misses, cheap.false_alarms) == (1, 0)


def test_an_action_without_example_has_the_rule_of_the_others_and_is_named() -> None:
    fitted = fit_rules([recording(NOTHING, WAVING)], ACTIONS, miss_cost=1.0)
    assert fitted.without_example == ("Falling",)
    assert fitted.rules["Falling"] == fitted.rules["Waving"]
    # Its own false alarms count: what holds at 0.85 for long is not it. Waving has examples enough to speak for itself.
    waving = WAVING * 10
    noisy = ((QUIET + spell(0.85, 2, False)) * len(waving))[: len(waving)]
    fitted = fit_rules([recording(noisy, waving)], ACTIONS, miss_cost=1.0)
    assert fitted.rules["Falling"].threshold > 0.85 and fitted.rules["Waving"].threshold <= 0.75


def test_one_odd_example_does_not_make_a_rule() -> None:
    """Falling was seen once, at 0.35, below what looks like falling and is not; what holds for 40 examples of waving goes for it."""
    falling = spell(0.35, 2, True) + (QUIET + spell(0.4, 2, False)) * 2
    falling += [(0.0, False)] * (10 * len(WAVING) - len(falling))
    fitted = fit_rules([recording(falling, WAVING * 10)], ACTIONS, miss_cost=10.0)
    assert fitted.counts["Falling"].misses == 1
    assert 0.55 < fitted.rules["Falling"].threshold <= 0.75
    alone = fit_rules([recording(falling)], ACTIONS[:1], miss_cost=10.0)
    assert alone.rules["Falling"].threshold < 0.35


def test_without_any_example_there_are_no_rules() -> None:
    fitted = fit_rules([recording(NOTHING, NOTHING)], ACTIONS, miss_cost=1.0)
    assert (fitted.rules, fitted.without_example) == ({}, ACTIONS)
    still = PersonClip(np.ones((5, 18, 3), np.float32), np.zeros((5, 2), bool))
    assert fit_to_clips(recognizer(), [still], miss_cost=1.0, minutes=1, seed=0).rules == {}


def recognizer() -> LoadedModel:
    """An untrained recognizer of two actions."""
    torch.manual_seed(3)
    network = small_network(OPENPOSE18)
    with torch.no_grad():
        network.action_head.weight.mul_(50)
    return LoadedModel(network, ("a", "b", "c"), ACTIONS, OPENPOSE18, "online", 32, RATE, {})


def pose(hand: float) -> np.ndarray:
    joints = np.column_stack([np.arange(18.0), np.linspace(0, 90, 18), np.ones(18)])
    joints[4, 1] = hand
    return joints


def clip(hand: float, seconds: float, *, waving: bool) -> PersonClip:
    frames = round(seconds * RATE)
    holds = np.zeros((frames, 2), bool)
    holds[:, 1] = waving
    return PersonClip(np.repeat(pose(hand)[None], frames, axis=0).astype(np.float32), holds)


def test_a_stream_has_its_share_of_background_and_every_clip_in_each_round() -> None:
    clips = [clip(-40, 2, waving=True), clip(-40, 3, waving=True), clip(50, 1, waving=False)]
    stream = string_clips(clips, np.random.default_rng(0), rate=RATE, seconds=100, background=0.8)
    acting = stream.holds[:, 1].sum()
    pauses = round(0.4 * RATE) * (np.diff(stream.holds[:, 1].astype(int)) == 1).sum()
    assert acting % 50 == 0 and len(stream.joints) >= 1000
    assert acting / (len(stream.joints) - pauses) == pytest.approx(0.2, abs=0.1)
    assert len(string_clips(clips, np.random.default_rng(0), rate=RATE, seconds=1e9, rounds=2).joints) < 200


def test_clips_follow_each_other_in_place_and_size() -> None:
    far = clip(-40, 2, waving=True)
    far.joints[..., :2] = 3 * far.joints[..., :2] + 500
    stream = string_clips(
        [clip(-40, 2, waving=True), far], np.random.default_rng(0), rate=RATE, seconds=60, scaled=True
    )
    steps = np.abs(np.diff(stream.joints[..., :2], axis=0)).max(axis=(1, 2))
    assert steps.max() < 1


def test_a_recording_is_what_the_recognizer_says_frame_by_frame() -> None:
    clips = [clip(-40, 2, waving=True), clip(50, 2, waving=False)]
    stream = string_clips(clips, np.random.default_rng(0), rate=RATE, seconds=20, background=0.5)
    stream.joints[:7, :, 2] = 0
    found, live = record(recognizer(), stream), StreamRecognizer(TorchNetwork(recognizer()), pose_fps=RATE)
    for number, pose in enumerate(stream.joints):
        expected = live.update([(0, pose)] if pose[:, 2].any() else [])
        assert len(found.people[number]) == len(expected) == (number >= 7)
        for own, other in zip(found.people[number], expected, strict=True):
            # Those not yet seen are not there for the one, and unseen for the other, who has begun earlier.
            np.testing.assert_allclose(own.actions, other.actions, atol=0.05 if number < 40 else 1e-3)
    assert found.holds is stream.holds and found.times_s[-1] == (len(stream.joints) - 1) / RATE


def test_a_stream_of_no_action_is_refused() -> None:
    with refused("streams.no-action", DataError):
        string_clips([clip(50, 2, waving=False)], np.random.default_rng(0), rate=RATE, seconds=60)
