"""One row a video of a camera: how its labelled spans lie in it."""

import numpy as np
import pandas as pd


def summarise_videos(clips: pd.DataFrame) -> pd.DataFrame:
    """The table on which labelled footage is judged.

    Args:
        clips: Clip table; a clip is a span of its video.

    Returns:
        A row a video: `video`, `clips`, `labels` and `cameras` (numbers of different ones), `rates` (different frame
        rates), `named_share` (share of clips that name a camera), `labelled_s` (seconds with a label),
        `overlap_share` (share of those with several), `same_spans` (clips with the same span and label as another).
    """
    rows = [_summarise_video(str(video), spans) for video, spans in clips.groupby("path", sort=True)]
    return pd.DataFrame(rows)


def _summarise_video(video: str, spans: pd.DataFrame) -> dict[str, object]:
    start = (spans["start_frame"] / spans["fps"]).to_numpy()
    end = start + (spans["n_frames"] / spans["fps"]).to_numpy()
    labelled, several = _cover(start, end)
    return {
        "video": video,
        "clips": len(spans),
        "labels": spans["label"].nunique(),
        "cameras": spans["camera"].nunique(),
        "rates": spans["fps"].nunique(),
        "named_share": float((spans["camera"] != "").mean()),
        "labelled_s": labelled,
        "overlap_share": several / labelled,
        "same_spans": int(spans.duplicated(["start_frame", "n_frames", "label"]).sum()),
    }


def _cover(start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Seconds in at least one span, and in at least two."""
    moments = np.concatenate([start, end])
    order = np.argsort(moments, kind="stable")
    change = np.concatenate([np.ones(len(start)), -np.ones(len(end))])[order]
    length, depth = np.diff(moments[order]), np.cumsum(change)[:-1]
    return float(length[depth >= 1].sum()), float(length[depth >= 2].sum())
