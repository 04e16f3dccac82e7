"""Rules of events fitted to recordings: for each action the one that costs least, a miss against a false alarm."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve1d

from pan_core.evaluation.event_measures import NOTHING, EventCounts, FoundEvent, count_events, spells
from pan_core.live.clip_streams import PersonClip, Recording, record, string_clips
from pan_core.live.events import EventDetector
from pan_core.model.store import LoadedModel
from pan_core.recognition.event_rules import Rule

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MINIMA_S = (0.0, 0.2, 0.4, 0.7, 1.0)
MOST_ROUNDS, BACKGROUND = 4, 0.5
"""Of the stream that rules are fitted to: a clip comes at most so often, and in so much of the time no action holds."""
RELEASE_SHARE = 0.6
"""Release of a fitted rule, of its threshold."""
LEAN = 40
"""Examples of an action that count as much as the mean of all actions."""
NEIGHBOURS = (0.25, 0.5, 0.25)
GRID = tuple(
    Rule(threshold=threshold, release=RELEASE_SHARE * threshold, minimum_s=minimum_s)
    for threshold, minimum_s in itertools.product(THRESHOLDS, MINIMA_S)
)


@dataclass(frozen=True)
class FittedRules:
    """Rules of a recognizer's actions.

    Attributes:
        rules: Action -> rule; empty if the recordings have no example of any action.
        without_example: Actions of which the recordings have no example. Their rule is the one that costs least over all
            actions, together with their own false alarms.
        counts: Action -> what its rule gives on the recordings that it was fitted to.
    """

    rules: dict[str, Rule]
    without_example: tuple[str, ...]
    counts: dict[str, EventCounts]


def fit_to_clips(
    recognizer: LoadedModel, clips: Sequence[PersonClip], *, miss_cost: float, minutes: float, seed: int
) -> FittedRules:
    """Fit the rules of a recognizer's actions to a stream of clips that it did not learn from.

    Args:
        recognizer: A recognizer of online mode.
        clips: What somebody does; without any in which no action holds, the person stands still between two.
        miss_cost: As for `fit_rules`.
        minutes: Length of the stream, at most.
        seed: Of the order of the clips.
    """
    if not any(clip.holds.any() for clip in clips):
        return FittedRules({}, recognizer.actions, {})
    stream = string_clips(
        clips, np.random.default_rng(seed), rate=recognizer.rate, seconds=60 * minutes, rounds=MOST_ROUNDS,
        background=BACKGROUND, scaled=True,
    )  # fmt: skip
    return fit_rules([record(recognizer, stream)], recognizer.actions, miss_cost=miss_cost)


def fit_rules(recordings: Sequence[Recording], actions: Sequence[str], *, miss_cost: float) -> FittedRules:
    """Fit the rules of all actions.

    An action's few examples say little by themselves: what a rule costs on average over all actions counts as much as `LEAN` examples,
    where no action costs more than if it never were an event, so that none speaks for all. And the rule that costs least is often so
    by the luck of one clip: a rule is taken for as good as it and its neighbours are on average.

    Args:
        recordings: What the recognizer says of streams that it did not learn from.
        actions: Its actions.
        miss_cost: Cost of a missed action, that of a false alarm being 1.
    """
    counts = [[count_action(recordings, found, actions, action) for action in actions]
              for found in (find_events(recordings, actions, rule) for rule in GRID)]  # fmt: skip
    examples = np.array([one.hits + one.misses for one in counts[0]])
    without = tuple(action for action, number in zip(actions, examples, strict=True) if not number)
    if not examples.any():
        return FittedRules({}, without, {})
    costs = np.array([[miss_cost * one.misses + one.false_alarms for one in row] for row in counts])
    usual = examples[examples > 0].mean()
    never = miss_cost * np.where(examples > 0, examples, usual)
    shared = np.minimum(costs, never).mean(axis=1, keepdims=True)
    best = _mean_of_neighbours(costs + LEAN / usual * shared)[::-1].argmin(axis=0)
    chosen = len(GRID) - 1 - best  # of equals the stricter one
    rules = {action: GRID[number] for action, number in zip(actions, chosen, strict=True)}
    return FittedRules(rules, without, {a: counts[n][k] for k, (a, n) in enumerate(zip(actions, chosen, strict=True))})


def _mean_of_neighbours(costs: np.ndarray) -> np.ndarray:
    """Costs of the rules (len(GRID), A), each with those of the next lower and higher threshold and minimum time."""
    table = costs.reshape(len(THRESHOLDS), len(MINIMA_S), -1)
    for axis in (0, 1):
        table = convolve1d(table, NEIGHBOURS, axis=axis, mode="nearest")
    return table.reshape(costs.shape)


def find_events(
    recordings: Sequence[Recording], actions: Sequence[str], rules: Mapping[str, Rule] | Rule
) -> list[list[FoundEvent]]:
    """Events of each recording by the detector that live video has."""
    return [_detect(recording, EventDetector(actions, rules=rules)) for recording in recordings]


def count_action(
    recordings: Sequence[Recording], found: Sequence[Sequence[FoundEvent]], actions: Sequence[str], action: str
) -> EventCounts:
    """Counts of one action over recordings and the events found in them."""
    column = list(actions).index(action)
    parts = (
        count_events(spells(recording.holds[:, column], recording.rate), [one for one in events if one.label == action])
        for recording, events in zip(recordings, found, strict=True)
    )
    return sum(parts, NOTHING)


def _detect(recording: Recording, detector: EventDetector) -> list[FoundEvent]:
    certain: dict[str, float] = {}
    over: list[FoundEvent] = []
    for time_s, people in zip(recording.times_s.tolist(), recording.people, strict=True):
        for event in detector.update(time_s, people):
            if event.end_s is None:
                certain[event.id] = time_s
            else:
                over.append(FoundEvent(event.label, certain.pop(event.id), event.start_s, event.end_s))
    over += [FoundEvent(e.label, certain[e.id], e.start_s, e.end_s or e.start_s) for e in detector.finish()]
    return over
