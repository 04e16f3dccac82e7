import pandas as pd
import pytest

from pan_core.quality.overlaps import summarise_videos


def span(path: str, start: int, frames: int, label: str, camera: str = "hall", fps: float = 10.0) -> dict[str, object]:
    return {"path": path, "start_frame": start, "n_frames": frames, "label": label, "camera": camera, "fps": fps}


def test_two_videos_by_hand():
    # Of a: 0 to 4 s and 2 to 6 s, so six seconds with a label and two with both; then 10 to 11 s twice the same.
    clips = pd.DataFrame(
        [
            span("a", 0, 40, "walk"), span("a", 20, 40, "talk"), span("a", 100, 10, "fall"), span("a", 100, 10, "fall"),
            span("b", 0, 10, "walk", camera="", fps=5.0), span("b", 10, 10, "walk", fps=10.0),
        ]
    )  # fmt: skip
    table = summarise_videos(clips).set_index("video")
    assert table.loc["a", ["clips", "labels", "cameras", "rates", "same_spans"]].tolist() == [4, 3, 1, 1, 1]
    assert table.loc["a", "labelled_s"] == pytest.approx(7)
    assert table.loc["a", "overlap_share"] == pytest.approx(3 / 7)
    assert table.loc["b", ["cameras", "rates", "named_share"]].tolist() == [2, 2, 0.5]
    # 0 to 2 s and 1 to 2 s.
    assert table.loc["b", "overlap_share"] == pytest.approx(0.5)
