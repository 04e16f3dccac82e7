"""Accuracy of network and grouping on annotated people in photographs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pan_core.pose.accuracy import pck
from pan_core.pose.crops import Square
from pan_core.pose.estimation import PoseEstimator
from pan_core.skeletons import COCO17, OPENPOSE18


def annotated_people(folder: Path) -> list[tuple[Path, np.ndarray, np.ndarray]]:
    """Picture, true joints (18, 3) and box (x, y, w, h) of each COCO person with at least five keypoints."""
    content = json.loads((folder / "person_keypoints.json").read_text())
    files = {image["id"]: folder / image["file_name"] for image in content["images"]}
    people = []
    for entry in content["annotations"]:
        if entry["num_keypoints"] < 5:
            continue
        given = np.array(entry["keypoints"], float).reshape(17, 3)
        joints = np.zeros((18, 3))
        for joint, name in enumerate(OPENPOSE18.joints):
            if name in COCO17.joints:
                joints[joint] = given[COCO17.index(name)]
        people.append((files[entry["image_id"]], joints, np.array(entry["bbox"])))
    return people


@pytest.mark.parametrize(("stages", "least"), [(2, 0.60), (4, 0.65), (6, 0.65)])
def test_share_of_correct_keypoints_in_crops(real_data: Path, pose_model: Path, stages: int, least: float) -> None:
    """These weights are known to find 70 % of the joints within a tenth of the person's size, at six stages."""
    estimator = PoseEstimator(
        pose_model, stages=stages, search_stages=stages, search_size=(432, 368), crop_size=224, min_joint_score=0.05
    )
    found, truth = [], []
    for path, joints, (x, y, width, height) in annotated_people(real_data / "people" / "coco"):
        square = Square(np.array([x + width / 2, y + height / 2]), 1.2 * max(width, height))
        (people,) = estimator.look(cv2.imread(str(path)), [square])
        found.append(people[0] if len(people) else np.zeros((18, 3)))
        truth.append(joints)
    assert pck(np.stack(found), np.stack(truth), threshold=0.1).overall > least
