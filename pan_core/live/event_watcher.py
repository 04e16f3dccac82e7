"""From the frames of a source to the events in it, by whatever recognizer is in use."""

import logging
from collections.abc import Callable, Mapping

from pan_core.live.events import Event, EventDetector
from pan_core.live.source import Frame
from pan_core.live.watcher import FrameResult, Watcher
from pan_core.recognition.event_rules import Rule, RuleChoice, Rules, require_known
from pan_core.recognition.recognizer import Recognizer

logger = logging.getLogger(__name__)


class EventWatcher:
    """People of one source and their events, by whatever recognizer is in use.

    Args:
        get_recognizer: As for `Watcher`.
        rules: As for `watch`.
        name: Name of the source.

    Attributes:
        unknown: Actions of the rules that the recognizer in use does not know.
    """

    def __init__(self, get_recognizer: Callable[[], Recognizer], rules: Rules, name: str) -> None:
        self._watcher = Watcher(get_recognizer)
        self._recognizer = get_recognizer()
        self._rules, self._name = rules, name
        if not isinstance(rules, Rule):
            asked = rules.thresholds if isinstance(rules, RuleChoice) else rules
            require_known(asked, self._recognizer.network.actions, "events")
        known, _ = _known_rules(rules, self._recognizer)
        self._detector = EventDetector(self._recognizer.network.actions, rules=known, camera=name)
        self._found: list[Event] = []
        self.unknown: tuple[str, ...] = ()

    def update(self, frame: Frame) -> tuple[FrameResult, list[Event]]:
        """Take in the next frame; give what is known of it, and the events that began or ended."""
        result = self._watcher.update(frame)
        if result.by is not self._recognizer:
            self._take_over(result.by)
        if result.looked:
            self._found += self._detector.update(result.frame.position, result.people, source_part=frame.source_part)
        return result, self._take_found()

    def finish(self) -> list[Event]:
        """End everything that goes on."""
        self._found += self._detector.finish()
        return self._take_found()

    def begin_anew(self) -> list[Event]:
        """Forget the people in sight after a fault; give all events that ended."""
        self._watcher.begin_anew()
        return self.finish()

    def _take_over(self, recognizer: Recognizer) -> None:
        """End the events of the recognizer before, which may know other actions."""
        self._recognizer = recognizer
        self._found += self._detector.finish()
        known, self.unknown = _known_rules(self._rules, recognizer)
        self._detector = EventDetector(recognizer.network.actions, rules=known, camera=self._name)

    def _take_found(self) -> list[Event]:
        """Events since the last call, those before a fault included."""
        found, self._found = self._found, []
        return found


def _known_rules(rules: Rules, recognizer: Recognizer) -> tuple[Mapping[str, Rule] | Rule, tuple[str, ...]]:
    """The rules for actions that a recognizer knows, and the other actions."""
    if isinstance(rules, Rule):
        return rules, ()
    actions = recognizer.network.actions
    asked = rules.thresholds if isinstance(rules, RuleChoice) else rules
    unknown = tuple(name for name in asked if name not in actions)
    if unknown:
        logger.warning("%s knows no action %s: there are no such events", recognizer.name, ", ".join(unknown))
    if isinstance(rules, RuleChoice):
        return rules.apply(actions, recognizer.rules), unknown
    return {name: rule for name, rule in rules.items() if name not in unknown}, unknown
