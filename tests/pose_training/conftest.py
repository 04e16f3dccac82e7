"""Fixtures of the pose network's tests serve its training, too."""

from tests.pose.conftest import pose_archive, pose_model

__all__ = ["pose_archive", "pose_model"]
