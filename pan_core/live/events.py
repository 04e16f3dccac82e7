"""Actions that hold for long enough become events: one for each, with a start and an end."""

import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.errors import ConfigError, DataError
from pan_core.recognition.stream import Recognition

# Frames further apart than this say nothing of the time between them: what went on is over.
LONGEST_GAP_S = 2.0
ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Rule:
    """When an action is an event.

    Attributes:
        threshold: Probability from which it begins; two actions at once have about a half each.
        release: Probability below which it ends, at most `threshold`: the hysteresis.
        minimum_s: It must be seen above the threshold for so long, in all, before it is an event.
        gap_s: It goes on over a drop below `release`, or a person out of sight, that is shorter: the debouncing.
    """

    threshold: float = 0.4
    release: float = 0.25
    minimum_s: float = 0.5
    gap_s: float = 0.7

    def __post_init__(self) -> None:
        rules = {
            "threshold: expected a probability, above 0 and below 1": 0 < self.threshold < 1,
            "release: expected a probability, at most the threshold": 0 < self.release <= self.threshold,
            "minimum_s: expected seconds, at least 0": 0 <= self.minimum_s < 3600,
            "gap_s: expected seconds, at least 0": 0 <= self.gap_s <= LONGEST_GAP_S,
        }
        faults = [f"{rule}, but got {getattr(self, rule.split(':')[0])}" for rule, kept in rules.items() if not kept]
        if faults:
            raise ConfigError("events", faults, code="events.rule")


Rules = Mapping[str, Rule] | Rule
ALL = Rule()


def read_rules(texts: Sequence[str], actions: Sequence[str], *, minimum_s: float) -> Rules:
    """Rules of the actions that a command line names, as ACTION or ACTION=THRESHOLD; one rule for all if it names none.

    An action's own name counts first, so that names may have "="; else what follows the last "=" is the threshold.

    Args:
        texts: What was written.
        actions: Actions of the recognizer.
        minimum_s: As in `Rule`.

    Raises:
        ConfigError: If a threshold is no number, or out of range.
        DataError: If the recognizer does not know an action.
    """
    if not texts:
        return Rule(minimum_s=minimum_s)
    known = {unicodedata.normalize("NFC", action): action for action in actions}
    rules = {}
    for text in texts:
        name, threshold = unicodedata.normalize("NFC", text), str(Rule.threshold)
        if name not in known:
            before, given, after = name.rpartition("=")
            before = before.rstrip()
            if not given or before not in known:
                raise DataError(
                    f"--event {text}: the recognizer knows no such action; it knows {', '.join(actions)}",
                    code="events.unknown-action",
                )
            name, threshold = before, after
        try:
            value = float(threshold)
            rules[known[name]] = Rule(threshold=value, release=min(Rule.release, value), minimum_s=minimum_s)
        except ValueError:
            raise ConfigError(
                f"--event {text}",
                ["expected ACTION or ACTION=PROBABILITY, such as Waving=0.5"],
                code="cli.event",
            ) from None
        except ConfigError as error:
            raise ConfigError(f"--event {text}", error.faults, code=error.code) from error
    return rules


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
        start_s: When it was first above its threshold.
        last_s: When it was last above its release.
        high_s: When it was last above its threshold.
        above_s: Seconds between looks, one after another, that both were above the threshold.
        total: Sum of the probabilities while it held.
        count: Their number.
        event: Id of the event, once it is one.
    """

    start_s: float
    last_s: float
    high_s: float
    above_s: float = 0.0
    total: float = 0.0
    count: int = 0
    event: str = ""

    def hold(self, time_s: float, probability: float) -> None:
        self.last_s, self.total, self.count = time_s, self.total + probability, self.count + 1


class EventDetector:
    """Events of one source; what it remembers is bounded by the people in sight.

    Args:
        actions: The A names of the recognizer's atomic actions.
        rules: Action -> rule, other actions are no events; or one rule for all actions.
        camera: Name of the source.

    Raises:
        DataError: If a rule is for an action that the recognizer does not know.
    """

    def __init__(self, actions: Sequence[str], *, rules: Rules = ALL, camera: str = "") -> None:
        chosen = dict.fromkeys(actions, rules) if isinstance(rules, Rule) else rules
        unknown = sorted(set(chosen) - set(actions))
        if unknown:
            raise DataError(
                f"events: the recognizer knows no action {', '.join(unknown)}; it knows {', '.join(actions)}",
                code="events.unknown-action",
            )
        self._rules = {number: chosen[action] for number, action in enumerate(actions) if action in chosen}
        self._actions, self._camera = tuple(actions), camera
        self._held: dict[tuple[int, int], _Held] = {}
        self._time_s = self._before_s = -np.inf
        self._source_part = ""

    def update(self, time_s: float, people: Sequence[Recognition], *, source_part: str = "") -> list[Event]:
        """Take in what is known at one moment.

        Args:
            time_s: Seconds, rising within one part of the source.
            people: Everybody in sight.
            source_part: Name of the video; where it changes, everything that went on is over.

        Returns:
            Events that are certain now, with no end; and events that are over, whose end is when the action was last
            above its release.
        """
        over = (
            self.finish() if source_part != self._source_part or not 0 <= time_s - self._time_s <= LONGEST_GAP_S else []
        )
        self._before_s = self._time_s
        self._time_s, self._source_part = time_s, source_part
        now = {one.person: one.actions for one in people}
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
        held = self._held.get((person, action))
        if held is None:
            if probability < rule.threshold:
                return []
            held = self._held[person, action] = _Held(self._time_s, self._time_s, self._time_s)
        if probability < rule.release:
            return []
        held.hold(self._time_s, probability)
        if probability >= rule.threshold:
            # Whoever was out of sight in between was not seen to go on.
            held.above_s += self._time_s - self._before_s if held.high_s == self._before_s else 0.0
            held.high_s = self._time_s
        if held.event or held.above_s < rule.minimum_s - ROUNDING_S:
            return []
        held.event = uuid.uuid4().hex
        return [self._make_event((person, action), held, end_s=None)]

    def _close(self, keys: list[tuple[int, int]]) -> list[Event]:
        closed = [(key, self._held.pop(key)) for key in keys]
        return [self._make_event(key, held, end_s=held.last_s) for key, held in closed if held.event]

    def _make_event(self, key: tuple[int, int], held: _Held, *, end_s: float | None) -> Event:
        return Event(
            id=held.event,
            camera=self._camera,
            part=self._source_part,
            person=key[0],
            label=self._actions[key[1]],
            start_s=round(held.start_s, 3),
            end_s=None if end_s is None else round(end_s, 3),
            confidence=round(held.total / held.count, 4),
        )
