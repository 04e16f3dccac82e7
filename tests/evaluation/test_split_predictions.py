"""Predictions of a split survive a round trip, and those that do not fit each other are refused."""

from dataclasses import fields, replace

import numpy as np
import pytest
from refusals import refused
from sklearn.metrics import accuracy_score, recall_score

from pan_core.errors import DataError
from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.skeletons import PENN13


@pytest.fixture
def stored() -> SplitPredictions:
    """Two clips of 3 and 5 frames, three classes, two actions; the first clip's first joint was not found."""
    rng = np.random.default_rng(1)
    joints = rng.uniform(0, 100, (2, 5, 13, 3)).astype(np.float32)
    joints[0, 0, 0] = np.nan, np.nan, 0
    return SplitPredictions(
        mode="online",
        split=2,
        clip_ids=np.array(["a", "clip-b"]),
        classes=("Run", "Walk", "Grüßen"),
        actions=("Run", "Walk"),
        labels=np.array([2, 0]),
        probabilities=np.array([[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]),
        frame_probabilities=rng.dirichlet(np.ones(3), (2, 5)),
        action_probabilities=rng.dirichlet(np.ones(2), (2, 5)),
        lengths=np.array([3, 5]),
        pose_attention=rng.dirichlet(np.ones(5), 2),
        joints_attention=rng.dirichlet(np.ones(13), (2, 5)),
        joints=joints,
        layout=PENN13,
    )


def assert_same(one: SplitPredictions, other: SplitPredictions) -> None:
    for field in fields(SplitPredictions):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second)
        else:
            assert first == second, field.name


@pytest.mark.parametrize("with_targets", [True, False])
def test_round_trip(stored, tmp_path, with_targets):
    targets = np.full((2, 5, 2), 0.5) if with_targets else None
    stored = replace(stored, frame_targets=targets, explanations=-np.ones((2, 3)) if with_targets else None)
    stored.save(tmp_path / "deep" / "predictions.npz")
    assert_same(SplitPredictions.load(tmp_path / "deep" / "predictions.npz"), stored)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["predictions.npz"]


def test_predictions_are_the_most_probable_classes(stored):
    assert stored.predictions.tolist() == [2, 1]
    assert len(stored) == 2


def test_ways_to_read_the_class_by_thought(stored):
    """True classes 2 and 0. The class head says 2 and 1, the segments 0 and 0, the other network 2 and 0."""
    assert stored.clip_accuracies() == {"class head": 0.5}
    explained = replace(
        stored,
        explanations=np.array([[-0.1, -2, -3], [-0.4, -1, -0.5]]),
        whole_probabilities=np.array([[0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]),
    )
    assert explained.clip_accuracies() == {"class head": 0.5, "by segments": 0.5, "without relabelling": 1.0}


@pytest.fixture
def with_absent(predictions):
    """Six scored clips, 5 right; in two more, a Walk and a LongJump, nobody was found."""
    return replace(predictions, unscored=np.array([1, 2]))


def test_a_test_clip_without_people_is_a_mistake_in_every_accuracy(with_absent):
    """scikit-learn, given the answer "nobody" for the two clips, is the reference."""
    labels, answers = [0, 0, 1, 1, 2, 2, 1, 2], [0, 0, 1, 2, 2, 2, 9, 9]
    assert with_absent.accuracy == accuracy_score(labels, answers) == 5 / 8
    recalls = recall_score(labels, answers, labels=[0, 1, 2], average=None)
    np.testing.assert_allclose(with_absent.class_accuracies, recalls)
    assert with_absent.class_counts.tolist() == [2, 3, 3]
    assert with_absent.clip_accuracies() == {"class head": 5 / 8}
    assert with_absent.observed_accuracy[-1] == pytest.approx(5 / 8)
    interval = SplitPredictions.interval([with_absent])
    assert interval.low < interval.value == 5 / 8 < interval.high
    assert (with_absent.listed, with_absent.unscored_count, len(with_absent)) == (8, 2, 6)


def test_splits_with_and_without_absent_clips_are_counted_together(predictions, with_absent):
    assert SplitPredictions.interval([predictions, with_absent]).value == pytest.approx(10 / 14)


def test_absent_clips_are_stored(with_absent, tmp_path):
    with_absent.save(tmp_path / "predictions.npz")
    assert SplitPredictions.load(tmp_path / "predictions.npz").accuracy == 5 / 8


def test_every_fault_is_in_one_message(stored):
    with pytest.raises(DataError) as error:
        replace(stored, mode="offline", labels=np.array([0, 3]), pose_attention=np.zeros((2, 4)))
    assert "`mode`" in str(error.value)
    assert "`labels` within 0..2" in str(error.value)
    assert "Expected `pose_attention` to have shape (2, 5), but got (2, 4)" in str(error.value)


def test_length_beyond_the_frames_is_refused(stored):
    with refused("predictions.shape", DataError) as caught:
        replace(stored, lengths=np.array([3, 6]))
    assert {"`lengths`", "1..5,", "3..6"} <= set(str(caught.value).split())


def test_damaged_missing_and_foreign_files_are_explained(stored, tmp_path):
    path = tmp_path / "predictions.npz"
    with refused("predictions.missing", DataError):
        SplitPredictions.load(path)
    stored.save(path)
    path.write_bytes(path.read_bytes()[:200])
    with refused("predictions.damaged", DataError):
        SplitPredictions.load(path)
    np.savez(path, mode="clip")
    with refused("predictions.damaged", DataError):
        SplitPredictions.load(path)
