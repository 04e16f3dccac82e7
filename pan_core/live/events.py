"""Actions that hold for long enough become events: one for each, with a start and an end."""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pan_core.live.steady_clock import SteadyClock
from pan_core.recognition.event_rules import LONGEST_GAP_S, Rule, require_known
from pan_core.recognition.stream import Recognition

ROUNDING_S = 1e-6
ALIKE = Rule()
# The start of an event is looked for at most so long before its action reached the threshold.
REFINED_S = 1.0


@dataclass(frozen=True)
class Event:
    """An action of one person, from its start to its end.

    Attributes:
        id: Unique; the same when the end of an event follows its beginning.
        camera: Name of the source, without passwords.
        part: File of the source, or number of its connection.
        person: Number of the person at this source.
        label: The action.
        start_s: Seconds from the start of the part.
        end_s: Likewise; None while it goes on.
        confidence: Mean probability while it held.
        start: Time of day of the start, ISO 8601 in UTC; empty for files, whose time of day is not known.
        end: Likewise of the end.
    """

    id: str
    camera: str
    part: str
    person: int
    label: str
    start_s: float
    end_s: float | None
    confidence: float
    start: str = ""
    end: str = ""


@dataclass
class _Held:
    """An action that may become an event, or is one.

    Attributes:
        person: Whose it is; the number that an event keeps.
        start_s: Since when it is above its release.
        last_s: When it was last above its release.
        high_s: When it was last above its threshold; not a number before that.
        above_s: Seconds between looks, one after another, that both were above the threshold.
        total: Sum of the probabilities since it first was above the threshold.
        count: Their number.
        event: Id of the event, once it is one.
    """

    person: int
    start_s: float
    last_s: float
    high_s: float = math.nan
    above_s: float = 0.0
    total: float = 0.0
    count: int = 0
    event: str = ""

    def hold(self, time_s: float, before_s: float, probability: float, rule: Rule) -> None:
        """Take in a look, after the one at `before_s`, in which the action is above its release."""
        self.last_s = time_s
        high = probability >= rule.threshold
        if high and not self.count:
            self.start_s = max(self.start_s, time_s - REFINED_S)
        if high or self.count:
            self.total, self.count = self.total + probability, self.count + 1
        if high:
            # Whoever was out of sight in between was not seen to go on.
            self.above_s += time_s - before_s if self.high_s == before_s else 0.0
            self.high_s = time_s


class EventDetector:
    """Events of one source; what it remembers is bounded by the people in sight.

    Times that go back are those of a clock that was set back: what goes on then neither ends nor happens twice. An event of
    somebody who is out of sight goes on with somebody new, within its gap: that is the same person under another number.

    Args:
        actions: The A names of the recognizer's atomic actions.
        rules: Action -> rule, other actions are no events; or one rule for all actions.
        camera: Name of the source.

    Raises:
        DataError: If a rule is for an action that the recognizer does not know.
    """

    def __init__(self, actions: Sequence[str], *, rules: Mapping[str, Rule] | Rule = ALIKE, camera: str = "") -> None:
        chosen = dict.fromkeys(actions, rules) if isinstance(rules, Rule) else rules
        require_known(chosen, actions, "events")
        self._rules = {number: chosen[action] for number, action in enumerate(actions) if action in chosen}
        self._actions, self._camera = tuple(actions), camera
        self._held: dict[tuple[int, int], _Held] = {}
        self._since: dict[int, float] = {}
        self._clock = SteadyClock()
        self._time_s = self._before_s = -math.inf
        self._source_part = ""

    def update(self, time_s: float, people: Sequence[Recognition], *, source_part: str = "") -> list[Event]:
        """Take in what is known at one moment.

        Args:
            time_s: Seconds from the start of this part of the source.
            people: Everybody in sight.
            source_part: Name of the video; where it changes, everything that went on is over.

        Returns:
            Events that are certain now, with no end; and events that are over, whose end is when the action was last
            above its release.
        """
        time_s = self._clock.read(time_s, source_part)
        over = self.finish() if source_part != self._source_part or time_s - self._time_s > LONGEST_GAP_S else []
        self._before_s = self._time_s
        self._time_s, self._source_part = time_s, source_part
        now = {one.person: one.actions for one in people}
        self._since = {person: self._since.get(person, time_s) for person in now}
        for person, probabilities in now.items():
            for action, rule in self._rules.items():
                over += self._see(person, action, rule, float(probabilities[action]))
        return over + self._close(
            [
                key
                for key, held in self._held.items()
                if time_s - held.last_s > self._seconds_kept(key, held, key[0] in now)
            ]
        )

    @property
    def open_count(self) -> int:
        """Actions that are events now, or may become some."""
        return len(self._held)

    def finish(self) -> list[Event]:
        """End everything that goes on, as the source is lost or over."""
        return self._close(list(self._held))

    def _seconds_kept(self, key: tuple[int, int], held: _Held, seen: bool) -> float:
        """Seconds since it last held for which it is kept; a candidate that is seen to stop is none at once."""
        return 0.0 if seen and not held.event else self._rules[key[1]].gap_s

    def _see(self, person: int, action: int, rule: Rule, probability: float) -> list[Event]:
        if probability < rule.release:
            return []
        held = self._held.get((person, action))
        if held is None:
            held = self._held[person, action] = self._take_over(person, action, rule) or _Held(
                person, self._time_s, self._time_s
            )
        held.hold(self._time_s, self._before_s, probability, rule)
        if held.event or held.above_s < rule.minimum_s - ROUNDING_S or not held.count:
            return []
        held.event = uuid.uuid4().hex
        return [self._make_event(action, held, end_s=None)]

    def _take_over(self, person: int, action: int, rule: Rule) -> _Held | None:
        """The event of somebody lost that somebody who was not there before goes on with."""
        for (other, same), held in self._held.items():
            lost = other not in self._since and self._since[person] > held.last_s
            if same == action and held.event and lost and self._time_s - held.last_s <= rule.gap_s:
                return self._held.pop((other, action))
        return None

    def _close(self, keys: list[tuple[int, int]]) -> list[Event]:
        closed = [(action, self._held.pop((person, action))) for person, action in keys]
        return [self._make_event(action, held, end_s=held.last_s) for action, held in closed if held.event]

    def _make_event(self, action: int, held: _Held, *, end_s: float | None) -> Event:
        return Event(
            id=held.event,
            camera=self._camera,
            part=self._source_part,
            person=held.person,
            label=self._actions[action],
            start_s=round(held.start_s, 3),
            end_s=None if end_s is None else round(end_s, 3),
            confidence=round(held.total / held.count, 4),
        )
