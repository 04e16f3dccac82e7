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
from pan_core.pose_training.pictures import MIN_KEYPOINTS, TrainingPicture
from pan_core.pose_training.train_loop import TrainingSettings, fit, student_of, training_identity
from pan_core.tracking.tracker import Tracker

EXPERIMENT = "pose network"
# Held-out pictures on which student and teacher are compared, evenly spaced.
COMPARED_PICTURES = 300

PictureOfPerson = tuple[TrainingPicture, np.ndarray]


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
        held_out: To measure the losses on, and how far the student's joints agree with the teacher's.
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
        networks = {"teacher": (teacher_model, len(teacher.stages))} | {
            f"{who}_stage_{number}": (model, number)
            for who, model in (("teacher", teacher_model), ("student", out / "pose.onnx"))
            for number in range(1, settings.stages + 1)
        }
        accuracy = _measure_networks(networks, [(one, _pick_middle_person(one)) for one in judged])
        found = {
            "settings": described, "kind": "measured", "losses": history, "sha256": sha256_of(out / "pose.onnx"),
            "accuracy": accuracy,
            "agreement": _measure_networks(networks, _annotate(*networks["teacher"], held_out)),
        }  # fmt: skip
        write_json(out / "training.json", found)
        run.artifact(out / "training.json")
    scores = {f"{who}_{name}": value for who, part in accuracy.items() for name, value in part.items()}
    tracker.close_pipeline(fingerprint, scores, {})
    return found


def _measure_networks(
    networks: dict[str, tuple[Path, int]], people: Sequence[PictureOfPerson]
) -> dict[str, dict[str, float]]:
    """PCK of some networks, each by one of its stages, on the same crops; nothing if there are no crops."""
    return {who: crop_accuracy(path, people, stages=number) for who, (path, number) in networks.items() if people}


def _annotate(teacher: Path, stages: int, pictures: Sequence[TrainingPicture]) -> list[PictureOfPerson]:
    """The teacher's joints in pictures without marks, as if they were true; pictures in which it finds nobody are left out."""
    unmarked = [one for one in pictures if one.people is None]
    estimator = _crop_estimator(teacher, stages)
    people = []
    for one in unmarked[:: max(1, len(unmarked) // COMPARED_PICTURES)]:
        (found,) = estimator.look(one.read(), [one.square])
        if len(found) and (seen := found[0][:, 2] > 0).sum() >= MIN_KEYPOINTS:
            people.append((one, np.column_stack([found[0][:, :2], seen])))
    return people


def crop_accuracy(model: Path, people: Sequence[PictureOfPerson], *, stages: int) -> dict[str, float]:
    """Share of people's joints that are found in crops around them, at two distances, as shares of the body's size.

    Args:
        model: Exported network.
        people: Pictures, each with the joints (V, 3) of the person in it.
        stages: Stage whose maps are used.
    """
    crops = ((picture.read(), picture.square, joints) for picture, joints in people)
    pair = found_in_crops(_crop_estimator(model, stages), crops)
    return {"pck_0_1": pck(*pair, threshold=0.1).overall, "pck_0_05": pck(*pair, threshold=0.05).overall}


def _crop_estimator(model: Path, stages: int) -> PoseEstimator:
    return PoseEstimator(
        model, stages=stages, search_stages=stages, search_size=(432, 368), crop_size=224, min_joint_score=0.05
    )


def _pick_middle_person(picture: TrainingPicture) -> np.ndarray:
    """True joints of the person in the middle of a picture's crop."""
    assert picture.people is not None
    middles = [np.mean(person[person[:, 2] > 0, :2], axis=0) for person in picture.people]
    nearest = np.argmin([np.linalg.norm(middle - picture.square.centre) for middle in middles])
    return picture.people[int(nearest)]
