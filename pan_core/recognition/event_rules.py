"""When an action is an event: rules by action, as they are fitted, stored beside a recognizer, and chosen by a user."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import read_json, write_json

RULES_FILE = "events.json"
"""Lies beside the network that it belongs to: in the folder of a trained recognizer, and in those of exported networks."""
FORMAT = "pan-events-1"

# Frames further apart than this say nothing of the time between them: what went on is over.
LONGEST_GAP_S = 2.0


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


@dataclass(frozen=True)
class RuleChoice:
    """A recognizer's own rules, with what a user asks in their place.

    A recognizer without rules of its own has `Rule()` for every action.

    Attributes:
        thresholds: Action -> threshold, or None for its own; other actions are no events. Empty: every action is.
        minimum_s: Minimum time of every action in place of its own.
    """

    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    minimum_s: float | None = None

    def apply(self, actions: Sequence[str], own: Mapping[str, Rule]) -> dict[str, Rule]:
        """Rules of those chosen actions that a recognizer knows.

        Args:
            actions: Actions of the recognizer.
            own: Its own rules.
        """
        asked = self.thresholds or dict.fromkeys(actions)
        found = {}
        for action, threshold in asked.items():
            rule = own.get(action, Rule())
            if threshold is not None:
                rule = replace(rule, threshold=threshold, release=min(rule.release, threshold))
            if self.minimum_s is not None:
                rule = replace(rule, minimum_s=self.minimum_s)
            if action in actions:
                found[action] = rule
        return found


Rules = Mapping[str, Rule] | Rule | RuleChoice
OWN = RuleChoice()
"""The recognizer's own rules."""


def read_rules(texts: Sequence[str], actions: Sequence[str], *, minimum_s: float | None = None) -> RuleChoice:
    """What a command line asks for, as ACTION or ACTION=THRESHOLD.

    An action's own name counts first, so that names may have "="; else what follows the last "=" is the threshold.

    Args:
        texts: What was written.
        actions: Actions of the recognizer.
        minimum_s: As in `RuleChoice`.

    Raises:
        ConfigError: If a threshold or the minimum time is no number, or out of range.
        DataError: If the recognizer does not know an action.
    """
    known = {unicodedata.normalize("NFC", action): action for action in actions}
    thresholds: dict[str, float | None] = {}
    for text in texts:
        name, threshold = unicodedata.normalize("NFC", text), None
        if name not in known:
            before, given, threshold = name.rpartition("=")
            name = before.rstrip()
            if not given or name not in known:
                raise _unknown(f"--event {text}", [], actions)
        try:
            thresholds[known[name]] = None if threshold is None else _read_threshold(threshold)
        except ValueError:
            raise ConfigError(
                f"--event {text}",
                ["expected ACTION or ACTION=PROBABILITY, such as Waving=0.5"],
                code="cli.event",
            ) from None
        except ConfigError as error:
            raise ConfigError(f"--event {text}", error.faults, code=error.code) from error
    if minimum_s is not None:
        Rule(minimum_s=minimum_s)
    return RuleChoice(thresholds, minimum_s)


def require_known(chosen: Collection[str], actions: Sequence[str], where: str) -> None:
    """Refuse rules for actions that a recognizer does not know.

    Raises:
        DataError: If there are any; it names them and what the recognizer knows.
    """
    if unknown := sorted(set(chosen) - set(actions)):
        raise _unknown(where, unknown, actions)


def write_rules(folder: Path, rules: Mapping[str, Rule], **about: object) -> None:
    """Write rules beside a network.

    Args:
        folder: Folder of the network.
        rules: Action -> rule.
        about: Plain data on how they were fitted.
    """
    content = {"format": FORMAT, "rules": {action: asdict(rule) for action, rule in rules.items()}}
    write_json(folder / RULES_FILE, content | about)


def load_rules(folder: Path, actions: Sequence[str]) -> dict[str, Rule]:
    """Read the rules beside a network; none if it comes without, as recognizers did before rules were fitted.

    Args:
        folder: Folder of the network.
        actions: Actions of the network.

    Raises:
        DataError: If the file is damaged, or has a rule for an action that the network does not know.
    """
    path = folder / RULES_FILE
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
        if content.get("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT!r}, but got {content.get('format')!r}")
        rules = {action: Rule(**values) for action, values in content["rules"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, PanError) as error:
        raise DataError(
            f"{path}: not rules of events: {error}; train again, or delete the file to have the defaults",
            code="events.file",
        ) from error
    require_known(rules, actions, str(path))
    return rules


def describe_rules(own: Mapping[str, Rule]) -> str:
    """A line on where a recognizer's rules come from."""
    if own:
        return "events: thresholds as fitted with the recognizer; docs/live.md"
    return (
        f"events: this recognizer comes without fitted thresholds, so every action has {Rule.threshold}; docs/live.md"
    )


def _read_threshold(text: str) -> float:
    value = float(text)
    return Rule(threshold=value, release=min(Rule.release, value)).threshold


def _unknown(where: str, unknown: Sequence[str], actions: Sequence[str]) -> DataError:
    which = f"no action {', '.join(unknown)}" if unknown else "no such action"
    return DataError(
        f"{where}: the recognizer knows {which}; it knows {', '.join(actions)}", code="events.unknown-action"
    )
