"""Train the pose network and export it with its losses and its accuracy."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from pan_core.files import atomic_path, sha256_of, write_json
from pan_core.pose.accuracy import found_in_crops, pck
from pan_core.pose.estimation import PoseEstimator
from pan_core.pose.network import PoseNetwork
from pan_core.pose.onnx_export import export_network
from pan_core.pose_training.pictures import TrainingPicture
from pan_core.pose_training.train_loop import TrainingSettings, fit, student_of, training_identity
from pan_core.tracking.tracker import Tracker

EXPERIMENT = "pose network"


def train_pose(
    pictures: Sequence[TrainingPicture],
    held_out: Sequence[TrainingPicture],
    judged: Sequence[TrainingPicture],
    teacher: PoseNetwork,
    *,
    teacher_model: Path,
    settings: TrainingSettings,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Train a network and compare it with its teacher; the losses of all stages go to MLflow, epoch by epoch.

    Args:
        pictures: To learn from.
        held_out: To measure the losses on.
        judged: With true joints, for the accuracy of teacher and student; may be empty.
        teacher: Trained network, from which the student starts.
        teacher_model: The same, exported.
        settings: How to train.
        out: Folder of the result: `pose.onnx`, `pose.pt`, `training.json`; an interrupted training goes on from it.
        progress: Called with the steps done and all steps.

    Returns:
        What `training.json` holds.

    Raises:
        DataError: If there is nothing to learn from, or `out` holds another training.
    """
    student = student_of(teacher, settings)
    described = training_identity(pictures, held_out, teacher, settings) | {
        "told_by_teacher": sum(p.people is None for p in pictures)
    }
    fingerprint = hashlib.sha256(json.dumps([described, str(out.resolve())]).encode()).hexdigest()
    tracker = Tracker(EXPERIMENT)
    with tracker.stage("pose_training", fingerprint=fingerprint, params=described) as run:
        history = fit(
            student, pictures, held_out, teacher, settings=settings, checkpoint=out / "checkpoint.pt",
            after_epoch=lambda epoch, losses: run.metrics(losses, step=epoch), progress=progress,
        )  # fmt: skip
        export_network(student, out / "pose.onnx")
        with atomic_path(out / "pose.pt") as partial:
            torch.save(student.state_dict(), partial)
        accuracy = _compare_networks(teacher_model, out / "pose.onnx", judged, len(teacher.stages), settings.stages)
        found = {
            "settings": described, "kind": "measured", "losses": history, "sha256": sha256_of(out / "pose.onnx"),
            "accuracy": accuracy,
        }  # fmt: skip
        write_json(out / "training.json", found)
        run.artifact(out / "training.json")
    scores = {f"{who}_{name}": value for who, part in accuracy.items() for name, value in part.items()}
    tracker.close_pipeline(fingerprint, scores, {})
    return found


def _compare_networks(
    teacher: Path, student: Path, judged: Sequence[TrainingPicture], teacher_stages: int, stages: int
) -> dict[str, dict[str, float]]:
    """PCK of the teacher's last stage and of every stage of the student on the same crops around true people."""
    if not judged:
        return {}
    networks = {"teacher": (teacher, teacher_stages)}
    networks |= {f"student_stage_{number}": (student, number) for number in range(1, stages + 1)}
    return {who: crop_accuracy(path, judged, stages=number) for who, (path, number) in networks.items()}


def crop_accuracy(model: Path, pictures: Sequence[TrainingPicture], *, stages: int) -> dict[str, float]:
    """Share of the true joints of the person in the middle that are found in a crop around them.

    Args:
        model: Exported network.
        pictures: With true joints.
        stages: Stage whose maps are used.
    """
    estimator = PoseEstimator(
        model, stages=stages, search_stages=stages, search_size=(432, 368), crop_size=224, min_joint_score=0.05
    )
    pair = found_in_crops(estimator, ((one.read(), one.square, _pick_middle_person(one)) for one in pictures))
    return {"pck_0_1": pck(*pair, threshold=0.1).overall, "pck_0_05": pck(*pair, threshold=0.05).overall}


def _pick_middle_person(picture: TrainingPicture) -> np.ndarray:
    """True joints of the person in the middle of a picture's crop."""
    assert picture.people is not None
    middles = [np.mean(person[person[:, 2] > 0, :2], axis=0) for person in picture.people]
    nearest = np.argmin([np.linalg.norm(middle - picture.square.centre) for middle in middles])
    return picture.people[int(nearest)]
