"""Training on drawn people: the head of the paper starts as a part of the imported one, learns, and goes on."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.crops import cut_square, square_around
from pan_core.pose.network import PoseNetwork
from pan_core.pose.weights import load_network
from pan_core.pose_training.pictures import TrainingPicture, fingerprint, from_coco
from pan_core.pose_training.train_loop import TrainingSettings, fit, stage_losses, student_of

SETTINGS = TrainingSettings(stages=2, epochs=2, batch=4, size=96)


@pytest.fixture(scope="module")
def teacher(pose_archive: Path) -> PoseNetwork:
    torch.set_num_threads(1)
    return load_network(pose_archive, stages=2)


@pytest.fixture(scope="module")
def pictures() -> list[TrainingPicture]:
    frames, truth = render_scene([Performer("Waving", 1, (0, 0), -90.0)], seed=1, frames=8)
    return [TrainingPicture(frame, square_around(joints)) for frame, joints in zip(frames, truth[0], strict=True)]


def test_losses_by_hand() -> None:
    """Errors of 1 in the one learnt cell of four: the mean over learnt cells is 1, whatever stands in the others."""
    target = torch.zeros(1, 57, 2, 2)
    learnt = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    s, along = torch.full((1, 19, 2, 2), 9.0), torch.full((1, 38, 2, 2), -2.0)
    s[..., 0, 0] = 1
    losses = stage_losses([(s, along)], [target], learnt)
    assert {name: float(value) for name, value in losses.items()} == {"confidence_1": 1.0, "affinity_1": 4.0}


def test_the_strict_head_reads_the_last_features_by_the_imported_weights(teacher: PoseNetwork) -> None:
    """Where the early features are nothing, both heads say the same."""
    student = student_of(teacher, SETTINGS).eval()
    with torch.no_grad():
        last = torch.rand(1, 384, 6, 6, generator=torch.Generator().manual_seed(0))
        joined = torch.cat([torch.zeros(1, 480, 6, 6), last], dim=1)
        for own, given in zip(student.refine(last), teacher.refine(joined), strict=True):
            torch.testing.assert_close(own, given)


@pytest.mark.parametrize("told", [True, False])
def test_it_learns_and_an_interrupted_training_ends_as_one_that_was_not(
    teacher: PoseNetwork, pictures: list[TrainingPicture], tmp_path: Path, told: bool
) -> None:
    if not told:
        pictures = [TrainingPicture(p.image, p.square, np.ones((1, 18, 3)) * 40) for p in pictures]
    whole = student_of(teacher, SETTINGS)
    history = fit(whole, pictures, pictures[:4], teacher, settings=SETTINGS, checkpoint=tmp_path / "whole.pt")
    assert set(history[0]) == {
        f"{part}_{kind}_{stage}"
        for part in ("train", "held_out")
        for kind in ("confidence", "affinity")
        for stage in (1, 2)
    }
    assert history[1]["held_out_confidence_2"] < history[0]["held_out_confidence_2"]
    before = teacher.backbone.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in whole.backbone.state_dict().items())

    class Stop(Exception):
        pass

    def interrupt(epoch: int, losses: dict[str, float]) -> None:
        raise Stop

    broken, again = student_of(teacher, SETTINGS), student_of(teacher, SETTINGS)
    with pytest.raises(Stop):
        fit(
            broken,
            pictures,
            pictures[:4],
            teacher,
            settings=SETTINGS,
            checkpoint=tmp_path / "b.pt",
            after_epoch=interrupt,
        )
    resumed = fit(again, pictures, pictures[:4], teacher, settings=SETTINGS, checkpoint=tmp_path / "b.pt")
    assert resumed[0] == history[0]
    assert resumed[1] == pytest.approx(history[1], rel=1e-4)


@pytest.mark.parametrize("by_stage", [True, False])
def test_a_stage_learns_from_the_teachers_same_stage_or_from_its_last(
    teacher: PoseNetwork, pictures: list[TrainingPicture], tmp_path: Path, by_stage: bool
) -> None:
    """A student that is its teacher agrees with it stage by stage; its first stage differs from the teacher's last."""
    settings = TrainingSettings(
        strict=False, stages=2, epochs=1, batch=4, size=96, learning_rate=1e-12, by_stage=by_stage
    )
    student = student_of(teacher, settings)
    (losses,) = fit(student, pictures[:4], pictures[4:], teacher, settings=settings, checkpoint=tmp_path / "c.pt")
    assert losses["held_out_confidence_2"] == pytest.approx(0, abs=1e-9)
    assert (losses["held_out_confidence_1"] < 1e-9) == by_stage


def test_the_start_is_kept_by_the_first_steps(
    teacher: PoseNetwork, pictures: list[TrainingPicture], tmp_path: Path
) -> None:
    """After two epochs the head is nearer to its teacher than a head that only dropped weights is after as many."""
    settings = TrainingSettings(stages=2, epochs=2, batch=4, size=96)
    student = student_of(teacher, settings)
    history = fit(student, pictures, pictures, teacher, settings=settings, checkpoint=tmp_path / "c.pt")
    dropped = student_of(teacher, settings)
    images = torch.from_numpy(np.stack([cut_square(p.read(), p.square, size=96).image for p in pictures]))
    with torch.no_grad():
        features = teacher.backbone(images.permute(0, 3, 1, 2).float())
        far = stage_losses(
            dropped.refine(features[:, -384:]),
            [torch.cat(pair, dim=1) for pair in teacher.refine(features)],
            torch.ones(len(pictures), 12, 12),
        )
    for stage in (1, 2):
        assert history[-1][f"held_out_confidence_{stage}"] < 0.05 * float(far[f"confidence_{stage}"])


def test_a_checkpoint_of_another_training_is_not_taken(
    teacher: PoseNetwork, pictures: list[TrainingPicture], tmp_path: Path
) -> None:
    path = tmp_path / "c.pt"
    once = TrainingSettings(stages=1, epochs=1, batch=4, size=64)
    fit(student_of(teacher, once), pictures[:2], [], teacher, settings=once, checkpoint=path)
    with refused("pose-training.other-checkpoint"):
        other = TrainingSettings(stages=1, epochs=2, batch=4, size=64)
        fit(student_of(teacher, other), pictures[:2], [], teacher, settings=other, checkpoint=path)
    with refused("pose-training.other-checkpoint") as caught:
        fit(student_of(teacher, once), pictures[1:3], [], teacher, settings=once, checkpoint=path)
    assert "with learnt" in str(caught.value)
    with refused("pose-training.no-pictures"):
        fit(student_of(teacher, once), [], [], teacher, settings=once, checkpoint=tmp_path / "d.pt")


def test_pictures_of_coco_are_read_when_they_are_needed(tmp_path: Path) -> None:
    """A file of 960 x 720 is seen at half its size, and so are its marks."""
    image = np.full((720, 960, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), image)
    person = {"image_id": 1, "num_keypoints": 17, "keypoints": [200, 300, 2] * 17, "bbox": [100, 200, 200, 300]}
    crowd = {"image_id": 1, "num_keypoints": 0, "keypoints": [0] * 51, "bbox": [500, 0, 40, 60], "iscrowd": 1}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 960, "height": 720}],
        "annotations": [person, crowd],
    }
    (tmp_path / "marks.json").write_text(json.dumps(content))
    (picture,) = from_coco(tmp_path / "marks.json", tmp_path)
    assert picture.image == tmp_path / "1.png"
    assert picture.read().shape == (360, 480, 3)
    np.testing.assert_allclose(picture.people[0, :, :2], np.full((18, 2), (100, 150)))
    np.testing.assert_allclose(picture.square.centre, (100, 175))
    np.testing.assert_allclose(picture.unmarked, [[250, 0, 20, 30]])
    before = fingerprint([picture])
    os.utime(tmp_path / "1.png", (1, 1))
    assert fingerprint([picture]) != before
    (tmp_path / "1.png").unlink()
    with refused("pose-training.unreadable-picture"):
        picture.read()
    with refused("pose-training.picture-missing"):
        from_coco(tmp_path / "marks.json", tmp_path)
