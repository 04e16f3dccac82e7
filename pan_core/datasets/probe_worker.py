"""What a worker process does to look at videos; it imports little, because every worker imports it anew."""

from pathlib import Path

from pan_core.errors import VideoError
from pan_core.video import VideoInfo, probe, read_frames
from pan_core.workers.supervised import Heartbeat


def probe_supervised(path: Path, heartbeat: Heartbeat) -> VideoInfo | VideoError:
    """Outcome of `probe`, as one supervised step."""
    heartbeat.beat()
    return probe_outcome(path)


def decode_supervised(path: Path, heartbeat: Heartbeat) -> VideoError | None:
    """Decode a video to its end; returns what is wrong with it."""
    heartbeat.beat()
    try:
        for _ in read_frames(path):
            heartbeat.beat()
    except VideoError as error:
        return error
    return None


def probe_outcome(path: Path) -> VideoInfo | VideoError:
    """What `probe` returns, or the error that it raises for a video that cannot be decoded."""
    try:
        return probe(path)
    except VideoError as error:
        return error
