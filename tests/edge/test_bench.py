"""What a measurement says follows from the times that went into it."""

import subprocess
import sys

import numpy as np
import pytest
from refusals import refused

from pan_core.edge.bench import Profile, bench, camera
from pan_core.edge.bundled import open_bundle
from pan_core.edge.device import Condition, slowed
from pan_core.edge.result import HERE
from pan_core.errors import GateError
from pan_core.timing import measured, part


def test_a_fast_device_drops_nothing():
    assert camera([10.0] * 100, 25.0) == {"fps": 25.0, "frames": 100, "dropped": 0}


def test_at_half_the_speed_every_second_picture_is_dropped():
    found = camera([80.0] * 50, 25.0)
    assert found["frames"] == 99
    assert found["dropped"] == 49


def test_one_long_frame_costs_the_pictures_that_came_meanwhile():
    assert camera([10, 10, 210, 10, 10], 25.0)["dropped"] == 4


def condition(**changes):
    return Condition(**{"temperature_c": 50.0, "clock_mhz": 2400.0, "clock_most_mhz": 2400.0, "governor": "performance",
                        "throttled": 0} | changes)  # fmt: skip


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({}, ""),
        ({"throttled": 0x4}, "the firmware throttles it"),
        ({"throttled": 0x50000}, "throttled it meanwhile"),
        ({"clock_mhz": 1500.0}, "its clock is 1500 MHz of 2400"),
        ({"clock_mhz": None, "throttled": None, "temperature_c": None}, ""),
    ],
)
def test_a_device_that_throttles_is_told(after, told):
    reason = slowed(condition(), condition(**after), model="")
    assert told in reason
    assert bool(reason) == bool(told)


def test_what_happened_since_boot_is_not_of_this_run():
    assert slowed(condition(throttled=0x50000), condition(throttled=0x50000), model="Raspberry Pi 5") == ""


def test_a_pi_whose_firmware_says_nothing_may_have_slowed_down():
    silent = condition(throttled=None)
    assert "vcgencmd" in slowed(condition(), silent, model="Raspberry Pi 4 Model B Rev 1.4")
    assert slowed(silent, silent, model="NVIDIA Jetson Nano Developer Kit") == ""


MEASURED = """
import subprocess, sys
from pan_core.edge.device import peak_memory_mb
before = peak_memory_mb()
worker = subprocess.Popen(
    [sys.executable, "-c", "x = bytearray(200_000_000); print(flush=True); input()"], stdin=-1, stdout=-1
)
worker.stdout.readline()
print(peak_memory_mb() - before)
worker.communicate(b"\\n")
"""


def test_memory_of_a_worker_counts():
    """In a process that has had no other: of those that have ended the largest counts."""
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 100


def test_parts_cost_nothing_while_nobody_measures():
    with part("pose"):
        pass
    with measured() as spent:
        for _ in range(3):
            with part("pose"):
                pass
    assert list(spent) == ["pose"]
    with part("grouping"):
        pass
    assert list(spent) == ["pose"]


def test_a_bundle_is_measured_part_by_part(host_bundle):
    result = bench(open_bundle(host_bundle), Profile("test", runs=2, frames=8, seconds=0.0, warmup=0))
    assert result["kind"] == HERE
    assert result["frame"]["count"] == 16
    assert {"decode", "search", "grouping", "flow", "pan"} <= set(result["parts"])
    assert [run["count"] for run in result["runs"]] == [8, 8]
    # Parts do not contain each other, so together they are at most the whole.
    whole = result["frame"]["mean_ms"] * 16
    assert sum(each["mean_ms"] * each["count"] for each in result["parts"].values()) <= whole
    assert result["parts"]["pan"]["count"] == 16
    assert result["fps"] == pytest.approx(16000 / whole, rel=1e-3)
    assert result["accuracy"]["accuracy"] == result["accuracy"]["torch_accuracy"]
    assert result["memory_mb"] > 50
    # One person in a film at the recognizer's own rate: a step in each frame, at most one look in every second.
    assert result["video"]["own"]
    assert result["people"] >= 14
    assert result["people"] <= result["steps"] <= 16
    assert result["parts"]["pose"]["count"] < 16


def test_a_wrong_answer_is_not_measured(host_bundle, monkeypatch):
    bundle = open_bundle(host_bundle)
    step = bundle.network.step

    def wrong(features, memory):
        output = step(features, memory)
        return type(output)(output.logits + np.float32(0.01), *list(vars(output).values())[1:])

    monkeypatch.setattr(bundle.network, "step", wrong)
    assert list(bundle.compare().find_faults(step_tolerance=1e-4, pose_tolerance=1e-4)) == ["step_difference"]
    with refused("parity.out-of-bounds", GateError):
        bench(bundle, Profile("test", runs=1, frames=1, seconds=0.0, warmup=0))
