"""Tracks of a video: what was seen is kept, who is believable is decided in each span, and rows are shared if many come."""

import tracemalloc

import numpy as np
import pytest

from pan_core.pose.tracks import TrackCollector, Tracks, VideoPoses


def pose(score: float, *, x: float = 0.0, joints: int = 18) -> np.ndarray:
    return np.tile([x, 0.0, score], (joints, 1))


def collect(seen: list[list[tuple[int, np.ndarray]]], joints: int = 18) -> Tracks:
    collector = TrackCollector(joints=joints)
    for people in seen:
        collector.add(people)
    return collector.tracks()


def people(tracks: Tracks, start: int = 0, end: int | None = None, least: float = 0.12) -> np.ndarray:
    return tracks.people(start=start, end=tracks.frames if end is None else end, min_person_score=least)


def test_tracks_are_rows_and_gaps_are_nan() -> None:
    seen = [[(7, pose(0.5))], [], [(7, pose(0.6)), (9, pose(0.75, x=4.0))], []]
    tracks = collect(seen)
    assert (len(tracks), tracks.frames, tracks.first.tolist(), tracks.offsets.tolist()) == (2, 4, [0, 2], [0, 3, 4])
    dense = tracks.dense()
    assert dense.shape == (2, 4, 18, 3)
    np.testing.assert_array_equal(dense[0, 2], pose(0.6).astype(np.float32))
    np.testing.assert_array_equal(dense[1, 2], pose(0.75, x=4.0))
    for track, frame in ((0, 1), (0, 3), (1, 0), (1, 1), (1, 3)):
        assert np.isnan(dense[track, frame, :, :2]).all() and (dense[track, frame, :, 2] == 0).all()
    assert collect([[], []]).dense().shape == (0, 2, 18, 3)


def test_short_and_faint_tracks_are_dropped_and_the_rest_is_sorted() -> None:
    tracks = np.zeros((4, 40, 18, 3))
    tracks[0, :20] = pose(0.5)  # sum 10
    tracks[1, :7] = pose(0.75)  # seen in 7 frames: fewer than 8 and than a quarter of 40
    tracks[2, :] = pose(0.1)  # mean score below 0.12
    tracks[3, :] = pose(0.375)  # sum 15
    kept = people(Tracks.of(tracks))
    np.testing.assert_array_equal(kept[..., 2], tracks[[3, 0], ..., 2])


def test_a_short_clip_may_have_short_tracks() -> None:
    tracks = np.zeros((1, 12, 18, 3))
    tracks[0, :3] = pose(0.5)
    assert len(people(Tracks.of(tracks))) == 1
    assert len(people(Tracks.of(np.zeros((0, 12, 18, 3))))) == 0


def test_whoever_comes_later_is_kept_however_many_were_there_before() -> None:
    """One person at a time, 20 frames each, 50 of them: each is alone in the span of its own, and all are in the whole."""
    seen = [[(frame // 20, pose(0.5, x=frame // 20))] for frame in range(1000)]
    tracks = collect(seen)
    for number in range(50):
        found = people(tracks, 20 * number, 20 * number + 20)
        assert found.shape[:2] == (1, 20) and (found[..., 0] == number).all()
    assert len(people(tracks)) == 50


def test_rows_are_shared_in_a_span_that_would_be_too_large() -> None:
    """Two thousand people, ten frames each and two in view at a time: 20 million poses, a row for each; 20,000 were seen."""
    frames = 10_010
    seen: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(frames)]
    for number in range(2000):
        for frame in range(5 * number, 5 * number + 10):
            seen[frame].append((number, pose(0.5, x=number, joints=2)))
    tracks = collect(seen, joints=2)
    found = people(tracks)
    assert found.shape == (2, frames, 2, 3)
    for frame in (0, 7, 4999, 9000):
        there = {number for number in range(2000) if 5 * number <= frame < 5 * number + 10}
        assert set(found[found[:, frame, 0, 2] > 0, frame, 0, 0].astype(int)) == there
    assert (found[..., 0, 2] > 0).sum() == 20_000


def test_memory_grows_with_what_was_seen_only() -> None:
    """Twice the time, in which twice as many people come, needs twice the memory, not four times."""

    def peak(minutes: int) -> float:
        collector = TrackCollector(joints=18)
        tracemalloc.start()
        for frame in range(minutes * 900):
            collector.add([(frame // 90, pose(0.5)), (100_000 + frame // 60, pose(0.4))])
        tracks = collector.tracks()
        tracks.people(start=900, end=1800, min_person_score=0.12)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used / 1e6

    ten, twenty = peak(10), peak(20)
    # 18,000 and 36,000 poses of 216 bytes, in the collector and, as it is emptied, in the tracks; 25 people a minute.
    assert ten < 2 * 18_000 * 216 * 2 / 1e6
    assert twenty < 2.2 * ten


@pytest.mark.parametrize("change", [{"first": [0, 1, 2]}, {"offsets": [0, 2]}, {"offsets": [0, 1, 5]}])
def test_what_was_stored_is_what_is_read(change: dict[str, list[int]]) -> None:
    tracks = collect([[(3, pose(0.5))], [(3, pose(0.5)), (4, pose(0.25))]])
    poses = VideoPoses(tracks, 12.5, 64, 48, 4, 0.12, "x", "a.mp4", "hash")
    joints, facts = poses.as_stored()
    read = VideoPoses.from_stored(joints, facts)
    assert read.as_stored()[1] == facts
    np.testing.assert_array_equal(read.tracks.dense(), tracks.dense())
    with pytest.raises(ValueError):
        VideoPoses.from_stored(joints, facts | {"tracks": facts["tracks"] | change})
