"""Rules of events: what a user asks in place of a recognizer's own, and the file beside a network."""

import json
from pathlib import Path

import pytest
from refusals import refused

from pan_core.errors import ConfigError, DataError
from pan_core.recognition.event_rules import (
    RULES_FILE,
    Rule,
    RuleChoice,
    describe_rules,
    load_rules,
    read_rules,
    write_rules,
)

ACTIONS = ("Falling", "Waving")
OWN = {"Falling": Rule(0.8, 0.5, 0.2), "Waving": Rule(0.3, 0.2, 1.0)}


def test_own_rules_hold_unless_asked_otherwise() -> None:
    assert read_rules([], ACTIONS).apply(ACTIONS, OWN) == OWN
    assert read_rules(["Waving"], ACTIONS).apply(ACTIONS, OWN) == {"Waving": OWN["Waving"]}
    assert read_rules(["Falling=0.6"], ACTIONS).apply(ACTIONS, OWN) == {"Falling": Rule(0.6, 0.5, 0.2)}
    # The release is never above the threshold.
    assert read_rules(["Falling=0.4"], ACTIONS).apply(ACTIONS, OWN) == {"Falling": Rule(0.4, 0.4, 0.2)}
    assert read_rules([], ACTIONS, minimum_s=0.7).apply(ACTIONS, OWN)["Waving"] == Rule(0.3, 0.2, 0.7)


def test_a_recognizer_without_rules_has_the_defaults_and_says_so() -> None:
    assert RuleChoice().apply(ACTIONS, {}) == dict.fromkeys(ACTIONS, Rule())
    assert "without fitted" in describe_rules({}) and "0.4" in describe_rules({})
    assert "without" not in describe_rules(OWN)


def test_another_recognizer_gets_the_rules_of_what_it_knows() -> None:
    assert RuleChoice({"Waving": 0.5, "Jumping": None}).apply(("Waving",), {}) == {"Waving": Rule(0.5, 0.25)}


def test_a_minimum_time_that_cannot_be_is_refused() -> None:
    for minimum_s in (-1.0, float("nan"), float("inf")):
        with refused("events.rule", ConfigError):
            read_rules([], ACTIONS, minimum_s=minimum_s)


def test_rules_come_back_from_their_file(tmp_path: Path) -> None:
    assert load_rules(tmp_path, ACTIONS) == {}
    write_rules(tmp_path, OWN, miss_cost=1.0)
    assert load_rules(tmp_path, ACTIONS) == OWN


def test_rules_of_another_recognizer_are_refused_by_name(tmp_path: Path) -> None:
    write_rules(tmp_path, OWN)
    with refused("events.unknown-action", DataError) as caught:
        load_rules(tmp_path, ("Waving", "Jumping"))
    assert "Falling" in str(caught.value) and "Jumping" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        "{}",
        json.dumps({"format": "pan-events-9", "rules": {}}),
        json.dumps({"format": "pan-events-1", "rules": {"Waving": {"threshold": 7}}}),
        json.dumps({"format": "pan-events-1", "rules": {"Waving": {"threshold": "high"}}}),
        json.dumps({"format": "pan-events-1", "rules": {"Waving": {"level": 0.5}}}),
        json.dumps({"format": "pan-events-1", "rules": ["Waving"]}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RULES_FILE).write_text(content)
    with refused("events.file", DataError):
        load_rules(tmp_path, ACTIONS)
