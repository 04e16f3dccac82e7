"""Bundles of trained pose networks and of a small recognizer that has learnt nothing, made once for all tests of this root."""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pan_core.edge.bundle import write_bundle
from pan_core.edge.gates import write_gates
from pan_core.export.artifacts import structure, write_artifacts
from pan_core.export.check import Call
from pan_core.export.pose_networks import collect_networks
from pan_core.export.pose_networks import pose_model as pose_model_of
from pan_core.export.reference import drawn_scenes, record_calls, write_calls, write_clips, write_steps
from pan_core.export.targets import Target, target_by_name
from pan_core.files import read_json
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.store import LoadedModel, load_model, save_model
from pan_core.model.streaming import StepModel
from pan_core.pose.crops import cut_square, square_around
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.network import PoseNetwork
from pan_core.pose.weights import load_network
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.skeletons import OPENPOSE18
from pan_core.training.samples import Samples
from pan_core.viewer.annotate import write_video

LABELS = ("Clapping", "Running", "Waving")
SETTINGS = ExtractionSettings(stages=2, search_stages=2, crop_size=160)


@dataclass(frozen=True)
class Made:
    """What the pipeline leaves for a device, and what it came from."""

    folder: Path
    model: LoadedModel
    pose: PoseNetwork
    pose_onnx: Path
    crops: list[np.ndarray]
    scenes: list[tuple[np.ndarray, np.ndarray]]

    @property
    def reference(self) -> Path:
        return self.folder / "reference"

    def networks(self, model: Path, search: int = SETTINGS.search_stages) -> Path:
        """The networks of a model as ONNX files."""
        folder = self.folder / "networks" / f"{model.stem}-{search}"
        if not folder.is_dir():
            collect_networks(model, replace(SETTINGS, search_stages=search), folder)
        return folder

    def exported(self, name: str, search: int = SETTINGS.search_stages, model: Path | None = None) -> Path:
        """All networks of a target, made where they are missing."""
        target, model = self.target(name), model or self.pose_onnx
        folder = self.folder / "targets" / f"{target.runtime}-{target.precision}-{search}-{model.stem}"
        if not folder.is_dir():
            write_artifacts(
                folder, target, step=StepModel(self.model.model), description=read_json(self.folder / "model" / "model.json"),
                networks=self.networks(model, search), crop_size=SETTINGS.crop_size,
            )  # fmt: skip
            write_gates(folder, target, {"structure": structure(folder)})
        return folder

    def target(self, name: str) -> Target:
        return target_by_name(name)

    def calls(self, search: int = SETTINGS.search_stages) -> dict[str, list[Call]]:
        """What torch answers to pictures of people, by network."""
        stages = {"pose": SETTINGS.stages} | ({"pose_search": search} if search != SETTINGS.stages else {})
        return {name: [self.call(crop, stage) for crop in self.crops] for name, stage in stages.items()}

    def call(self, crop: np.ndarray, stage: int) -> Call:
        planes = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
        with torch.inference_mode():
            confidence, affinity = self.pose(torch.from_numpy(planes))[stage - 1]
        return {"images": planes, f"stage{stage}": torch.cat([confidence, affinity], dim=1).numpy()}

    def reference_for(self, search: int, model: Path | None = None) -> Path:
        """The reference, with answers of the networks that find people."""
        folder = self.folder / f"reference-{search}-{(model or self.pose_onnx).stem}"
        if not folder.is_dir():
            shutil.copytree(self.reference, folder)
            calls = self.recorded(model) if model else self.calls(search)
            write_calls(folder, calls, count=3)
        return folder

    def recorded(self, model: Path, count: int = 3) -> dict[str, list[Call]]:
        """What the networks of a declared model are asked and answer, at the sizes that a device has."""
        people = ((film[5], square_around(joints[5])) for film, joints in self.scenes)
        return record_calls(pose_model_of(self.networks(model)), SETTINGS, people, count=count)

    def bundle(self, name: str, folder: Path, search: int = SETTINGS.search_stages, model: Path | None = None) -> Path:
        write_bundle(
            folder, self.target(name), exported=self.exported(name, search, model), reference=self.reference_for(search, model),
            settings=asdict(replace(SETTINGS, search_stages=search)),
            step_tolerance=1e-4, recognizer="small", mlflow_run_id="none",
        )  # fmt: skip
        return folder


@pytest.fixture(scope="session")
def scenes():
    """Four films of drawn people, 12 frames each, with true joints."""
    return list(drawn_scenes(4, frames=12))


@pytest.fixture(scope="session")
def made(tmp_path_factory, pose_archive, pose_model, scenes):
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    settings = PanSettings(hidden=32, frame_channels=24, graph_channels=(16, 16))
    network = PAN(
        adjacency=OPENPOSE18.adjacency(), features=feature_count(OPENPOSE18), classes=3, actions=3, settings=settings
    ).eval()
    save_model(
        folder / "model", network, labels=LABELS, actions=LABELS, layout=OPENPOSE18, mode="online", frames=32, rate=15.0,
        preprocessing={"pose": asdict(SETTINGS)},
    )  # fmt: skip
    loaded = load_model(folder / "model")
    joints = np.concatenate([people for _, people in scenes]).astype(np.float32)
    joints[..., 2] = joints[..., 2] > 0
    samples = Samples(
        joints=joints, holds=np.zeros((len(joints), 3), bool), offsets=np.arange(0, 49, 12), labels=np.array([0, 1, 2, 0]),
        clip_ids=np.array(list("abcd")), fps=np.full(4, 15.0), classes=LABELS, actions=LABELS, layout=OPENPOSE18, mode="online",
    )  # fmt: skip
    reference = folder / "reference"
    reference.mkdir()
    write_steps(reference / "steps.npz", TorchNetwork(loaded), samples, inputs=60)
    write_clips(reference / "clips.npz", TorchNetwork(loaded), samples)
    pose = load_network(pose_archive).eval()
    crops = [
        cut_square(film[5], square_around(people[5]), size=SETTINGS.crop_size).image for film, people in scenes[:3]
    ]
    return Made(folder, loaded, pose, pose_model, crops, scenes)


@pytest.fixture(scope="session")
def host_bundle(made, tmp_path_factory):
    """The bundle for this host; tests that change it copy it first."""
    return made.bundle("host", tmp_path_factory.mktemp("dist") / "host")


@pytest.fixture(scope="session")
def person_video(scenes, tmp_path_factory):
    """One of the films as a video file."""
    return write_video(tmp_path_factory.mktemp("video") / "person.mp4", scenes[1][0], fps=15.0)
