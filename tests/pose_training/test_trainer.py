"""A whole training: its files, and its figures beside its teacher's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.crops import square_around
from pan_core.pose.inference import PoseSession
from pan_core.pose.weights import load_network
from pan_core.pose_training.pictures import TrainingPicture
from pan_core.pose_training.train_loop import TrainingSettings
from pan_core.pose_training.trainer import train_pose


@pytest.fixture(scope="module")
def pictures() -> tuple[list[TrainingPicture], list[TrainingPicture]]:
    """Eight frames of a drawn person, without marks and with them."""
    frames, truth = render_scene([Performer("Waving", 1, (0, 0), -90.0)], seed=1, frames=16)
    chosen = [(frames[t], square_around(truth[0, t]), truth[:, t]) for t in range(0, 16, 2)]
    return [TrainingPicture(*one[:2]) for one in chosen], [TrainingPicture(*one) for one in chosen]


def test_a_head_that_only_started_is_near_its_teacher(
    pictures: tuple[list[TrainingPicture], list[TrainingPicture]],
    pose_archive: Path,
    pose_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One step: figures by true joints and by the teacher's own, which it finds all itself."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    unmarked, marked = pictures
    settings = TrainingSettings(stages=2, epochs=1, batch=8, size=128, learning_rate=1e-6)
    steps = []
    found = train_pose(
        unmarked, unmarked, marked, load_network(pose_archive), teacher_model=pose_model, settings=settings,
        out=tmp_path / "trained", progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(1, 1)]
    names = {"teacher", *(f"{who}_stage_{number}" for who in ("teacher", "student") for number in (1, 2))}
    assert set(found["accuracy"]) == set(found["agreement"]) == names
    assert found["agreement"]["teacher"] == {"pck_0_1": 1.0, "pck_0_05": 1.0}
    for measure in ("accuracy", "agreement"):
        shares = found[measure]
        assert shares["student_stage_2"]["pck_0_1"] > shares["teacher_stage_2"]["pck_0_1"] - 0.06
    assert json.loads((tmp_path / "trained" / "training.json").read_text()) == found
    maps = PoseSession(tmp_path / "trained" / "pose.onnx", stages=2)(np.zeros((1, 64, 64, 3), np.uint8))
    assert maps.shape == (1, 57, 8, 8)


def test_marked_pictures_held_out_have_no_agreement(
    pictures: tuple[list[TrainingPicture], list[TrainingPicture]],
    pose_archive: Path,
    pose_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = TrainingSettings(stages=1, epochs=1, batch=8, size=64)
    found = train_pose(
        pictures[1], pictures[1], [], load_network(pose_archive), teacher_model=pose_model, settings=settings,
        out=tmp_path / "trained",
    )  # fmt: skip
    assert found["accuracy"] == found["agreement"] == {}
    with refused("pose-training.no-pictures"):
        train_pose(
            [], [], [], load_network(pose_archive), teacher_model=pose_model, settings=settings, out=tmp_path / "none"
        )
    assert not (tmp_path / "none" / "pose.onnx").exists()
