"""Settings of pose extraction: how people are found and followed in a video."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pan_core.errors import ConfigError
from pan_core.pose.maps import MAX_STAGES, STRIDE


@dataclass(frozen=True)
class ExtractionSettings:
    """Settings of pose extraction; every value is part of the extractor's identity.

    Attributes:
        stages: Network stage used on crops, 1..6; later stages are slower and more exact.
        search_stages: Network stage used on whole frames.
        search_size: Largest width and height of a whole frame at the network's input.
        glance_size: Likewise if the search need not be close.
        crop_size: Longer side of a crop at the network's input, a multiple of 8.
        narrowest_crop: Smallest share of it for a crop's shorter side; 1 gives square crops.
        search_every: Frames between two searches of the whole frame.
        look_every: Frames between two looks at a person; optical flow carries the joints over those between.
        keep_missed: Whether joints that a look misses are kept if optical flow still follows them.
        min_joint_score: Lowest confidence of a joint.
        min_person_score: Lowest sum of joint scores over the number of joints, for a person to be believed.
        max_people: Most people followed at a time and returned.
        max_fps: Frames a second to look at; a faster video is thinned by a whole step.
    """

    stages: int = 4
    search_stages: int = 4
    search_size: tuple[int, int] = (432, 368)
    glance_size: tuple[int, int] = (256, 224)
    crop_size: int = 224
    narrowest_crop: float = 0.5
    search_every: int = 30
    look_every: int = 2
    keep_missed: bool = True
    min_joint_score: float = 0.05
    min_person_score: float = 0.12
    max_people: int = 2
    max_fps: float = 15.0

    def __post_init__(self) -> None:
        values = [(rule, getattr(self, rule.name)) for rule in _RULES]
        faults = [f"{rule.name}: {rule.expected}, but got {value}" for rule, value in values if not rule.holds(value)]
        if faults:
            raise ConfigError("pose extraction", faults)

    def of_estimator(self) -> dict[str, Any]:
        """Settings that `pan_core.pose.declared.open_estimator` takes; the tracker has the others."""
        return {
            "stages": self.stages, "search_stages": self.search_stages, "search_size": self.search_size,
            "glance_size": self.glance_size, "crop_size": self.crop_size, "narrowest": self.narrowest_crop,
            "min_joint_score": self.min_joint_score,
        }  # fmt: skip


class _Rule(NamedTuple):
    """Condition that a setting must meet.

    Attributes:
        name: Name of the setting.
        expected: Condition in words.
        holds: Test of a value.
    """

    name: str
    expected: str
    holds: Callable[[Any], bool]


_SIDES = "expected two sides of at least 64"
_SHARE = "expected a value in 0..1"
_COUNT = "expected at least 1"
_RULES = (
    _Rule("stages", f"expected 1..{MAX_STAGES}", lambda stage: 1 <= stage <= MAX_STAGES),
    _Rule("search_stages", f"expected 1..{MAX_STAGES}", lambda stage: 1 <= stage <= MAX_STAGES),
    _Rule("search_size", _SIDES, lambda size: len(size) == 2 and min(size) >= 64),
    _Rule("glance_size", _SIDES, lambda size: len(size) == 2 and min(size) >= 64),
    _Rule("crop_size", f"expected a multiple of {STRIDE}, at least 64", lambda side: side >= 64 and side % STRIDE == 0),
    _Rule("narrowest_crop", _SHARE, lambda share: 0 < share <= 1),
    _Rule("search_every", _COUNT, lambda frames: frames >= 1),
    _Rule("look_every", _COUNT, lambda frames: frames >= 1),
    _Rule("min_joint_score", _SHARE, lambda score: 0 < score < 1),
    _Rule("min_person_score", _SHARE, lambda score: 0 < score < 1),
    _Rule("max_people", _COUNT, lambda people: people >= 1),
    _Rule("max_fps", "expected a value above 0", lambda fps: fps > 0),
)
