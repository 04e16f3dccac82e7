"""The recognizer as a library: load one, then give it a video or a live source.

from pan_core.recognition.recognizer import Recognizer

recognizer = Recognizer.from_pretrained("everyday")  # or "models:/pan-actors@champion", or a folder
timeline = recognizer.predict("clip.mp4")
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pan_core.errors import DataError, PanError
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import built_in_files, network_file, network_name
from pan_core.pose.pretrained import require_whole
from pan_core.pose.provenance import network_hash
from pan_core.pose.qualities import QUALITY_NAMES, quality_settings
from pan_core.recognition.event_rules import Rule, load_rules
from pan_core.recognition.step_network import StepNetwork

if TYPE_CHECKING:
    from pan_core.recognition.predict_video import Timeline

SCHEME = "models:/"
_REGISTERED = re.compile(r"models:/(?P<name>[\w.-]+)(?:@(?P<alias>[\w-]+)|/(?P<number>\d+))")


@dataclass(frozen=True, eq=False)
class Recognizer:
    """People found in pictures and what they do.

    Attributes:
        network: The Pose-Attention Network in online mode.
        extractor: Finds people for it, as it learnt them.
        name: Says which recognizer it is.
        note: What else a user should know of it, for the line that names it; empty for one's own.
        rules: Action -> when it is an event, as fitted at the end of training; empty if it comes without.
    """

    network: StepNetwork
    extractor: PoseExtractor
    name: str
    note: str = ""
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name and note, in one line."""
        return f"{self.name}, {self.note}" if self.note else self.name

    @classmethod
    def from_pretrained(
        cls,
        where: str | Path,
        *,
        pose_model: Path | None = None,
        quality: str | None = None,
        people: int | None = None,
        threads: int = 2,
    ) -> Self:
        """Load a recognizer.

        Args:
            where: "everyday", which comes with the package; the folder of a trained online recognizer (`./everyday` if it is
                called so); or its address in the MLflow Model Registry, such as `models:/pan-actors@champion` or
                `models:/pan-actors/3`.
            pose_model: Exported pose network, or the declaration of another. If None, the one that the recognizer learnt
                with, if that is `pose.network` of params.yaml, built in, or the one that the stage pose_model made.
            quality: "best", "balanced" or "fast" in place of how the recognizer learnt people: "fast" on a slow machine.
            people: Most people followed at a time, in place of what the recognizer learnt with.
            threads: Processor cores for finding people.

        Raises:
            PanError: If there is none, or it does not fit.
        """
        from pan_core.recognition.pretrained import STOCK  # late: start-up

        options: dict[str, Any] = {"pose_model": pose_model, "quality": quality, "people": people, "threads": threads}
        if isinstance(where, str) and where in STOCK:  # a Path is a folder, whatever its name
            return cls._from_package(where, **options)
        folder, name = _fetch_registered(str(where)) if str(where).startswith(SCHEME) else (Path(where), str(where))
        return cls.from_folder(folder, name=name, **options)

    @classmethod
    def _from_package(cls, name: str, **options: Any) -> Self:
        """Load a recognizer that comes with the package; its exported step needs no torch."""
        from pan_core.recognition.exported_network import ExportedNetwork  # late: start-up
        from pan_core.recognition.pretrained.stock_files import read_stock  # late: start-up

        stock = read_stock(name)
        extractor = _open_extractor(stock.preprocessing, stock.name, {}, **options)
        note = f"comes with PAN and knows {len(stock.labels)} actions: {', '.join(stock.labels)}"
        network = ExportedNetwork(stock.step)
        return cls(network, extractor, stock.name, note, load_rules(stock.step.parent, network.actions))

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        name: str,
        pose: Mapping[str, Any] | None = None,
        pose_model: Path | None = None,
        quality: str | None = None,
        people: int | None = None,
        threads: int = 2,
    ) -> Self:
        """Load a recognizer's files; see `from_pretrained`.

        Args:
            folder: Where `model.json` and `model.safetensors` lie, and the rules of its events if it has any.
            name: What to call it.
            pose: Extraction settings, where the recognizer does not say how it learnt people.
            pose_model: As there.
            quality: As there.
            people: As there.
            threads: As there.

        Raises:
            PanError: As there.
        """
        from pan_core.model.store import load_model  # late: start-up
        from pan_core.recognition.torch_network import TorchNetwork  # late: start-up

        recognizer = load_model(folder)
        extractor = _open_extractor(
            recognizer.preprocessing,
            name,
            pose or {},
            pose_model=pose_model,
            quality=quality,
            people=people,
            threads=threads,
        )
        return cls(TorchNetwork(recognizer), extractor, name, rules=load_rules(folder, recognizer.actions))

    def predict(self, video: str | Path, *, out: str | Path | None = None) -> "Timeline":
        """What everybody does in a video file.

        Args:
            video: The file.
            out: Folder for an annotated copy and the timeline as JSON; nothing is written where None.

        Raises:
            VideoError: If it cannot be decoded.
        """
        from pan_core.recognition.predict_video import predict_video  # late: start-up

        return predict_video(
            Path(video),
            extractor=self.extractor,
            recognizer=self.network,
            out=None if out is None else Path(out),
            model_name=self.name,
        )


def _open_extractor(
    preprocessing: Mapping[str, Any],
    name: str,
    pose: Mapping[str, Any],
    *,
    pose_model: Path | None,
    quality: str | None,
    people: int | None,
    threads: int,
) -> PoseExtractor:
    """What finds people for a recognizer; see `Recognizer.from_folder`."""
    if quality is not None and quality not in QUALITY_NAMES:
        raise PanError(
            f"quality: expected one of {', '.join(QUALITY_NAMES)}, but got {quality!r}", code="recognizer.quality"
        )
    # Skeletons as the recognizer learnt them, whatever params.yaml says now.
    settings = dict(preprocessing.get("pose", pose))
    known = preprocessing.get("network")
    finder = pose_model or _find_network(None if known is None else str(known))
    _require_network(finder, known, name)
    if quality is not None:
        network = network_name(finder)
        finder = network_file(network, quality=quality)
        settings |= quality_settings(network, quality)
    if people:
        settings["max_people"] = people
    return PoseExtractor(finder, settings=ExtractionSettings(**settings), threads=threads)


def _configured_network() -> Path:
    """File of the pose network that params.yaml names; of the default if there is no such file."""
    from pan_core.params.load import load_pose_params  # late: start-up

    pose = load_pose_params()
    return network_file(pose.network, quality=pose.quality)


def _find_network(known: str | None) -> Path:
    """The built-in network that a recognizer learnt with, or else the configured one."""
    # First those that are at hand: reading params.yaml takes longer than both of them.
    found = next((file for file in built_in_files() if network_hash(file) == known), None) if known else None
    return found or _configured_network()


def _require_network(finder: Path, known: object, name: str) -> None:
    """Refuse a network that is not there, or not the one that a recognizer learnt with.

    Raises:
        DataError: If it is so.
    """
    require_whole(finder)
    if not finder.is_file():
        raise DataError(
            f"{finder}: no network that finds people; run `dvc repro pose_model` to make it",
            code="recognizer.no-pose-network",
        )
    if known is not None and (found := network_hash(finder)) != known:
        raise DataError(
            f"{name}: learnt from skeletons of another pose network, {str(known)[:12]}, not of {finder}, {found[:12]}; "
            "name that one as pose.network in params.yaml, or train again with this one",
            code="recognizer.other-pose-network",
        )


def _fetch_registered(address: str) -> tuple[Path, str]:
    """Folder with the files of a registered version, and what to call it."""
    from pan_core.registry.models import Registry  # late: start-up

    match = _REGISTERED.fullmatch(address)
    if match is None:
        raise PanError(
            f"{address}: expected models:/NAME@ALIAS or models:/NAME/VERSION, such as models:/pan-actors@champion",
            code="recognizer.address",
        )
    registry = Registry(match["name"])
    if match["number"]:
        version = registry.version(int(match["number"]))
    else:
        found = [each for each in registry.versions() if match["alias"] in each.aliases]
        if not found:
            raise PanError(
                f"{address}: no version has the alias {match['alias']}; see `pan registry list`",
                code="recognizer.no-alias",
            )
        version = found[0]
    return registry.fetch(version), f"{registry.name} version {version.number}"
