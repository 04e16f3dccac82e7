"""A measurement counts where it is whole, of the device, of these networks, and long enough; nothing else does."""

import json

import pytest

from pan_core.edge.budget_check import measured, predicted, require_result, unknown
from pan_core.edge.result import DEVICE, EMULATED, HERE, OTHER, describe, read_result, write_result
from pan_core.errors import DataError
from pan_core.export.targets import target_by_name

LABELS = ["Running", "Waving"]
HERE_NOW = {"structure": "abc", "labels": LABELS, "settings": {"stages": 4, "glance_size": (256, 224)}}
PI = target_by_name("raspberry-pi-5")


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
    with pytest.raises(DataError, match="was changed after it was written"):
        read_result(path)


def test_no_result(tmp_path):
    (tmp_path / "r.json").write_text('{"accuracy": 1}')
    with pytest.raises(DataError, match="no result of `pan-edge bench`"):
        read_result(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["[]", "3", '"text"'])
def test_json_that_is_no_result(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DataError, match="no result of `pan-edge bench`"):
        read_result(tmp_path / "r.json")


def test_a_result_with_parts_missing(tmp_path):
    write_result(tmp_path / "r.json", result(runs=[], fps="fast", parts={}, people=True))
    with pytest.raises(DataError) as raised:
        read_result(tmp_path / "r.json")
    told = "parts.pan is missing, fps is 'fast', runs is empty or no list, people is True"
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_counts():
    require_result(result(), PI, **HERE_NOW)
    standing = measured(result(), PI)
    assert standing.keeps
    assert (standing.kind, standing.fps, standing.count) == (DEVICE, 28.0, 5120)
    assert standing.dropped == pytest.approx(80 / 5200)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target": "raspberry-pi-4"}, "it is of target raspberry-pi-4"),
        ({"kind": EMULATED}, "it is emulated, which says nothing of the speed"),
        ({"kind": HERE}, "it is measured on this host"),
        ({"kind": OTHER}, "it is measured on another machine"),
        ({"labels": ["Sitting", "Waving"]}, "its recognizer knows other classes"),
        ({"structure": "xyz"}, "its networks are built otherwise"),
        ({"preprocessing": {"stages": 2, "glance_size": [256, 224]}}, "by other settings (stages 2 instead of 4)"),
        ({"threads": 8}, "it ran on 8 threads, 4 expected"),
        ({"slowed": "the firmware throttles it"}, "not at its normal speed: the firmware throttles it"),
        ({"runs": [latency(35.0)] * 2}, "it has 2 runs"),
        ({"runs": [latency(35.0, 40)] * 5}, "it has 5 runs of 40 frames"),
        ({"runs": [latency(value) for value in (30, 35, 35, 35, 40)]}, "its runs differ"),
        ({"video": {"sha256": "abc", "own": False}}, "of another video than the bundle's own"),
        ({"people": 4000}, "somebody was seen in 4000 of 5120 frames"),
        ({"memory_mb": 9000.0}, "it took 9000 MB"),
    ],
)
def test_what_does_not_count(changes, told):
    with pytest.raises(DataError, match="does not count") as raised:
        require_result(result(**changes), PI, **HERE_NOW)
    assert told in str(raised.value)


def test_a_budget_that_is_not_kept():
    slow = measured(result(fps=20.0), PI)
    assert not slow.keeps
    assert "20.0 frames a second, at least 25 asked" in slow.reason
    assert not measured(result(parts={"pan": latency(1.4)}), PI).keeps


def test_a_prediction_passes_only_where_it_is_said_so():
    refused = predicted(40.0, 3.2, PI, accepted=False, why="not measured")
    assert not refused.keeps
    assert (refused.kind, refused.count) == ("predicted", 0)
    assert "a prediction passes no gate" in refused.reason
    assert predicted(40.0, 3.2, PI, accepted=True, why="not measured").keeps
    assert not predicted(20.0, 3.2, PI, accepted=True, why="not measured").keeps


def test_nothing_known_keeps_nothing():
    assert not unknown(PI, "not measured").keeps
