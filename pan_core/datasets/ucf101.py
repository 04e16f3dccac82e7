"""UCF101: 13,320 videos of 101 actions, three official splits (Soomro et al., 2012).

A class has 25 groups of 4 to 7 clips that share a source: background, viewpoint, often the person. The publishers
number the groups within each class, so `v_Archery_g01_c01` and `v_Biking_g01_c01` have nothing in common, and the
group of a clip is `Archery_g01`. The official splits hold out the numbers 1-7, 8-14 and 15-21 of every class, which
keeps both readings apart.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, RemoteFile
from pan_core.datasets.download import obtain
from pan_core.datasets.ucf_layout import NAME, catalogue_of, read_classes, read_splits
from pan_core.datasets.video_folders import SPLITS, VIDEO_SUFFIX, VIDEOS, gather, obtain_any, unpack_into
from pan_core.files import atomic_path

# The order of classInd.txt, which puts Hammering before HammerThrow and JumpingJack before JumpRope.
CLASSES = (
    "ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching",
    "BaseballPitch", "Basketball", "BasketballDunk", "BenchPress", "Biking", "Billiards", "BlowDryHair",
    "BlowingCandles", "BodyWeightSquats", "Bowling", "BoxingPunchingBag", "BoxingSpeedBag", "BreastStroke",
    "BrushingTeeth", "CleanAndJerk", "CliffDiving", "CricketBowling", "CricketShot", "CuttingInKitchen",
    "Diving", "Drumming", "Fencing", "FieldHockeyPenalty", "FloorGymnastics", "FrisbeeCatch", "FrontCrawl",
    "GolfSwing", "Haircut", "Hammering", "HammerThrow", "HandstandPushups", "HandstandWalking", "HeadMassage",
    "HighJump", "HorseRace", "HorseRiding", "HulaHoop", "IceDancing", "JavelinThrow", "JugglingBalls",
    "JumpingJack", "JumpRope", "Kayaking", "Knitting", "LongJump", "Lunges", "MilitaryParade", "Mixing",
    "MoppingFloor", "Nunchucks", "ParallelBars", "PizzaTossing", "PlayingCello", "PlayingDaf", "PlayingDhol",
    "PlayingFlute", "PlayingGuitar", "PlayingPiano", "PlayingSitar", "PlayingTabla", "PlayingViolin",
    "PoleVault", "PommelHorse", "PullUps", "Punch", "PushUps", "Rafting", "RockClimbingIndoor", "RopeClimbing",
    "Rowing", "SalsaSpin", "ShavingBeard", "Shotput", "SkateBoarding", "Skiing", "Skijet", "SkyDiving",
    "SoccerJuggling", "SoccerPenalty", "StillRings", "SumoWrestling", "Surfing", "Swing", "TableTennisShot",
    "TaiChi", "TennisSwing", "ThrowDiscus", "TrampolineJumping", "Typing", "UnevenBars", "VolleyballSpiking",
    "WalkingWithDog", "WallPushups", "WritingOnBoard", "YoYo",
)  # fmt: skip

FACTS = Facts(
    "UCF101",
    classes=101,
    clips=13_320,
    splits={
        1: {"train": 9537, "test": 3783},
        2: {"train": 9586, "test": 3734},
        3: {"train": 9624, "test": 3696},
    },
    how="downloaded: 7 GB of video; the rar archive needs the Debian package libarchive-tools, its zip mirror does not",
    licence="none stated: videos from YouTube, research use",
    reference="Soomro et al., CRCV-TR-12-01, 2012",
)
LISTS = RemoteFile(
    "UCF101TrainTestSplits-RecognitionTask.zip",
    urls=("https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",),
    checksum="sha256:5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
    instead=("ucfTrainTestlist",),
)
VIDEO_ARCHIVES = (
    RemoteFile(
        "UCF101.rar",
        urls=("https://www.crcv.ucf.edu/data/UCF101/UCF101.rar",),
        size=6_932_971_618,
        instead=("UCF-101",),
    ),
    RemoteFile(
        "UCF101_videos.zip",
        urls=("https://storage.googleapis.com/thumos14_files/UCF101_videos.zip",),
        size=6_960_400_115,
        checksum="sha256:dabf56f573cd19c79e096563529fec8126a2a34e18e10c72eb621dd687532b0d",
    ),
)


class Ucf101(Dataset):
    """Adapter of UCF101's videos."""

    name = "ucf101"
    classes = CLASSES
    facts: ClassVar = FACTS
    files: ClassVar = (LISTS, *VIDEO_ARCHIVES)

    def fetch(self, folder: Path, context: Context) -> None:
        """Obtain and check the split lists, which are small, then the videos; both or nothing below `folder`."""
        lists, *videos = self.files
        with atomic_path(folder) as partial:
            partial.mkdir()
            unpack_into(obtain(self.name, lists, context), partial / "unpacked", context)
            gather(partial / "unpacked", partial / SPLITS, ".txt")
            classes = read_classes(partial / SPLITS / "classInd.txt")
            read_splits(partial / SPLITS, classes)
            unpack_into(obtain_any(self.name, videos, context), partial / "unpacked", context)
            gather(partial / "unpacked", partial / VIDEOS, VIDEO_SUFFIX, _class_folder(classes))

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clips with the three official splits."""
        return catalogue_of(folder, source=self.name, one_numbering=False, context=context)

    def class_of(self, clip_id: str) -> str:
        """The class in the middle of the name; capitals do not count."""
        match = NAME.fullmatch(clip_id)
        said = match["label"].casefold() if match else ""
        return next((label for label in CLASSES if label.casefold() == said), "")


def _class_folder(classes: tuple[str, ...]) -> Callable[[Path], str]:
    """Folder of a video: the class in its name, because the zip archive has no folders."""
    known = {label.casefold(): label for label in classes}

    def folder_of(path: Path) -> str:
        match = NAME.fullmatch(path.stem)
        return known.get(match["label"].casefold(), path.parent.name) if match else path.parent.name

    return folder_of
