"""How people are found and followed in a video."""

from dataclasses import dataclass

from pan_core.errors import ConfigError
from pan_core.pose.maps import MAX_STAGES, STRIDE


@dataclass(frozen=True)
class ExtractionSettings:
    """How people are found and followed; every value is part of the extractor's identity.

    Attributes:
        stages: Network stage used on crops, 1..6: later ones are slower and more exact.
        search_stages: Network stage used on whole frames.
        search_size: Largest width and height of a whole frame at the network's input.
        glance_size: Likewise for most of the searches, those that follow one which found somebody.
        crop_size: Longer side of a crop at the network's input, a multiple of 8.
        narrowest_crop: Smallest share of it for a crop's shorter side; 1 looks at squares.
        search_every: Frames between two searches of the whole frame.
        look_every: Frames between two looks at a person; optical flow carries the joints over those between.
        keep_missed: Whether joints that a look misses are kept where optical flow still follows them.
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
        rules = {
            f"stages: expected 1..{MAX_STAGES}": 1 <= self.stages <= MAX_STAGES,
            f"search_stages: expected 1..{MAX_STAGES}": 1 <= self.search_stages <= MAX_STAGES,
            "search_size: expected two sides of at least 64": len(self.search_size) == 2
            and min(self.search_size) >= 64,
            "glance_size: expected two sides of at least 64": len(self.glance_size) == 2
            and min(self.glance_size) >= 64,
            f"crop_size: expected a multiple of {STRIDE}, at least 64": self.crop_size >= 64
            and self.crop_size % STRIDE == 0,
            "narrowest_crop: expected a value in 0..1": 0 < self.narrowest_crop <= 1,
            "search_every: expected at least 1": self.search_every >= 1,
            "look_every: expected at least 1": self.look_every >= 1,
            "min_joint_score: expected a value in 0..1": 0 < self.min_joint_score < 1,
            "min_person_score: expected a value in 0..1": 0 < self.min_person_score < 1,
            "max_people: expected at least 1": self.max_people >= 1,
            "max_fps: expected a value above 0": self.max_fps > 0,
        }
        faults = [f"{rule}, but got {getattr(self, rule.split(':')[0])}" for rule, kept in rules.items() if not kept]
        if faults:
            raise ConfigError("pose extraction", faults)
