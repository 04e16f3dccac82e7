"""Fixtures of the datasets' tests."""

import pytest
from faulty_server import serving
from grey_videos import write_grey_video

from pan_core.datasets.base import Context


@pytest.fixture
def site():
    """A server on loopback that offers what a test tells it to."""
    with serving() as running:
        yield running


@pytest.fixture
def context(tmp_path):
    """Places of a dataset's files, all below the test's own folder."""
    return Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror")


@pytest.fixture
def offline(tmp_path):
    """The same places; nothing is downloaded, and videos are probed in this process."""
    return Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", workers=0, download=False)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of 6 frames, 64 x 48, 25 frames a second."""
    return write_grey_video(tmp_path_factory.mktemp("clip") / "clip.avi", fps=25)


@pytest.fixture
def write_video():
    """Function (path, frames) that makes a small video whose pictures get lighter."""
    return write_grey_video
