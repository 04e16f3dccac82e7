"""What the dataset consists of: its settings, its clips' names, and its split lists in UCF101's form."""

from dataclasses import dataclass
from pathlib import Path

from pan_core.datasets.actors.choreography import CLASSES
from pan_core.datasets.faults import FaultsError
from pan_core.files import atomic_path

SPLITS = 3


@dataclass(frozen=True)
class ActorsSettings:
    """What the dataset consists of.

    Attributes:
        seed: Everything follows from it.
        groups: Number of people; each stands in the test list of one of the three splits.
        clips_per_group: Clips of each class and person.
        fps: Frames a second.
        width: Picture width in pixels.
        height: Picture height in pixels.
        min_frames: Least length of a clip.
        max_frames: Greatest length of a clip.
        classes: The classes to make.
    """

    seed: int = 0
    groups: int = 21
    clips_per_group: int = 1
    fps: float = 15.0
    width: int = 320
    height: int = 240
    min_frames: int = 14
    max_frames: int = 36
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        faults = []
        if self.groups < SPLITS:
            faults.append(f"groups: expected at least {SPLITS}, one a split, but got {self.groups}")
        if not 1 <= self.clips_per_group <= 99:
            faults.append(f"clips_per_group: expected 1..99, but got {self.clips_per_group}")
        if not 12 <= self.min_frames <= self.max_frames:
            faults.append(f"frames: expected 12 <= min <= max, but got {self.min_frames} and {self.max_frames}")
        if self.fps <= 0:
            faults.append(f"fps: expected a positive number, but got {self.fps}")
        if min(self.width, self.height) < 64 or self.width % 2 or self.height % 2:
            faults.append(f"size: expected even sides of at least 64 pixels, but got {self.width}x{self.height}")
        unknown = sorted(set(self.classes) - set(CLASSES))
        if unknown or not self.classes:
            faults.append(f"classes: expected some of {', '.join(CLASSES)}, but got {', '.join(unknown) or 'none'}")
        if faults:
            lines = "\n".join(f"  - {fault}" for fault in faults)
            raise FaultsError(f"settings of the actors dataset:\n{lines}", faults, code="actors.settings")


@dataclass(frozen=True)
class ClipKey:
    """Which clip: class, person and number."""

    label: str
    group: int
    clip: int

    @property
    def clip_id(self) -> str:
        """Name under UCF101's rule, without the ending."""
        return f"v_{self.label}_g{self.group:02d}_c{self.clip:02d}"

    @property
    def path(self) -> str:
        """Video, relative to the folder of videos."""
        return f"{self.label}/{self.clip_id}.avi"


def clip_keys(settings: ActorsSettings) -> list[ClipKey]:
    """All clips of the dataset."""
    return [
        ClipKey(label, group, clip)
        for label in settings.classes
        for group in range(1, settings.groups + 1)
        for clip in range(1, settings.clips_per_group + 1)
    ]


def held_out_groups(settings: ActorsSettings, split: int) -> range:
    """Groups in the test list of a split 1..3; of 21 groups 1-7, 8-14 and 15-21."""
    bounds = [round(settings.groups * part / SPLITS) for part in range(SPLITS + 1)]
    return range(bounds[split - 1] + 1, bounds[split] + 1)


def write_split_lists(folder: Path, settings: ActorsSettings) -> None:
    """Write classInd.txt, and trainlist and testlist of the three splits."""
    numbers = {label: number for number, label in enumerate(settings.classes, start=1)}
    _write_lines(folder / "classInd.txt", [f"{number} {label}" for label, number in numbers.items()])
    for split in range(1, SPLITS + 1):
        held_out = held_out_groups(settings, split)
        keys = clip_keys(settings)
        train = [f"{key.path} {numbers[key.label]}" for key in keys if key.group not in held_out]
        _write_lines(folder / f"trainlist{split:02d}.txt", train)
        _write_lines(folder / f"testlist{split:02d}.txt", [key.path for key in keys if key.group in held_out])


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_path(path) as partial_path:
        partial_path.write_text("".join(f"{line}\n" for line in lines))
