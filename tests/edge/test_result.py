"""A measurement counts where it is whole, of the device, of these networks, and long enough; nothing else does."""

import json

import pytest
from refusals import refused

from pan_core.edge.budget_check import (
    Expectation,
    broken_rules,
    judge_measurement,
    judge_prediction,
    judge_unknown,
    require_result,
)
from pan_core.edge.result import DEVICE, EMULATED, HERE, OTHER, describe, find_faults, read_result, write_result
from pan_core.errors import DataError
from pan_core.export.targets import target_by_name

LABELS = ["Running", "Waving"]
PI = target_by_name("raspberry-pi-5")
EXPECTED = Expectation(PI, structure="abc", labels=LABELS, settings={"stages": 4, "glance_size": (256, 224)})


def latency(p90, count=1024):
    return {"p50_ms": 0.8 * p90, "p90_ms": p90, "p99_ms": 1.5 * p90, "mean_ms": 0.9 * p90, "count": count}


def result(**changes):
    return {
        "format": "pan-latency-1", "kind": DEVICE, "target": "raspberry-pi-5", "structure": "abc", "labels": LABELS,
        "preprocessing": {"stages": 4, "glance_size": [256, 224]},
        "profile": {"name": "full", "runs": 5, "frames": 1024, "seconds": 60.0, "warmup": 30},
        "measured_at": "2026-11-26T12:00:00Z", "threads": 4, "frame": latency(35.0, 5120), "slowed": "", "memory_mb": 300.0,
        "video": {"sha256": "abc", "own": True}, "people": 5000, "steps": 5000,
        "device": {"model": "Raspberry Pi 5 Model B Rev 1.0", "machine": "aarch64", "processor": ""}, "fps": 28.0,
        "parts": {"pose": latency(30.0, 5120), "pan": latency(0.6, 5120)}, "camera": {"fps": 25.0, "frames": 5200, "dropped": 80},
        "runs": [latency(value) for value in (34.8, 35.0, 35.1, 35.3, 34.9)],
    } | changes  # fmt: skip


def test_written_and_read_again(tmp_path):
    write_result(tmp_path / "r.json", result())
    assert read_result(tmp_path / "r.json") == result()
    assert "28.0 frames a second; of a camera with 25 it drops 80 of 5200" in describe(result())


@pytest.mark.parametrize("place", [("fps",), ("parts", "pan", "p90_ms"), ("device", "model"), ("kind",)])
def test_edited_by_hand(tmp_path, place):
    path = tmp_path / "r.json"
    write_result(path, result())
    content = json.loads(path.read_text())
    *way, last = place
    target = content
    for step in way:
        target = target[step]
    target[last] = "measured on the device, really" if isinstance(target[last], str) else target[last] / 2
    path.write_text(json.dumps(content))
    with refused("result.changed", DataError):
        read_result(path)


def test_no_result(tmp_path):
    (tmp_path / "r.json").write_text('{"accuracy": 1}')
    with refused("result.format", DataError):
        read_result(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["[]", "3", '"text"'])
def test_json_that_is_no_result(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with refused("result.format", DataError):
        read_result(tmp_path / "r.json")


def test_a_result_with_parts_missing(tmp_path):
    broken = result(runs=[], fps="fast", parts={}, people=True)
    faults = dict(find_faults(broken))
    assert list(faults) == ["parts.pan", "fps", "runs", "people"]
    assert "'fast'" in faults["fps"]
    assert "True" in faults["people"]
    write_result(tmp_path / "r.json", broken)
    with refused("result.incomplete", DataError) as raised:
        read_result(tmp_path / "r.json")
    assert all(f"{name} {fault}" in str(raised.value) for name, fault in faults.items())
    assert "\n" not in str(raised.value)


def test_each_run_is_looked_at():
    faults = dict(find_faults(result(runs=[latency(35.0), {"p90_ms": 35.0, "p99_ms": 50.0, "count": "many"}])))
    assert set(faults) == {"runs.1.p50_ms", "runs.1.count"}


def test_what_counts():
    require_result(result(), EXPECTED)
    verdict = judge_measurement(result(), PI)
    assert verdict.keeps
    assert (verdict.kind, verdict.fps, verdict.count) == (DEVICE, 28.0, 5120)
    assert verdict.dropped == pytest.approx(80 / 5200)


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"target": "raspberry-pi-4"}, "target", "raspberry-pi-4"),
        ({"kind": EMULATED}, "kind", EMULATED),
        ({"kind": HERE}, "kind", HERE),
        ({"kind": OTHER}, "kind", OTHER),
        ({"labels": ["Sitting", "Waving"]}, "labels", "Sitting"),
        ({"structure": "xyz"}, "structure", "structure"),
        ({"preprocessing": {"stages": 2, "glance_size": [256, 224]}}, "preprocessing", "(stages 2 instead of 4)"),
        ({"threads": 8}, "threads", "8 threads"),
        ({"slowed": "the firmware throttles it"}, "slowed", ": the firmware throttles it"),
        ({"runs": [latency(35.0)] * 2}, "profile", "2 runs"),
        ({"runs": [latency(35.0, 40)] * 5}, "profile", "40 frames"),
        ({"profile": {"seconds": 10.0}}, "profile", "10 s"),
        ({"runs": [latency(value) for value in (30, 35, 35, 35, 40)]}, "runs", "30.0, 35.0, 35.0, 35.0, 40.0 ms"),
        ({"video": {"sha256": "abc", "own": False}}, "video", "video"),
        ({"people": 4000}, "people", "4000 of 5120 frames"),
        ({"memory_mb": 9000.0}, "memory_mb", "9000 MB"),
    ],
)
def test_what_does_not_count(changes, field, told):
    (rule,) = broken_rules(result(**changes), EXPECTED)
    assert rule.field == field
    assert told in rule.reason(result(**changes), EXPECTED)
    with refused("measurement.does-not-count", DataError) as raised:
        require_result(result(**changes), EXPECTED)
    assert told in str(raised.value)


def test_all_that_is_wrong_is_reported_at_once():
    wrong = result(target="host", threads=8, memory_mb=9000.0)
    assert [rule.field for rule in broken_rules(wrong, EXPECTED)] == ["target", "threads", "memory_mb"]
    with refused("measurement.does-not-count", DataError) as raised:
        require_result(wrong, EXPECTED)
    assert str(raised.value).count("\n  - ") == 3


def test_a_budget_that_is_not_kept():
    slow = judge_measurement(result(fps=20.0), PI)
    assert not slow.keeps
    assert "20.0 frames a second, at least 25 asked" in slow.reason
    assert not judge_measurement(result(parts={"pan": latency(1.4)}), PI).keeps


def test_a_prediction_passes_only_where_it_is_said_so():
    refused_prediction = judge_prediction(40.0, 3.2, PI, accepted=False, why="not measured")
    assert not refused_prediction.keeps
    assert (refused_prediction.kind, refused_prediction.count) == ("predicted", 0)
    assert "a prediction passes no gate" in refused_prediction.reason
    assert judge_prediction(40.0, 3.2, PI, accepted=True, why="not measured").keeps
    assert not judge_prediction(20.0, 3.2, PI, accepted=True, why="not measured").keeps


def test_nothing_known_keeps_nothing():
    assert not judge_unknown(PI, "not measured").keeps
