"""The networks of a bundle, ready to run."""

from dataclasses import dataclass
from pathlib import Path

from pan_core.edge.bundle_manifest import BundleManifest
from pan_core.export.check import ParityReport, check
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.inference import pose_sessions
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.recognizer import Recognizer

REFERENCE = "reference"


@dataclass(frozen=True)
class Bundled:
    """What a bundle runs.

    Attributes:
        manifest: What it is.
        extractor: Finds people.
        network: Recognises what they do.
    """

    manifest: BundleManifest
    extractor: PoseExtractor
    network: ExportedNetwork

    @property
    def recognizer(self) -> Recognizer:
        """Both networks, for videos and live sources."""
        return Recognizer(self.network, self.extractor, self.manifest.content["recogniser"])

    def check(self) -> ParityReport:
        """Compare both networks, as they run here, with what torch said.

        Raises:
            GateError: Where they answer otherwise.
        """
        content = self.manifest.content
        pose, search = pose_sessions(
            self.manifest.model("pose"), self.extractor.settings, threads=self.manifest.target["threads"]
        )
        found = check(self.network, pose, self.manifest.folder / REFERENCE, search=search)
        found.require(step_tolerance=content["tolerances"]["step"], pose_tolerance=content["tolerances"]["pose"])
        return found


def open_bundle(folder: Path, *, any_device: bool = False) -> Bundled:
    """Open a bundle.

    Args:
        folder: Where it lies.
        any_device: Whether it may run on a machine that it was not made for.

    Raises:
        DataError: Where it is damaged, of another device, or its runtime is missing.
    """
    manifest = BundleManifest.read(folder)
    if not any_device:
        manifest.require_device()
    for name in manifest.content["models"]:
        manifest.model(name)
    threads = manifest.target["threads"]
    settings = ExtractionSettings(**manifest.content["preprocessing"])
    return Bundled(
        manifest,
        PoseExtractor(manifest.model("pose"), settings=settings, threads=threads),
        # A network this small is slower on several cores than on one.
        ExportedNetwork(manifest.model("step")),
    )
