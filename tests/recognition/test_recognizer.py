"""The library as its documentation shows it: the example is run as it stands there, with the real pose network."""

import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from certain_recognizer import save_certain
from refusals import refused
from typer.testing import CliRunner

from pan_core.cli.doctor import Diagnosis, examine
from pan_core.cli.main import app
from pan_core.errors import DataError, PanError
from pan_core.pose.extraction import PoseExtractor, extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.person_tracker import PersonTracker
from pan_core.pose.pretrained import DECLARATIONS
from pan_core.pose.provenance import network_hash
from pan_core.recognition.recognizer import Recognizer
from pan_core.registry.models import Registry
from pan_core.tracking.tracker import Tracker
from pan_core.viewer.annotate import write_video
from pan_core.workspace.recognizers import get_recognizer

GUIDE = Path(__file__).parents[2] / "docs" / "live.md"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a champion, and the working directory; making MLflow's store takes seconds, so there is one."""
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ("MLFLOW_TRACKING_URI", "PAN_CACHE"):
            patch.delenv(variable, raising=False)
        save_certain(folder / "trained")
        with Tracker("actors").stage("promote", fingerprint="a", params={}) as run:
            run.artifact(folder / "trained", "model")
            Registry("pan-actors").register(run.artifact_uri("model"), run.run_id, {})
        Registry("pan-actors").promote(1)
        yield folder


def test_the_example_of_the_guide_runs(
    workspace: Path, pose_model: Path, waving: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody waves for 1.6 s, three times the eight frames that are drawn."""
    (workspace / "models" / "pose").mkdir(parents=True)
    shutil.copy(pose_model, workspace / "models" / "pose" / "pose.onnx")
    frames = waving[0]
    write_video(workspace / "clip.avi", [*frames, *frames[::-1], *frames], fps=15, encoders=((".avi", "MJPG"),))
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert len(example.strip().splitlines()) <= 12
    exec(compile(example, str(GUIDE), "exec"), {})
    shutil.rmtree(workspace / "models")
    said = capsys.readouterr().out.splitlines()
    assert "label='Waving'" in said[0]
    assert sum("Waving 95 %" in line for line in said) > 10  # e^3 / (e^3 + 1) by hand
    assert said[-1].startswith("Waving ")


def test_what_there_is_not_is_named(workspace: Path) -> None:
    (workspace / "params.yaml").write_text(
        "dataset: actors\npose: {network: paper}\n"
    )  # which a run has to export first
    for address, code in (
        ("models:/pan-actors", "recognizer.address"),
        ("models:/pan-actors@challenger", "recognizer.no-alias"),
        ("models:/pan-actors@champion", "recognizer.no-pose-network"),
    ):
        with refused(code):
            Recognizer.from_pretrained(address)
    for address, named in (("models:/pan-actors/7", "7"), ("nowhere", "nowhere")):
        with pytest.raises(PanError) as caught:
            Recognizer.from_pretrained(address)
        assert named in str(caught.value)
    (workspace / "params.yaml").unlink()


def test_skeletons_of_another_pose_network_are_refused(workspace: Path, pose_model: Path) -> None:
    save_certain(workspace / "own", network=network_hash(pose_model))
    Recognizer.from_pretrained(workspace / "own", pose_model=pose_model)
    save_certain(workspace / "foreign", network="0" * 64)
    with refused("recognizer.other-pose-network", DataError) as caught:
        Recognizer.from_pretrained(workspace / "foreign", pose_model=pose_model)
    assert "0" * 12 in str(caught.value)


def test_a_built_in_network_is_found_by_what_the_recognizer_remembers(workspace: Path) -> None:
    """The default is Lightning; this one learnt with Thunder. A faster quality takes Lightning again."""
    save_certain(workspace / "exact", network=network_hash(DECLARATIONS["movenet_thunder"]))
    identity = {
        quality: Recognizer.from_pretrained(workspace / "exact", quality=quality).extractor.identity
        for quality in (None, "best", "fast")
    }
    plain = ExtractionSettings()
    assert identity[None] == extractor_identity(DECLARATIONS["movenet_thunder"], settings=plain)
    assert identity["best"] == extractor_identity(
        DECLARATIONS["movenet_thunder"], settings=replace(plain, look_every=1)
    )
    assert identity["fast"] == extractor_identity(DECLARATIONS["movenet"], settings=replace(plain, look_every=4))


def test_the_papers_network_of_a_run_is_found_while_the_parameters_name_another(
    workspace: Path, pose_model: Path
) -> None:
    save_certain(workspace / "paper", network=network_hash(pose_model))
    with refused("recognizer.other-pose-network", DataError):
        Recognizer.from_pretrained(workspace / "paper")
    made = Path("models/pose/pose.onnx")
    made.parent.mkdir(parents=True)
    shutil.copy(pose_model, made)
    found = Recognizer.from_pretrained(workspace / "paper").extractor
    faster = Recognizer.from_pretrained(workspace / "paper", quality="fast").extractor
    shutil.rmtree("models/pose")
    assert found.identity == extractor_identity(pose_model, settings=found.settings)
    assert faster.settings.crop_size == 176  # of the paper's qualities


@pytest.mark.parametrize("quality", [None, "best", "fast"])
def test_a_prediction_takes_the_quality_of_the_command_line(
    workspace: Path, quality: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_certain(workspace / "any")
    (workspace / "params.yaml").write_text("dataset: actors\n")
    write_video(workspace / "v.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 3, fps=15)
    used: list[ExtractionSettings] = []
    tracker = PoseExtractor.tracker

    def note(extractor: PoseExtractor) -> PersonTracker:
        used.append(extractor.settings)
        return tracker(extractor)

    monkeypatch.setattr(PoseExtractor, "tracker", note)
    words = ["predict", "v.mp4", "--model", "any", "--out", "predicted", *(["--quality", quality] if quality else [])]
    done = CliRunner().invoke(app, words)
    (workspace / "params.yaml").unlink()
    assert done.exit_code == 0, done.output
    assert [one.look_every for one in used] == [{None: 2, "best": 1, "fast": 4}[quality]]


def test_who_asks_for_a_gpu_learns_that_a_prediction_takes_the_processor(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_certain(workspace / "any")
    for device, told in (("auto", 0), ("cpu", 0), ("cuda", 1)):
        caplog.clear()
        (workspace / "params.yaml").write_text(f"dataset: actors\npose: {{device: {device}}}\n")
        get_recognizer(workspace / "any")
        assert sum("finds people on the processor" in line for line in caplog.messages) == told
    (workspace / "params.yaml").unlink()


def test_a_quality_that_is_unknown_is_refused_with_those_that_are(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("dataset: actors\n")
    write_video(workspace / "v.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 3, fps=15)
    save_certain(workspace / "any")
    done = CliRunner().invoke(app, ["predict", "v.mp4", "--model", "any", "--quality", "Best"])
    (workspace / "params.yaml").unlink()
    assert done.exit_code == 1
    assert "expected one of best, balanced, fast, but got 'Best'" in done.output


def test_commands_take_the_network_that_was_learnt_with_after_another_quality_is_set(workspace: Path) -> None:
    save_certain(workspace / "lightning", network=network_hash(DECLARATIONS["movenet"]))
    (workspace / "params.yaml").write_text("dataset: actors\npose: {quality: best}\n")
    taken = get_recognizer(workspace / "lightning").extractor
    (workspace / "params.yaml").unlink()
    assert taken.identity == extractor_identity(DECLARATIONS["movenet"], settings=taken.settings)


def test_the_doctor_finds_what_is_there_and_what_is_missing(workspace: Path) -> None:
    found = {finding.name: finding for finding in examine()}
    assert found["torch"].found == torch.__version__
    assert not found["video by FFmpeg"].advice
    assert not found["pose network"].advice
    assert str(workspace) in found["MLflow"].found
    assert found["params.yaml"].advice
    assert all(found[name].needed for name in ("params.yaml", "pose network"))
    (workspace / "params.yaml").write_text("dataset: actors\npose: {network: paper}\n")
    found = {finding.name: finding for finding in examine()}
    (workspace / "params.yaml").unlink()
    assert not found["params.yaml"].advice
    assert "dvc repro pose_model" in found["pose network"].advice
    assert found["recognizer"].advice
    assert not found["recognizer"].needed
    assert not found["stock recognizer"].advice


def test_the_doctor_sees_a_network_that_is_cut_short(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = workspace / "cut"
    folder.mkdir()
    (folder / "movenet.yaml").write_bytes(DECLARATIONS["movenet"].read_bytes())
    for name in ("movenet_lightning.onnx", "nanodet.onnx"):
        (folder / name).write_bytes((DECLARATIONS["movenet"].parent / name).read_bytes()[:-1000])
    monkeypatch.setattr("pan_core.pose.named_networks.network_file", lambda network, quality: folder / "movenet.yaml")
    found = {finding.name: finding for finding in examine()}
    assert found["pose network"].advice and found["pose network"].needed
    assert "movenet_lightning.onnx is another file" in found["pose network"].found
    assert "cache" in found


def test_the_doctor_tells_a_server_that_is_away(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and never answers, too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cr3t@127.0.0.1:{port}")
            (told,) = (str(finding) for finding in examine() if finding.name == "MLflow")
            assert "does not answer" in told
            assert "s3cr3t" not in told


def test_a_finding_is_one_line_and_tells_no_password() -> None:
    told = str(Diagnosis("MLflow", "postgresql://me:s3cr3t@host/db\naway", "start it", needed=True))
    assert told.splitlines()[0] == "MISSING  MLflow                 postgresql://me:***@host/db away"
