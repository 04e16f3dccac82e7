"""Clips and segments from labelled spans of videos."""

import hashlib
import logging
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pan_core.datasets.manifests.manifest import span_key
from pan_core.errors import VideoError
from pan_core.tables import check_table, empty_table
from pan_core.video import VideoInfo

_log = logging.getLogger(__name__)

MIN_FRAMES = 2
# A span that ends later than this after its video was not only rounded.
TOLERANCE_S = 1.0


def clip_table(
    rows: pd.DataFrame, probed: Mapping[str, VideoInfo | VideoError], *, source: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One clip a span, cut to its video's real length.

    Args:
        rows: Manifest table.
        probed: Video -> what it is, or why it cannot be read.
        source: Name of the dataset.

    Returns:
        Clip table with the index of `rows`, its path and group the video; and a quarantine table: spans of a damaged
        video, beyond the end of their video, or of less than two frames.
    """
    ids = clip_ids(rows)
    faults = pd.Series("", index=rows.index)
    infos = [probed[video] for video in rows["video"]]
    facts = pd.DataFrame(
        [(i.fps, i.n_frames, i.width, i.height) if isinstance(i, VideoInfo) else (1.0, 0, 1, 1) for i in infos],
        columns=["fps", "length", "width", "height"],
        index=rows.index,
    )
    start, end = frame_at(rows["start_s"], facts["fps"]), frame_at(rows["end_s"], facts["fps"])
    cut = np.minimum(end, facts["length"])
    _log_cut(rows, facts)
    for place in np.flatnonzero(cut - start < MIN_FRAMES):
        faults.iloc[place] = _describe_fault(
            infos[place], rows.iloc[place], int(start.iloc[place]), int(cut.iloc[place])
        )
    clips = pd.DataFrame(
        {
            "clip_id": ids,
            "path": rows["video"],
            "source": source,
            "label": rows["label"],
            "group": rows["video"],
            "subject": rows["subject"],
            "camera": rows["camera"],
            "fps": facts["fps"],
            "start_frame": start,
            "n_frames": cut - start,
            "width": facts["width"],
            "height": facts["height"],
        }
    )
    failed = pd.DataFrame({"clip_id": ids, "stage": "split", "reason": faults})[faults != ""]
    quarantine = check_table(failed, "quarantine", source) if len(failed) else empty_table("quarantine")
    good = clips[faults == ""]
    return (check_table(good, "clips", source) if len(good) else good), quarantine


def segment_table(rows: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """All labels that hold in each clip's frames.

    Args:
        rows: Manifest table with a column path, as in the clip table.
        clips: Clip table whose clips are spans of the same videos.

    Returns:
        Segment table; frames count from the clip's first.
    """
    columns = ["clip_id", "path", "fps", "start_frame", "n_frames", "label"]
    pairs = clips[columns].rename(columns={"label": "parent_label"}).merge(rows, on="path")
    start = frame_at(pairs["start_s"], pairs["fps"]) - pairs["start_frame"]
    end = frame_at(pairs["end_s"], pairs["fps"]) - pairs["start_frame"]
    table = pairs[["clip_id", "label", "parent_label"]].assign(
        start_frame=start.clip(lower=0), end_frame=np.minimum(end, pairs["n_frames"])
    )
    table = table[table["end_frame"] > table["start_frame"]]
    order = ["clip_id", "start_frame", "end_frame", "label", "parent_label"]
    return check_table(table[order].drop_duplicates().reset_index(drop=True), "segments", "labelled spans")


def clip_ids(rows: pd.DataFrame) -> pd.Series:
    """Ids that stay the same as long as the row does: `<video>_<start in ms>-<end in ms>-<label>`.

    Characters that trouble file names are replaced; where two rows would get the same id, each gets a hash as well.
    """
    names = []
    for video, start, end, label in zip(rows["video"], rows["start_s"], rows["end_s"], rows["label"], strict=True):
        _, start_ms, end_ms, _ = span_key(video, start, end, label)
        stem = video.rsplit(".", 1)[0] if "." in video.rsplit("/", 1)[-1] else video
        names.append(f"{_slug(stem.replace('/', '-'))}_{start_ms}-{end_ms}-{_slug(label)}")
    ids = pd.Series(names, index=rows.index, dtype=str)
    for index in ids.index[ids.duplicated(keep=False)]:
        ids[index] += "-" + hashlib.sha256(f"{rows['video'][index]}|{rows['label'][index]}".encode()).hexdigest()[:8]
    return ids


def frame_at(seconds: pd.Series, fps: pd.Series) -> pd.Series:
    """Nearest frame border to a time."""
    # A time beyond any video must not overflow the integers.
    return np.floor((seconds * fps).clip(upper=2.0**53) + 0.5).astype("int64")


def joined_by_video(groups: pd.Series, videos: pd.Series) -> pd.Series:
    """Groups, joined where they share a video; a joined group has the names of its parts.

    Args:
        groups: Group of every clip.
        videos: Video of every clip, of the same index.
    """
    from scipy.sparse import coo_array  # late: start-up
    from scipy.sparse.csgraph import connected_components  # late: start-up

    group, names = pd.factorize(groups)
    video, known = pd.factorize(videos)
    size = len(names) + len(known)
    edges = coo_array((np.ones(len(group)), (group, len(names) + video)), shape=(size, size))
    component = connected_components(edges, directed=False)[1][: len(names)]
    joined = pd.Series(names).groupby(component).agg(lambda parts: "+".join(sorted(parts)))
    return pd.Series(joined[component[group]].to_numpy(), index=groups.index, dtype=str)


def _describe_fault(info: VideoInfo | VideoError, row: pd.Series, start: int, cut: int) -> str:
    if isinstance(info, VideoError):
        return str(info)
    span = f"{row['label']!r} from {row['start_s']:g} s to {row['end_s']:g} s"
    if start >= info.n_frames:
        return (
            f"{span} begins at frame {start}, but {row['video']} ends after frame {info.n_frames - 1} "
            f"({info.n_frames / info.fps:.2f} s)"
        )
    if cut - start < MIN_FRAMES:
        return (
            f"{span} has {cut - start} frame{'s' * (cut - start != 1)} at {info.fps:g} a second, expected {MIN_FRAMES}"
        )
    return ""


def _log_cut(rows: pd.DataFrame, facts: pd.DataFrame) -> None:
    length_s = facts["length"] / facts["fps"]
    late = rows[(facts["length"] > 0) & (rows["end_s"] > length_s + TOLERANCE_S) & (rows["start_s"] < length_s)]
    if len(late):
        first = late.iloc[0]
        _log.warning(
            "%d spans end after their video and are cut to its length, such as %r in %s: to %g s, but it has %.2f s",
            len(late),
            first["label"],
            first["video"],
            first["end_s"],
            length_s[late.index[0]],
        )


def _slug(text: str) -> str:
    return re.sub(r"[^\w.\-]+", "_", text).strip("_") or "_"
