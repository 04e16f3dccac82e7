"""Fixtures that several roots share."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

DATA_VARIABLE = "PAN_TEST_DATA"

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
