"""The recognizer that comes with the package: whole, what commands use while nothing is trained, and quick to begin."""

import fnmatch
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from certain_recognizer import save_certain
from refusals import refused
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.files import read_json
from pan_core.live.model_reloader import ModelReloader
from pan_core.model.features import PoseFeatures
from pan_core.model.store import load_model
from pan_core.pose.named_networks import built_in_files
from pan_core.pose.provenance import network_hash
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.pretrained import FOLDER, STOCK
from pan_core.recognition.pretrained.everyday_classes import CLASSES
from pan_core.recognition.pretrained.stock_files import (
    CARD,
    PINNED,
    WEIGHTS,
    read_stock,
    require_pinned_files,
    require_replaceable,
)
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.registry.models import Registry
from pan_core.skeletons import OPENPOSE18
from pan_core.tracking.tracker import Tracker
from pan_core.viewer.annotate import write_video
from pan_core.workspace.recognizers import champion_version, dataset_in_use, find_recognizer, get_recognizer

HEAVY = ("torch", "pandas", "mlflow", "scipy", "sklearn", "matplotlib", "dvc", "prefect")
EVERYDAY = STOCK["everyday"]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing was ever run, and the working directory."""
    for variable in ("MLFLOW_TRACKING_URI", "PAN_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def film(path: Path, frames: np.ndarray) -> Path:
    write_video(path, [*frames, *frames[::-1], *frames], fps=15, encoders=((".avi", "MJPG"),))
    return path


def test_the_package_has_all_of_it_and_nothing_else(request: pytest.FixtureRequest) -> None:
    names = {path.name for path in EVERYDAY.iterdir()}
    assert names == {*PINNED, CARD, "sha256.json"}
    packaged = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = packaged["package-data"]["pan_core"]
    package = FOLDER.parents[1]
    for name in names:
        relative = str((EVERYDAY / name).relative_to(package))
        assert any(fnmatch.fnmatch(relative, pattern) for pattern in patterns), relative
    assert sum((EVERYDAY / name).stat().st_size for name in names) < 3_000_000


def test_its_files_belong_together() -> None:
    pins = require_pinned_files(EVERYDAY)
    card = (EVERYDAY / CARD).read_text()
    assert pins[WEIGHTS] in card and "CC BY 4.0" in card
    loaded, stock = load_model(EVERYDAY), read_stock("everyday")
    assert loaded.labels == stock.labels == CLASSES
    assert loaded.preprocessing["network"] in [network_hash(file) for file in built_in_files()]
    streams = np.random.default_rng(0).uniform(0, 200, size=(1, 20, OPENPOSE18.size, 3)).astype(np.float32)
    streams[..., 2] = 1
    both = ExportedNetwork(stock.step), TorchNetwork(loaded)
    memories = [each.start() for each in both]
    for frame in PoseFeatures(OPENPOSE18, mode="online")(streams)[0]:
        said = [each.step(frame[None].astype(np.float32), memory) for each, memory in zip(both, memories, strict=True)]
        np.testing.assert_allclose(said[0].logits, said[1].logits, atol=1e-3)
        memories = [each.memory for each in said]


def test_a_first_prediction_says_who_answers_and_needs_no_heavy_library(
    empty: Path, waving: tuple[np.ndarray, np.ndarray]
) -> None:
    """In a process in which the imports of the heavy ones fail; a fresh clone has their sources without byte code."""
    video = film(empty / "clip.avi", waving[0])
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from pan_core.cli.main import app
app(["predict", {str(video)!r}, "--out", {str(empty / "out")!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, cwd=empty
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("recognizer:"))
    assert all(words in line for words in ("everyday", "Falling", "Waving", "no champion", "`pan run`"))
    timeline = read_json(empty / "out" / "clip_timeline.json")
    assert timeline["model"].startswith("everyday ")
    assert timeline["label"] in (*CLASSES, None)  # it may name nothing
    assert len(timeline["people"]) == 1
    assert sorted(path.name for path in empty.iterdir()) == ["clip.avi", "out"]  # no store was made


def test_watching_a_video_says_who_answers(empty: Path, waving: tuple[np.ndarray, np.ndarray]) -> None:
    film(empty / "clip.avi", waving[0])
    for words in ((), ("--model", "everyday")):
        result = CliRunner().invoke(app, ["watch", "clip.avi", *words])
        assert result.exit_code == 0, result.output
        assert "recognizer: everyday " in result.output
        assert ("no champion" in result.output) == (not words)


def test_a_named_recognizer_needs_no_parameters(empty: Path, waving: tuple[np.ndarray, np.ndarray]) -> None:
    film(empty / "clip.avi", waving[0])
    (empty / "params.yaml").write_text("pose: [broken")
    result = CliRunner().invoke(app, ["watch", "clip.avi", "--model", "everyday"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("text", ["{", "[1]", "{}"])
def test_hashes_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    shutil.copytree(EVERYDAY, tmp_path / "copy")
    (tmp_path / "copy" / "sha256.json").write_text(text)
    with refused("stock.other-file") as caught:
        require_pinned_files(tmp_path / "copy")
    assert "sha256.json" in str(caught.value) and "git" in str(caught.value)


def test_training_replaces_no_folder_that_holds_something_else(empty: Path) -> None:
    shutil.copytree(EVERYDAY, empty / "made")
    require_replaceable(empty / "made")
    require_replaceable(empty / "new")
    (empty / "made" / "thesis.tex").touch()
    (empty / "file").touch()
    for out in ("made", "file", "."):
        result = CliRunner().invoke(app, ["recognizer", "train-everyday", "--out", out])
        assert result.exit_code == 1 and "takes the whole place" in result.output
    assert (empty / "made" / "thesis.tex").exists()


def test_it_stands_in_only_while_nothing_of_ones_own_is_trained(empty: Path) -> None:
    assert find_recognizer() is None and champion_version("actors") is None and dataset_in_use() is None
    assert get_recognizer(None).name.startswith("everyday ")
    assert "no champion" in str(get_recognizer(None))
    (empty / "params.yaml").write_text("dataset: actors\n")
    assert dataset_in_use() == "actors"
    # A training that is at work, or was ended, leaves a folder without a recognizer.
    (empty / "models" / "pan").mkdir(parents=True)
    assert get_recognizer(None).name.startswith("everyday ")
    save_certain(empty / "models" / "pan" / "online-split1")
    assert get_recognizer(None).name == "models/pan/online-split1"
    named = get_recognizer("everyday")
    assert named.name.startswith("everyday ") and "no champion" not in str(named)
    assert get_recognizer(str(empty / "models" / "pan" / "online-split1")).network.labels == ("Walking", "Waving")


def test_a_dataset_that_was_named_has_its_own_champion_or_none(empty: Path) -> None:
    (empty / "params.yaml").write_text("dataset: actors\n")
    for dataset in ("surveillance", "actors"):
        with refused("registry.no-champion") as caught:
            get_recognizer(None, dataset)
        assert dataset in str(caught.value)
    with refused("dataset.unknown"):
        get_recognizer(None, "surveilance")
    with refused("registry.no-champion"):
        get_recognizer(None, fallback=False)
    assert not (empty / "mlruns").exists()


def test_a_champion_takes_over_from_it_while_cameras_are_watched(empty: Path) -> None:
    """As `pan watch` loads both."""
    (empty / "params.yaml").write_text("dataset: actors\n")
    reloader = ModelReloader(
        lambda: champion_version("actors"), lambda: get_recognizer(None, "actors", fallback=True), every_s=0.05
    )
    assert reloader().name.startswith("everyday ")
    save_certain(empty / "trained")
    with Tracker("actors").stage("promote", fingerprint="a", params={}) as run:
        run.artifact(empty / "trained", "model")
        Registry("pan-actors").register(run.artifact_uri("model"), run.run_id, {})
    Registry("pan-actors").promote(1)
    taken = get_recognizer(None)
    assert taken.name == "pan-actors version 1 (champion)" and str(taken) == taken.name
    with reloader:
        for _ in range(200):
            if not reloader().name.startswith("everyday "):
                break
            time.sleep(0.1)
        assert reloader().name == taken.name
    assert get_recognizer("everyday").network.labels == CLASSES


def test_names_and_folders_are_told_apart(empty: Path) -> None:
    for quality in (None, "fast"):
        taken = Recognizer.from_pretrained("everyday", quality=quality, people=1)
        assert taken.network.labels == CLASSES and taken.extractor.settings.max_people == 1
        assert taken.extractor.settings.look_every == (4 if quality else 2)
    save_certain(empty / "everyday")
    for folder in ("./everyday", Path("everyday")):
        assert Recognizer.from_pretrained(folder).network.labels == ("Walking", "Waving")
        assert get_recognizer(folder).network.labels == ("Walking", "Waving")
    with refused("recognizer.incomplete"):
        Recognizer.from_pretrained("evryday")
    with refused("recognizer.quality"):
        Recognizer.from_pretrained("everyday", quality="quick")


def test_the_command_that_makes_it_names_what_it_lacks(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty / "mirror" / "jhmdb").mkdir(parents=True)
    monkeypatch.setenv("PAN_MIRROR", str(empty / "nowhere"))
    result = CliRunner().invoke(app, ["recognizer", "train-everyday", "--out", "made"])
    assert result.exit_code == 1 and "nowhere" in result.output
    (empty / "file").touch()
    result = CliRunner().invoke(app, ["recognizer", "train-everyday", "--out", "file/made"])
    assert result.exit_code == 1 and "file" in result.output
    assert CliRunner().invoke(app, ["recognizer", "train-everyday", "--actors", "2"]).exit_code == 2
    assert not (empty / "made").exists()


@pytest.mark.parametrize("clip", ["wave/21_wave_u_nm_np1_fr_goo_5.avi"])
def test_a_real_clip_gets_an_answer(real_data: Path, empty: Path, clip: str) -> None:
    """One of its training part: a person who waves at the camera."""
    timeline = Recognizer.from_pretrained("everyday").predict(real_data / "jhmdb" / "ReCompress_Videos" / clip)
    assert timeline.people and timeline.label in CLASSES
    assert 0 < timeline.confidence <= 1


def test_a_misspelt_name_is_told_with_those_that_there_are(empty: Path) -> None:
    with refused("recognizer.unknown") as caught:
        get_recognizer("everday")
    assert "everyday" in str(caught.value)
