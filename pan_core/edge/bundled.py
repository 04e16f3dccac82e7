"""Open a bundle and run its networks."""

from dataclasses import dataclass
from pathlib import Path

from pan_core.edge.bundle_manifest import BundleManifest
from pan_core.export.check import ParityReport, check, read_calls
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.recognition.event_rules import load_rules
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.recognizer import Recognizer
from pan_core.runtimes.session import open_model

REFERENCE = "reference"


@dataclass(frozen=True)
class Bundled:
    """An opened bundle.

    Attributes:
        manifest: Its manifest.
        extractor: Pose extraction by its networks.
        network: Its action recognizer.
    """

    manifest: BundleManifest
    extractor: PoseExtractor
    network: ExportedNetwork

    @property
    def recognizer(self) -> Recognizer:
        """All networks, for videos and live sources."""
        rules = load_rules(self.manifest.model("step").parent, self.network.actions)
        return Recognizer(self.network, self.extractor, self.manifest.content["recogniser"], rules=rules)

    def compare(self) -> ParityReport:
        """Compare the networks, as they run here, with what the reference expects of them."""
        names = [name for name in self.manifest.content["models"] if name != "step"]
        threads = self.manifest.target["threads"]
        sessions = {name: open_model(self.manifest.model(name), threads=threads) for name in names}
        reference = self.manifest.folder / REFERENCE
        calls = {name: read_calls(reference / f"{name}.npz") for name in names}
        return check(self.network, sessions, reference, calls=calls)

    def check(self) -> ParityReport:
        """Compare the networks, as `compare` does, and refuse them if they differ too much.

        Raises:
            GateError: If they differ by more than the tolerances of the manifest.
        """
        report = self.compare()
        tolerances = self.manifest.content["tolerances"]
        report.require(step_tolerance=tolerances["step"], pose_tolerance=tolerances["pose"])
        return report


def open_bundle(folder: Path, *, any_device: bool = False) -> Bundled:
    """Open a bundle.

    Args:
        folder: Folder of the bundle.
        any_device: True to run it also on a machine that it was not made for.

    Raises:
        DataError: If it is damaged or of another device, or its runtime is missing.
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
        PoseExtractor(manifest.pose_model, settings=settings, threads=threads),
        # A network this small is slower on several cores than on one.
        ExportedNetwork(manifest.model("step")),
    )
