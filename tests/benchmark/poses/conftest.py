"""What tests of the pose benchmark share."""

from contextlib import nullcontext

import pytest

from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file


@pytest.fixture
def movenet():
    """A built-in network, which needs no run."""
    return PosePoint("movenet", "fast", network_file("movenet", quality="fast"), ExtractionSettings(look_every=4))


@pytest.fixture
def quiet_bar():
    """A progress bar that shows nothing."""
    return lambda description, unit: nullcontext(lambda done, total: None)
