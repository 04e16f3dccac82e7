"""Values that are of the right type and cannot be true: each costs its annotation, and no other."""

import pickle

import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.base import Context
from pan_core.datasets.registry import dataset_by_name
from pan_core.tables import check_table


def annotation(name, **fields):
    made = {"frame_dir": name, "total_frames": 4, "img_shape": (240, 320), "label": 0,
            "keypoint": np.full((1, 4, 17, 2), 9.0), "keypoint_score": np.ones((1, 4, 17))}  # fmt: skip
    return made | fields


def fetched(tmp_path, *annotations, split=None):
    content = {"annotations": list(annotations), "split": split or {"train": ["good"], "test": ["gone"]}}
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(content))
    dataset = dataset_by_name("pyskl")
    context = Context(cache=tmp_path / "cache", options={"path": str(tmp_path / "mine.pkl")})
    dataset.fetch(tmp_path / "raw", context)
    return dataset, dataset.catalogue(tmp_path / "raw", context)


def at(place):
    """One joint of 68 stands there."""
    made = np.full((1, 4, 17, 2), 9.0)
    made[0, 2, 3] = place
    return made


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("68 of the joints lie more than 10 pictures outside", {"keypoint": np.full((1, 4, 17, 2), 1e300)}),
        ("1 of the joints lie more than 10 pictures outside", {"keypoint": at((320 * 11 + 1, 0))}),
        ("1 of the joints lie more than 10 pictures outside", {"keypoint": at((0, -2401))}),
        ("a keypoint score is 90, expected scores from 0 to 1", {"keypoint_score": np.full((1, 4, 17), 90.0)}),
        ("a keypoint score is 1e+300", {"keypoint_score": np.full((1, 4, 17), 1e300)}),
        ("Expected img_shape to be (height, width)", {"img_shape": (240, 100_001)}),
        ("Expected frame_dir to be a name", {"frame_dir": "half \ud800"}),
        ("Expected frame_dir to be a name", {"frame_dir": "nothing \0"}),
    ],
)
def test_an_absurd_annotation_goes_to_quarantine(tmp_path, reason, fields):
    _, catalogue = fetched(tmp_path, annotation("good"), annotation("bad") | fields)
    assert catalogue.clips["clip_id"].tolist() == ["good"]
    (row,) = check_table(catalogue.quarantine, "quarantine", "here").itertuples()
    assert reason in row.reason


@pytest.mark.parametrize("fps", [0.5, 1001, float("nan"), float("inf")])
def test_an_absurd_rate_is_said(tmp_path, fps):
    (tmp_path / "mine.pkl").touch()
    context = Context(cache=tmp_path, options={"path": str(tmp_path / "mine.pkl"), "fps": fps})
    with refused("pyskl.fps"):
        dataset_by_name("pyskl").fetch(tmp_path / "raw", context)


def test_joints_a_little_outside_and_missing_ones_anywhere_are_taken(tmp_path):
    far = annotation("far", keypoint=at((1e300, 0)))
    far["keypoint_score"][0, 2, 3] = 0
    edge = annotation("edge", keypoint=at((320 * 11, -2400)), keypoint_score=np.full((1, 4, 17), 1.5))
    dataset, catalogue = fetched(tmp_path, annotation("good"), far, edge)
    assert catalogue.clips["clip_id"].tolist() == ["good", "far", "edge"]
    joints = next(dataset.poses(tmp_path / "raw", catalogue.clips[1:2])).joints
    assert np.isnan(joints[0, 2, 3, :2]).all()


def test_a_listed_name_that_no_file_can_hold_is_spelt_out(tmp_path):
    _, catalogue = fetched(tmp_path, annotation("good"), split={"train": ["good"], "test": ["half \ud800"]})
    assert catalogue.missing == ("half \\ud800",)
