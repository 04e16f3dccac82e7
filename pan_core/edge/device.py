"""What a device tells of itself: model, memory, temperature, clock, and whether it slowed down."""

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
    """A moment of a device; None where it does not tell.

    Attributes:
        temperature_c: Of the processor.
        clock_mhz: Of the first core.
        clock_most_mhz: The highest that this core may have.
        governor: How the clock is chosen.
        throttled: Word of a Raspberry Pi's firmware, see `THROTTLED_NOW`.
    """

    temperature_c: float | None
    clock_mhz: float | None
    clock_most_mhz: float | None
    governor: str | None
    throttled: int | None

    @classmethod
    def now(cls) -> "Condition":
        """As it is."""
        temperature = _number(THERMAL)
        clock, most = _number(CLOCK / "scaling_cur_freq"), _number(CLOCK / "cpuinfo_max_freq")
        return cls(
            None if temperature is None else temperature / 1000,
            None if clock is None else clock / 1000,
            None if most is None else most / 1000,
            _text(CLOCK / "scaling_governor"),
            _throttled(),
        )

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def slowed(before: Condition, after: Condition, *, model: str) -> str:
    """Why figures taken in between are not those of a device at its normal speed; empty where they are.

    Args:
        before: At the beginning.
        after: In the end.
        model: Name of the board; the firmware of a Raspberry Pi must say that it does not throttle.
    """
    if "Raspberry Pi" in model and None in (before.throttled, after.throttled):
        return "whether the firmware throttles it is not known; `vcgencmd get_throttled` must work there (package raspi-utils)"
    if after.throttled is not None and after.throttled & THROTTLED_NOW:
        return f"the firmware throttles it (get_throttled is {after.throttled:#x}): too hot, or its power supply is too weak"
    if after.throttled is not None and after.throttled & ~(before.throttled or 0) & THROTTLED_SINCE_BOOT:
        return f"the firmware throttled it meanwhile (get_throttled is {after.throttled:#x}): too hot, or a weak power supply"
    if after.clock_mhz and after.clock_most_mhz and after.clock_mhz < LEAST_CLOCK * after.clock_most_mhz:
        return f"its clock is {after.clock_mhz:.0f} MHz of {after.clock_most_mhz:.0f} although it is busy (governor {after.governor})"
    return ""


def identity() -> dict[str, object]:
    """What it is."""
    return {
        "model": device_model(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def emulated() -> bool:
    """Whether the processor is one that is imitated by a program on another: the kernel then tells the other's name."""
    if os.environ.get(EMULATED_VARIABLE):
        return True
    foreign = platform.machine() in ("aarch64", "armv7l")
    return foreign and any(maker in (_text(CPU_INFO) or "") for maker in ("GenuineIntel", "AuthenticAMD"))


def peak_memory_mb() -> float:
    """Most memory that this process has had, and its workers: TensorRT runs in one of its own."""
    own, ended = (resource.getrusage(who).ru_maxrss / 1000 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + max(_workers_mb(os.getpid()), ended)


def _workers_mb(parent: int) -> float:
    """Peaks of the processes below one that are still there, together; by Linux's /proc."""
    total = 0.0
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in (_text(task) or "").split():
            for line in (_text(Path(f"/proc/{child}/status")) or "").splitlines():
                if line.startswith("VmHWM:"):
                    total += float(line.split()[1]) / 1000
            total += _workers_mb(int(child))
    return total


def _processor() -> str:
    for line in (_text(CPU_INFO) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor()


def _throttled() -> int | None:
    if not shutil.which("vcgencmd"):
        return None
    done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, check=False)
    try:
        return int(done.stdout.strip().partition("=")[2], 0)
    except ValueError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return None
