"""Events by thought: probabilities of one action over time, and when it begins and ends."""

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import ConfigError, DataError
from pan_core.live.events import Event, EventDetector
from pan_core.recognition.event_rules import Rule, read_rules
from pan_core.recognition.stream import Recognition
from pan_core.viewer.captions import Caption

ACTIONS = ("Walking", "Waving")
RULE = Rule(threshold=0.5, release=0.3, minimum_s=0.3, gap_s=0.5)


def somebody(waving: float, person: int = 0) -> Recognition:
    nothing = Caption("", 0.0)
    return Recognition(person, np.zeros((2, 3)), nothing, nothing, np.ones(1), np.array([0.0, waving]), np.ones(2), 1.0)


def events_of(course: list[float | None], *, rule: Rule = RULE) -> list[Event]:
    """Events of somebody whose probability of waving takes this course at 10 poses a second; None is out of sight."""
    detector, found = EventDetector(ACTIONS, rules={"Waving": rule}, camera="hall"), []
    for number, waving in enumerate(course):
        found += detector.update(number / 10, [] if waving is None else [somebody(waving)])
    return found + detector.finish()


@pytest.mark.parametrize(
    ("course", "spans"),
    [
        pytest.param([0.1] * 3 + [0.9] * 5 + [0.1] * 9, [(0.3, 0.7)], id="one action"),
        pytest.param([0.1] * 3 + [0.9] * 3 + [0.1] * 9, [], id="too short"),
        pytest.param([0.4] * 20, [], id="never above the threshold"),
        pytest.param([0.9] * 4 + [0.4] * 9, [(0.0, 1.2)], id="hysteresis: holds above the release"),
        pytest.param([0.9] + [0.4] * 9, [], id="hysteresis begins nothing"),
        pytest.param([0.9] * 3 + [0.4] + [0.9] * 2 + [0.1] * 9, [(0.0, 0.5)], id="above the threshold in two pieces"),
        pytest.param([0.9, None, None, None, 0.9, 0.1], [], id="seen twice, with nobody in sight between"),
        pytest.param([0.9, 0.9, 0.1] * 5, [], id="flicker never becomes an event"),
        pytest.param([0.9] * 5 + [0.1] * 4 + [0.9] * 5, [(0.0, 1.3)], id="a short drop is bridged"),
        pytest.param([0.9] * 5 + [0.1] * 7 + [0.9] * 5, [(0.0, 0.4), (1.2, 1.6)], id="a long drop ends it"),
        pytest.param([0.9] * 5 + [None] * 4 + [0.9] * 5, [(0.0, 1.3)], id="out of sight for a moment"),
        pytest.param([0.9] * 5 + [None] * 9, [(0.0, 0.4)], id="left"),
        pytest.param([0.9] * 5, [(0.0, 0.4)], id="the source ends"),
    ],
)
def test_when_an_action_is_an_event(course: list[float | None], spans: list[tuple[float, float]]) -> None:
    found = events_of(course)
    over = [event for event in found if event.end_s is not None]
    assert [(event.start_s, event.end_s) for event in over] == spans
    # Each is told when it is certain, and again, as the same, when it is over.
    assert [event.id for event in found if event.end_s is None] == [event.id for event in over]
    assert all((event.camera, event.label, event.person) == ("hall", "Waving", 0) for event in found)


def test_confidence_is_the_mean_while_it_held() -> None:
    *_, event = events_of([0.6, 0.8, 0.7, 0.5, 0.1, 0.1])
    assert event.confidence == pytest.approx(0.65)


def test_a_pause_of_the_source_and_another_video_end_everything() -> None:
    for pause, part in ((5.0, ""), (0.1, "next.mp4")):
        detector = EventDetector(ACTIONS, rules=RULE)
        for number in range(6):
            detector.update(number / 10, [somebody(0.9)])
        (over,) = detector.update(0.5 + pause, [somebody(0.1)], source_part=part)
        assert (over.label, over.end_s, over.part) == ("Waving", 0.5, "")


def test_people_have_events_of_their_own() -> None:
    detector, found = EventDetector(ACTIONS, rules=RULE), []
    for number in range(10):
        found += detector.update(number / 10, [somebody(0.9, person=3), somebody(0.9, person=8)])
    assert sorted(event.person for event in found) == [3, 8]


def test_what_is_remembered_does_not_grow() -> None:
    detector = EventDetector(ACTIONS, rules=RULE)
    for number in range(2000):
        detector.update(number / 10, [somebody(0.9, person=number // 20)])
    assert detector.open_count <= 2


@pytest.mark.parametrize(
    ("text", "action", "threshold"),
    [
        ("Waving", "Waving", 0.4),
        ("Waving=0.5", "Waving", 0.5),
        ("Waving = 0.5", "Waving", 0.5),
        ("A=B=0.5", "A=B", 0.5),
        ("A=B", "A=B", 0.4),
        ("x=0.5", "x=0.5", 0.4),
        ("x=0.5=0.3", "x=0.5", 0.3),
        ("x=0.50", "x", 0.5),
        ("=", "=", 0.4),
        ("==0.9", "=", 0.9),
        ("Gru\u0308ßen=0.6", "Gr\u00fcßen", 0.6),
    ],
)
def test_names_of_actions_may_have_an_equals_sign(text: str, action: str, threshold: float) -> None:
    actions = ("Waving", "A=B", "x", "x=0.5", "=", "Gr\u00fcßen")
    rules = read_rules([text], actions, minimum_s=0.2)
    assert rules.apply(actions, {}) == {action: Rule(threshold=threshold, release=min(0.25, threshold), minimum_s=0.2)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Waving=often", "cli.event"), ("Waving=", "cli.event"), ("Waving=7", "events.rule"), ("Waving=nan", "events.rule"),
        ("Dancing", "events.unknown-action"), ("Dancing=0.5", "events.unknown-action"), ("", "events.unknown-action"),
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_is_refused(text: str, code: str) -> None:
    with refused(code):
        read_rules([text], ("Waving",), minimum_s=0.2)


def test_rules_that_cannot_be_are_refused() -> None:
    with refused("events.unknown-action", DataError) as unknown:
        EventDetector(ACTIONS, rules={"Dancing": RULE})
    assert "Dancing" in str(unknown.value)
    with pytest.raises(ConfigError) as caught:
        Rule(threshold=0.2, release=0.3, minimum_s=-1)
    assert caught.value.names == ("release", "minimum_s")
