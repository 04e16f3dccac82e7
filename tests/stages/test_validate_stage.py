"""The validate stage on tables that were made by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from pan_core.datasets.pyskl import Pyskl
from pan_core.errors import DataError, GateError
from pan_core.params.load import Params
from pan_core.pose.pose_set import ClipPoses, write_pose_set
from pan_core.skeletons import PENN13
from pan_core.stages import validate
from pan_core.tables import empty_table, read_table, write_table
from pan_core.workspace import paths

LABELS = ("run", "walk")
CLIPS = [f"{label}{number}" for label in LABELS for number in range(10)]


class Tracked:
    """Stands for the stage's run: lists what is logged."""

    def __init__(self) -> None:
        self.logged: list[tuple[Path, str]] = []

    def artifact(self, path: Path, folder: str) -> None:
        self.logged.append((path, folder))


def joints(rng: np.random.Generator, frames: int = 20) -> np.ndarray:
    """One annotated person who moves about the middle of the picture."""
    place = rng.uniform(100, 200, (1, 1, PENN13.size, 2)) + np.arange(frames)[:, None, None]
    return np.concatenate([place, np.ones((1, frames, PENN13.size, 1))], axis=-1)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Twenty good clips of two classes; the joints of each, which a test may spoil before `run`."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    clips = pd.DataFrame(
        {
            "clip_id": CLIPS, "path": "", "source": "penn_action", "label": np.repeat(LABELS, 10), "group": CLIPS,
            "subject": "", "camera": "", "fps": 30.0, "start_frame": 0, "n_frames": 20, "width": 320, "height": 240,
            "split1": ["train", "train", "train", "train", "val", "test", "test", "train", "val", "test"] * 2,
        }
    )  # fmt: skip
    write_table(clips, "clips", paths.CLIPS)
    segments = clips[["clip_id", "label"]].assign(start_frame=0, end_frame=20, parent_label=clips["label"])
    write_table(segments, "segments", paths.SEGMENTS)
    for stage in ("split", "pose"):
        write_table(empty_table("quarantine"), "quarantine", paths.QUARANTINE / f"{stage}.parquet")
    return {clip_id: joints(rng) for clip_id in CLIPS}


def run(poses: dict[str, np.ndarray], **limits: object) -> tuple[dict, Tracked]:
    made = (ClipPoses(clip_id, value, 30.0, 320, 240, "annotated") for clip_id, value in poses.items())
    write_pose_set(paths.POSES, PENN13, made)
    tracked = Tracked()
    params = Params(dataset="penn_action")
    return validate.run(
        params.model_copy(update={"validation": params.validation.model_copy(update=limits)}), tracked
    ), tracked


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


def reasons() -> dict[str, str]:
    table = read_table("quarantine", paths.QUARANTINE / "validate.parquet")
    return dict(zip(table["clip_id"], table["reason"], strict=True))


def test_a_good_dataset_goes_on_whole(workspace: dict[str, np.ndarray]) -> None:
    figures, tracked = run(workspace)
    assert (figures["clips"], figures["quarantined"], figures["kind"]) == (20, 0, "annotated")
    assert figures["expectations_failed"] == []
    assert read_table("clips", paths.VALID / "clips.parquet")["clip_id"].tolist() == CLIPS
    assert tracked.logged == [(paths.DATA_DOCS, "data_docs")]
    assert (paths.DATA_DOCS / "index.html").is_file()


def test_each_bad_clip_is_in_quarantine_with_its_reason(workspace: dict[str, np.ndarray]) -> None:
    workspace["run0"] = workspace["run0"][:, :5]
    workspace["run1"] = workspace["run1"][:0]
    workspace["run2"][..., 4:, :] = [np.nan, np.nan, 0]
    workspace["run3"][..., :2] += 5000
    workspace["run4"][..., 2] = 0.7
    del workspace["run5"]
    segments = read_table("segments", paths.SEGMENTS)
    segments.loc[segments["clip_id"] == "run6", "end_frame"] = 99
    write_table(segments, "segments", paths.SEGMENTS)
    figures, _ = run(workspace, max_quarantined=0.5, min_visible_joints=0.4)
    found = reasons()
    assert numbers(found["run0"]) == ["5", "8", "0.17", "0.67"]  # frames and seconds, each with the least expected
    assert found["run1"] == "no person found"
    assert numbers(found["run2"]) == ["31", "40"]  # percent of the joints
    assert "picture" in found["run3"]
    assert "scores" in found["run4"]
    assert "--force" in found["run5"]
    assert "segment" in found["run6"]
    assert numbers(found["run6"]) == ["99", "20"]
    assert len(found) == figures["quarantined"] == 7
    assert figures["clips"] == 13
    assert not set(read_table("segments", paths.VALID / "segments.parquet")["clip_id"]) & set(found)


def test_rows_of_a_list_count_in_the_share(workspace: dict[str, np.ndarray]) -> None:
    """Three rows could not become clips: 3 of 23 are more than the tenth that is allowed."""
    rows = [{"clip_id": f"Subject 3/ADL.csv:{line}", "stage": "split", "reason": "no time"} for line in (4, 7, 9)]
    write_table(pd.DataFrame(rows), "quarantine", paths.QUARANTINE / "split.parquet")
    with refused("validate.quarantine-share", GateError) as caught:
        run(workspace)
    assert numbers(str(caught.value)) == ["3", "23", "13", "10", "3"]
    assert len(reasons()) == 3
    assert run(workspace, max_quarantined=0.2)[0]["clips"] == 20


def test_a_class_that_is_lost_stops_the_run(workspace: dict[str, np.ndarray]) -> None:
    for number in range(10):
        workspace[f"walk{number}"] = workspace[f"walk{number}"][:, :3]
    with refused("validate.lost-class", GateError) as caught:
        run(workspace, max_quarantined=1.0)
    assert "walk" in str(caught.value)


@pytest.mark.parametrize(("spoiled", "part"), [((4, 8), "val"), ((5, 6, 9), "test")])
def test_a_part_that_shows_one_class_only_stops_the_run(workspace, spoiled, part):
    """The other class is there, but its clips of this part are in quarantine."""
    short = {f"run{number}": workspace[f"run{number}"][:, :3] for number in spoiled}
    with refused("classes.one-in-part", DataError) as caught:
        run(workspace | short, max_quarantined=0.5)
    assert part in str(caught.value)
    assert "validate.parquet" in str(caught.value)
    assert not (paths.VALID / "clips.parquet").exists()


def test_nothing_left_stops_the_run(workspace: dict[str, np.ndarray]) -> None:
    with refused("validate.nothing-left", GateError):
        run({clip_id: value[:, :3] for clip_id, value in workspace.items()}, max_quarantined=1.0)


def test_tables_of_different_runs_stop_the_run(workspace: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError) as caught:
        run({**workspace, "other": workspace["run0"]})
    assert "other" in str(caught.value)


def test_expectations_on_the_whole_warn(workspace: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    still = {clip_id: np.repeat(value[:, :1], 20, axis=1) for clip_id, value in workspace.items()}
    figures, _ = run(still)
    assert [fault.split(":")[0] for fault in figures["expectations_failed"]] == ["clips move"]
    assert figures["expectations_failed"][0] in capsys.readouterr().out


def test_expectations_on_the_whole_stop_where_that_is_wanted(workspace: dict[str, np.ndarray]) -> None:
    still = {clip_id: np.repeat(value[:, :1], 20, axis=1) for clip_id, value in workspace.items()}
    with refused("validate.expectations", GateError) as caught:
        run(still, on_failure="stop")
    assert numbers(str(caught.value))[:2] == ["1", "15"]
    assert "clips move" in str(caught.value)


def test_kind_of_a_dataset(workspace: dict[str, np.ndarray]) -> None:
    class Poses:
        def __init__(self, *extractors: str) -> None:
            self.index = pd.DataFrame({"extractor": extractors})

    assert validate.kind_of("penn_action", Poses("annotated", "annotated")) == "annotated"
    assert validate.kind_of("ucf101_pose", Poses("hrnet")) == "extracted"
    assert validate.kind_of("pyskl", Poses(Pyskl.extractor, Pyskl.extractor)) == "supplied"
    assert validate.kind_of("gmdcsa24", Poses("openpose18-1")) == "surveillance"
