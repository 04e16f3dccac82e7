"""Parts of the table: what each measures, on which data, and what it needs."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pan_core.benchmark.poses.actor_boxes import read_boxes
from pan_core.benchmark.poses.actor_clips import ActorClips, measure_actions, measure_actors
from pan_core.benchmark.poses.drawn_people import measure_crossing, measure_falling, measure_jitter, measure_small
from pan_core.benchmark.poses.photographs import ANNOTATIONS, measure_photographs
from pan_core.benchmark.poses.pose_points import PosePoint, Progress
from pan_core.benchmark.poses.real_videos import (
    FALLER_BOXES,
    JHMDB_BOXES,
    fall_videos,
    jhmdb_clips,
    measure_falls,
    measure_jhmdb,
)
from pan_core.code_identity import code_hash
from pan_core.files import sha256_of
from pan_core.import_graph import import_closure
from pan_core.model.store import load_model
from pan_core.pose.pose_set import ClipPoses

PHOTOGRAPHS = Path("people/coco")
WHOLE = "balanced"
"""Quality at which every clip of JHMDB is measured, whatever is left out at the others."""
NO_REAL_DATA = "no folder of recordings is named (--data, or PAN_MIRROR)"


@dataclass(frozen=True)
class PoseSources:
    """Data that the table is measured on.

    Attributes:
        cache: Folder of finished parts and extracted poses.
        workers: Processes.
        real: Folder of recordings with `jhmdb`, `gmdcsa24` and `people`; None if there is none.
        actors: Test clips of the embedded dataset; None if they are missing.
        no_actors: Reason why they are.
        recognizer: Folder of the recognizer that judges the skeletons; it may be missing.
        every: At qualities other than balanced, every Nth clip of JHMDB is measured.
    """

    cache: Path
    workers: int
    real: Path | None = None
    actors: ActorClips | None = None
    no_actors: str = ""
    recognizer: Path | None = None
    every: int = 1

    @property
    def poses(self) -> Path:
        """Folder of the poses that the code of today extracts."""
        return self.cache / "poses" / extraction_code()


Measure = Callable[[PosePoint, PoseSources, Progress | None], dict]


@dataclass(frozen=True)
class TablePart:
    """One part of the table.

    Attributes:
        keys: Figures that it gives.
        lacks: What is missing for it; empty if nothing is.
        files: Files that its figures rest on.
        measure: Measures a point.
        shares_out: Whether it gives its work to worker processes itself; others are shared out one point a process.
    """

    keys: tuple[str, ...]
    lacks: Callable[[PoseSources], str]
    files: Callable[[PosePoint, PoseSources], list[Path]]
    measure: Measure
    shares_out: bool = False


def extraction_code() -> str:
    """Hash of the code that finds and follows people; the values of the qualities are in the identity of an extractor."""
    modules = (name.removeprefix("pan_core/") for name in import_closure(["pan_core.pose.extraction"]))
    others = ("video.py", "skeletons.py", "runtimes/session.py", "runtimes/onnx_session.py")
    kept = [name for name in modules if name.startswith("pose/") or name in others]
    return code_hash(*(name for name in kept if name not in ("pose/qualities.py", "pose/named_networks.py")))


def measure_code() -> str:
    """Hash of the code that measures."""
    here = [f"benchmark/poses/{name}.py" for name in
            ("actor_boxes", "actor_clips", "drawn_people", "frame_cost", "photographs", "pose_parts", "real_videos")]  # fmt: skip
    others = ("datasets/actors", "pose/accuracy.py", "pose/main_person.py", "pose/oks.py", "evaluation/clip_scores.py")
    return code_hash(*here, *others)


def files_of(folder: Path) -> list[Path]:
    """Files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _need_nothing(sources: PoseSources) -> str:
    return ""


def _no_files(point: PosePoint, sources: PoseSources) -> list[Path]:
    return []


def _drawn(keys: tuple[str, ...], measure: Callable[[PosePoint], dict]) -> TablePart:
    return TablePart(keys, _need_nothing, _no_files, partial(_measure_drawn, measure))


def _measure_drawn(measure: Callable[[PosePoint], dict], point: PosePoint, *_: object) -> dict:
    return measure(point)


def _lack_files(paths: list[Path]) -> str:
    missing = [path for path in paths if not path.is_file()]
    return f"{len(missing)} of {len(paths)} files are missing, such as {missing[0]}" if missing else ""


def _lack_photographs(sources: PoseSources) -> str:
    return _lack_files([sources.real / PHOTOGRAPHS / ANNOTATIONS]) if sources.real else NO_REAL_DATA


def _measure_photographs(point: PosePoint, sources: PoseSources, progress: Progress | None) -> dict:
    assert sources.real
    return measure_photographs(point, sources.real / PHOTOGRAPHS)


def _lack_falls(sources: PoseSources) -> str:
    return _lack_files(list(fall_videos(sources.real).values())) if sources.real else NO_REAL_DATA


def _measure_falls(point: PosePoint, sources: PoseSources, progress: Progress | None) -> dict:
    assert sources.real
    videos, boxes = fall_videos(sources.real), read_boxes(FALLER_BOXES, video="video")
    found = point.extract(videos, cache=sources.poses, workers=sources.workers, progress=progress)
    return measure_falls(found, videos, boxes, max_fps=point.settings.max_fps)


def _lack_jhmdb(sources: PoseSources) -> str:
    if not sources.real:
        return NO_REAL_DATA
    lacking = _lack_files([sources.real / JHMDB_BOXES])
    return lacking or ("" if jhmdb_clips(sources.real) else f"{sources.real / 'jhmdb'} has no clips")


def _choose_clips(point: PosePoint, sources: PoseSources) -> dict[str, Path]:
    assert sources.real
    return jhmdb_clips(sources.real, every=1 if point.quality == WHOLE else sources.every)


def _measure_jhmdb(point: PosePoint, sources: PoseSources, progress: Progress | None) -> dict:
    assert sources.real
    clips, boxes = _choose_clips(point, sources), read_boxes(sources.real / JHMDB_BOXES, video="clip")
    found = point.extract(clips, cache=sources.poses, workers=sources.workers, progress=progress)
    return measure_jhmdb(found, clips, boxes, max_fps=point.settings.max_fps)


def _lack_actors(sources: PoseSources) -> str:
    return sources.no_actors if sources.actors is None else _lack_files(list(sources.actors.videos.values()))


def _find_actors(point: PosePoint, sources: PoseSources, progress: Progress | None) -> list[ClipPoses]:
    assert sources.actors
    videos = sources.actors.videos
    found = point.extract(videos, cache=sources.poses, workers=sources.workers, progress=progress)
    return sources.actors.as_clip_poses(found, max_fps=point.settings.max_fps, extractor=point.identity)


def _measure_actors(point: PosePoint, sources: PoseSources, progress: Progress | None) -> dict:
    assert sources.actors
    with tempfile.TemporaryDirectory(dir=sources.poses) as scratch:
        return measure_actors(sources.actors, _find_actors(point, sources, progress), Path(scratch))


def _lack_recognizer(sources: PoseSources) -> str:
    there = sources.recognizer is not None and sources.recognizer.is_dir()
    return _lack_actors(sources) or ("" if there else f"no recognizer in {sources.recognizer}; run `make run`")


def _measure_actions(point: PosePoint, sources: PoseSources, progress: Progress | None) -> dict:
    assert sources.actors
    assert sources.recognizer
    found = _find_actors(point, sources, progress)
    with tempfile.TemporaryDirectory(dir=sources.poses) as scratch:
        return measure_actions(sources.actors, found, load_model(sources.recognizer), Path(scratch))


def _actor_files(point: PosePoint, sources: PoseSources) -> list[Path]:
    return list(sources.actors.videos.values()) if sources.actors else []


PARTS: dict[str, TablePart] = {
    "crossing": _drawn(("switches", "crossing_covered"), measure_crossing),
    "falling": _drawn(("falling_pck", "falling_last_pck"), measure_falling),
    "jitter": _drawn(("jitter", "jitter_joints"), measure_jitter),
    "small": _drawn(("smallest_pixels",), measure_small),
    "people": TablePart(
        ("people", "people_pck_0_1", "people_pck_0_05", "people_search_pck_0_1", "people_oks_ap"), _lack_photographs,
        lambda point, sources: files_of(sources.real / PHOTOGRAPHS) if sources.real else [], _measure_photographs,
    ),
    "falls": TablePart(
        ("falls_covered", "falls_anybody", "falls_frames"), _lack_falls,
        lambda point, sources: [FALLER_BOXES, *fall_videos(sources.real).values()] if sources.real else [],
        _measure_falls, shares_out=True,
    ),
    "actors": TablePart(
        ("pck_0_1", "pck_0_05", "pck_by_joint", "oks_ap", "coverage", "actor_clips", "actor_frames"), _lack_actors,
        _actor_files, _measure_actors, shares_out=True,
    ),
    "actions": TablePart(
        ("action_accuracy",), _lack_recognizer,
        lambda point, sources: [*_actor_files(point, sources), *(files_of(sources.recognizer) if sources.recognizer else [])],
        _measure_actions, shares_out=True,
    ),
    "jhmdb": TablePart(
        ("jhmdb_without_people", "jhmdb_on_actor", "jhmdb_clips", "jhmdb_frames"), _lack_jhmdb,
        lambda point, sources: [sources.real / JHMDB_BOXES, *_choose_clips(point, sources).values()] if sources.real else [],
        _measure_jhmdb, shares_out=True,
    ),
}  # fmt: skip
COST = "cost"
COST_KEYS = ("ms_per_frame", "times_faster", "first_frame_ms")
"""Part whose points are measured together."""


def describe_files(paths: list[Path]) -> list[list[object]]:
    """Names and sizes of files, and the content of small ones: what figures were measured on."""
    return [[path.name, size := path.stat().st_size, sha256_of(path) if size < 100_000 else ""] for path in paths]
