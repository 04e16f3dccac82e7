"""How a run ends: name and message, and what fails only once."""

import json

import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.retraining.memory import DeliveryMemory
from pan_core.retraining.outcome import RunNotes, end_at_gate, end_decided, end_without_training
from pan_core.retraining.receipts import Receipt
from pan_core.workspace.failures import RefusedError

BAD, NEW = Receipt("2026-11-09", "refused", "blurred"), Receipt("2026-11-02", "taken", "6 clips")


@pytest.fixture
def memory(tmp_path):
    return DeliveryMemory(tmp_path / "deliveries.json")


def decided(folder, *, promoted=True, already=False):
    checks = [{"name": "accuracy", "found": "0.5", "allowed": "0.6", "passed": promoted}]
    found = {"promoted": promoted, "already": already, "challenger": "v2", "reason": "why", "checks": checks}
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports" / "promote.json").write_text(json.dumps(found))
    return folder


def test_refusals_fail_a_run_once_for_each_reason(memory):
    with refused("retraining.all-refused", DataError):
        end_without_training("idle", RunNotes([BAD]), memory)
    ended = end_without_training("idle", RunNotes([BAD]), memory)
    assert ended.name == "NothingNew"
    assert "2026-11-09" in ended.message
    with refused("retraining.all-refused", DataError):
        end_without_training("idle", RunNotes([Receipt("2026-11-09", "refused", "cut off")]), memory)


def test_a_refusal_beside_one_that_was_taken_is_only_reported(memory):
    assert "blurred" in end_without_training("idle", RunNotes([BAD, NEW]), memory).message


def test_a_source_that_is_away_fails_a_run_that_had_nothing_else_to_do(memory, tmp_path):
    notes = RunNotes([NEW], away="unreachable")
    with refused("retraining.source-away"):
        end_without_training("idle", notes, memory)
    assert end_decided(decided(tmp_path), notes, memory).message.endswith("unreachable")


@pytest.mark.parametrize(
    ("promoted", "already", "name"),
    [(True, False, "Promoted"), (False, False, "Refused"), (True, True, "NothingNew")],
)
def test_the_name_is_what_was_decided(memory, tmp_path, promoted, already, name):
    ended = end_decided(decided(tmp_path, promoted=promoted, already=already), RunNotes([NEW]), memory)
    assert (ended.name, ended.message) == (name, "v2: why")
    assert f"| accuracy | 0.5 | 0.6 | {'yes' if promoted else 'no'} |" in ended.page
    assert (tmp_path / "reports" / "promotion.html").as_uri() in ended.page


def test_what_was_withdrawn_is_in_every_message(memory):
    notes = RunNotes([NEW], champion=2, withdrawn=1)
    ended = end_at_gate(RefusedError("evaluate", "inaccurate", True), notes, memory)
    assert (ended.name, ended.message.split("; ")[1:]) == ("Refused", notes.lines)
    assert "evaluate" in ended.page
    assert end_without_training("idle", notes, memory).message.split("; ")[1:] == notes.lines
