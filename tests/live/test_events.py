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


def of_times(times: list[float], *, waving: float = 0.9) -> list[Event]:
    """Events of somebody who waves all the time, by a clock that shows these times."""
    detector, found = EventDetector(ACTIONS, rules={"Waving": RULE}), []
    for time_s in times:
        found += detector.update(time_s, [somebody(waving)])
    return found + detector.finish()


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param([0.7, 0.8, 0.9], id="a moment back"),
        pytest.param([-3600 + k / 10 for k in range(10)], id="an hour back"),
        pytest.param([0.9, 0.5, 1.0, 0.6, 1.1], id="out of order"),
        pytest.param([0.9] * 5, id="it stands still"),
        pytest.param([float("nan"), 1.0, 1.1], id="no number"),
        pytest.param([-10.0, 0.9, -20.0, 0.9, 1.0], id="back, forth and back again"),
    ],
)
def test_a_clock_that_goes_back_makes_no_event_twice(jump: list[float]) -> None:
    found = of_times([k / 10 for k in range(9)] + jump)
    over = [event for event in found if event.end_s is not None]
    assert len({event.id for event in found}) == len(over) == 1
    assert over[0].end_s is not None and over[0].end_s >= over[0].start_s == 0.0


def test_what_follows_a_clock_that_was_set_back_is_found() -> None:
    """Somebody waves only after the clock was set back by an hour, for a second."""
    detector, found = EventDetector(ACTIONS, rules={"Waving": RULE}), []
    for number in range(60):
        time_s = 3600 + number / 10 if number < 20 else number / 10
        found += detector.update(time_s, [somebody(0.9 if 30 <= number < 40 else 0.1)])
    over = [event for event in found if event.end_s is not None]
    assert [round(event.end_s - event.start_s, 3) for event in over if event.end_s] == [0.9]


def test_an_event_starts_where_its_action_rose_above_the_release() -> None:
    slowly = events_of([0.1, 0.1, 0.35, 0.4, 0.45, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1])
    assert slowly[0].start_s == 0.2
    long_before = events_of([0.4] * 30 + [0.9] * 6)
    assert long_before[0].start_s == 2.0  # a second before it reached the threshold, at most


@pytest.mark.parametrize(
    ("first", "second", "events"),
    [
        pytest.param(range(10), range(12, 22), 1, id="lost, and found under another number"),
        pytest.param(range(10), range(17, 27), 2, id="somebody else, long after"),
        pytest.param(range(10), range(0, 22), 2, id="somebody else, who was there"),
    ],
)
def test_an_event_goes_on_with_the_same_person_under_another_number(first: range, second: range, events: int) -> None:
    """The second one waves from the 13th look on, if there then."""
    detector, found = EventDetector(ACTIONS, rules={"Waving": RULE}), []
    for number in range(30):
        people = [somebody(0.9, person=1)] if number in first else []
        people += [somebody(0.9 if number >= 12 else 0.1, person=2)] if number in second else []
        found += detector.update(number / 10, people)
    found += detector.finish()
    assert len({event.id for event in found}) == events
    assert len([event for event in found if event.end_s is not None]) == events


def test_probabilities_may_sum_to_less_than_one() -> None:
    """What is missing is the probability that no action holds: then none is an event."""
    detector = EventDetector(ACTIONS)
    nothing = Caption("", 0.0)
    for number in range(20):
        both = Recognition(0, np.zeros((2, 3)), nothing, nothing, np.ones(1), np.array([0.1, 0.1]), np.ones(2), 1.0)
        assert detector.update(number / 10, [both]) == []
