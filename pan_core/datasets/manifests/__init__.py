"""Manifests: which label holds from when to when in which video, from a CSV, from GMDCSA24's lists, from Label Studio."""

from pan_core.datasets.manifests.csv_file import read_manifest
from pan_core.datasets.manifests.discovery import AUTO, is_labelled, read_any, unlabelled_videos, unread_exports
from pan_core.datasets.manifests.manifest import Manifest, write_manifest

__all__ = [
    "AUTO",
    "Manifest",
    "is_labelled",
    "read_any",
    "read_manifest",
    "unlabelled_videos",
    "unread_exports",
    "write_manifest",
]
