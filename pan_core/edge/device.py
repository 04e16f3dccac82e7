"""Identity and condition of a device: model, memory, temperature, clock, and throttling."""

import os
import platform
import resource
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from pan_core.edge.bundle_manifest import device_model

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq")
CPU_INFO = Path("/proc/cpuinfo")
# Bits of `vcgencmd get_throttled`: under-voltage, clock capped, throttled, soft temperature limit; the same since boot from bit 16.
THROTTLED_NOW, THROTTLED_SINCE_BOOT = 0xF, 0xF0000
# A clock that falls below this share of its highest value while a device is busy was lowered.
LEAST_CLOCK = 0.9
EMULATED_VARIABLE = "PAN_EDGE_EMULATED"


@dataclass(frozen=True)
class Condition:
    """Condition of a device at one moment; None for what it does not report.

    Attributes:
        temperature_c: Temperature of the processor.
        clock_mhz: Clock of the first core.
        clock_most_mhz: Highest clock that this core may have.
        governor: Governor that chooses the clock.
        throttled: Bits of a Raspberry Pi's firmware, see `THROTTLED_NOW`.
    """

    temperature_c: float | None
    clock_mhz: float | None
    clock_most_mhz: float | None
    governor: str | None
    throttled: int | None

    @classmethod
    def now(cls) -> "Condition":
        """Read the present condition."""
        temperature = _read_number(THERMAL)
        clock, most = _read_number(CLOCK / "scaling_cur_freq"), _read_number(CLOCK / "cpuinfo_max_freq")
        return cls(
            None if temperature is None else temperature / 1000,
            None if clock is None else clock / 1000,
            None if most is None else most / 1000,
            _read_text(CLOCK / "scaling_governor"),
            _read_throttled(),
        )

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def slowed(before: Condition, after: Condition, *, model: str) -> str:
    """Reason why a device was not at its normal speed between two moments; empty if it was.

    Args:
        before: Condition at the beginning.
        after: Condition at the end.
        model: Name of the board; the firmware of a Raspberry Pi must report that it does not throttle.
    """
    if "Raspberry Pi" in model and None in (before.throttled, after.throttled):
        return "it is not known if the firmware throttles it; `vcgencmd get_throttled` must work there (package raspi-utils)"
    if after.throttled is not None and after.throttled & THROTTLED_NOW:
        return f"the firmware throttles it (get_throttled is {after.throttled:#x}): too hot, or its power supply is too weak"
    if after.throttled is not None and after.throttled & ~(before.throttled or 0) & THROTTLED_SINCE_BOOT:
        return f"the firmware throttled it meanwhile (get_throttled is {after.throttled:#x}): too hot, or a weak power supply"
    if after.clock_mhz and after.clock_most_mhz and after.clock_mhz < LEAST_CLOCK * after.clock_most_mhz:
        return f"its clock is {after.clock_mhz:.0f} MHz of {after.clock_most_mhz:.0f} although it is busy (governor {after.governor})"
    return ""


def identity() -> dict[str, object]:
    """Model, processor, memory and system of this device."""
    return {
        "model": device_model(),
        "machine": platform.machine(),
        "processor": _find_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def emulated() -> bool:
    """True if the processor is emulated: the kernel then reports the name of the host's processor."""
    if os.environ.get(EMULATED_VARIABLE):
        return True
    foreign = platform.machine() in ("aarch64", "armv7l")
    return foreign and any(maker in (_read_text(CPU_INFO) or "") for maker in ("GenuineIntel", "AuthenticAMD"))


def peak_memory_mb() -> float:
    """Peak memory of this process and its workers: TensorRT runs in a worker process."""
    own, ended = (resource.getrusage(who).ru_maxrss / 1000 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + max(_sum_workers_mb(os.getpid()), ended)


def _sum_workers_mb(parent: int) -> float:
    """Sum of the peaks of all running processes below one, by Linux's /proc."""
    total = 0.0
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in (_read_text(task) or "").split():
            for line in (_read_text(Path(f"/proc/{child}/status")) or "").splitlines():
                if line.startswith("VmHWM:"):
                    total += float(line.split()[1]) / 1000
            total += _sum_workers_mb(int(child))
    return total


def _find_processor() -> str:
    for line in (_read_text(CPU_INFO) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor()


def _read_throttled() -> int | None:
    if not shutil.which("vcgencmd"):
        return None
    done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, check=False)
    try:
        return int(done.stdout.strip().partition("=")[2], 0)
    except ValueError:
        return None


def _read_number(path: Path) -> float | None:
    text = _read_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return None
