"""Each figure against scikit-learn, SciPy, or a literal loop over a grid of random inputs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from refusals import refused
from scipy import stats
from sklearn import metrics as sklearn_metrics

from pan_core.errors import DataError
from pan_core.evaluation import metrics

GRID = [(clips, classes, seed) for clips in (1, 7, 200) for classes in (2, 5, 101) for seed in range(3)]


def random_clips(clips: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([clips, classes, seed])
    return rng.integers(classes, size=clips), rng.dirichlet(np.full(classes, 0.5), clips)


@pytest.mark.parametrize("clips, classes, seed", GRID)
def test_accuracy_is_that_of_scikit_learn(clips, classes, seed):
    labels, probabilities = random_clips(clips, classes, seed)
    predictions = probabilities.argmax(axis=1)
    assert metrics.accuracy(labels, predictions) == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions))


@pytest.mark.parametrize("clips, classes, seed", GRID)
def test_confusion_counts_each_pair(clips, classes, seed):
    labels, probabilities = random_clips(clips, classes, seed)
    predictions = probabilities.argmax(axis=1)
    expected = np.zeros((classes, classes), int)
    for true, said in zip(labels, predictions, strict=True):
        expected[true, said] += 1
    np.testing.assert_array_equal(metrics.confusion(labels, predictions, classes), expected)


@pytest.mark.parametrize("clips, classes, seed", GRID)
def test_class_accuracies_are_recalls(clips, classes, seed):
    labels, probabilities = random_clips(clips, classes, seed)
    predictions = probabilities.argmax(axis=1)
    matrix = metrics.confusion(labels, predictions, classes)
    expected = sklearn_metrics.recall_score(
        labels, predictions, labels=np.arange(classes), average=None, zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.class_accuracies(matrix), expected)
    assert metrics.mean_class_accuracy(matrix) == pytest.approx(np.nanmean(expected))


@pytest.mark.parametrize("clips, classes, seed", GRID)
def test_top_accuracy_by_sorting_each_clip(clips, classes, seed):
    labels, probabilities = random_clips(clips, classes, seed)
    best = [sorted(range(classes), key=lambda k, row=row: -row[k])[:5] for row in probabilities]
    expected = np.mean([label in five for label, five in zip(labels, best, strict=True)])
    assert metrics.top_accuracy(labels, probabilities) == pytest.approx(expected)


def test_interval_is_that_of_a_bootstrap_over_clips():
    rng = np.random.default_rng(3)
    labels = np.zeros(150, int)
    predictions = (rng.random(150) > 0.8).astype(int)
    ours = metrics.accuracy_interval(labels, predictions, seed=5)
    hits = (labels == predictions).astype(float)
    theirs = stats.bootstrap((hits,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0))
    assert ours.value == pytest.approx(hits.mean())
    # The mean of 150 hits moves in steps of 1/150, so two honest draws may differ by one step.
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=1.5 / 150)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=1.5 / 150)
    assert ours == metrics.accuracy_interval(labels, predictions, seed=5)


def test_interval_narrows_with_confidence_and_has_no_width_without_errors():
    labels, predictions = np.zeros(100, int), np.repeat([0, 1], [70, 30])
    wide = metrics.accuracy_interval(labels, predictions, confidence=0.99)
    narrow = metrics.accuracy_interval(labels, predictions, confidence=0.5)
    assert wide.low < narrow.low < 0.7 < narrow.high < wide.high
    perfect = metrics.accuracy_interval(labels, labels)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_observed_accuracy_reads_the_frame_at_the_exact_share(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 61, size=40)
    labels = rng.integers(4, size=40)
    frames = rng.dirichlet(np.ones(4), (40, 60))
    expected = []
    for tenth in range(1, 11):
        ends = [math.ceil(Fraction(tenth, 10) * int(length)) - 1 for length in lengths]
        expected.append(np.mean([frames[n, end].argmax() == labels[n] for n, end in enumerate(ends)]))
    np.testing.assert_allclose(metrics.observed_accuracy(labels, frames, lengths), expected)


def test_observed_accuracy_of_a_clip_recognised_from_frame_seven_of_ten():
    frames = np.zeros((1, 12, 2))
    frames[0, :6, 0] = frames[0, 6:, 1] = 1
    right = metrics.observed_accuracy(np.array([1]), frames, np.array([10]))
    assert right.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_frame_accuracy_by_looking_at_each_frame(seed):
    rng = np.random.default_rng(seed)
    said = rng.dirichlet(np.ones(3), (6, 9))
    holds = rng.random((6, 9, 3)) < 0.4
    targets = holds / np.maximum(holds.sum(axis=2, keepdims=True), 1)
    lengths = rng.integers(1, 10, size=6)
    hits = [bool(holds[n, t, said[n, t].argmax()]) for n in range(6) for t in range(lengths[n]) if holds[n, t].any()]
    assert metrics.frame_accuracy(said, targets, lengths) == pytest.approx(np.mean(hits))


def test_frame_accuracy_takes_either_of_two_actions_at_once_and_ignores_padding():
    targets = np.array([[[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]]])
    said = np.array([[[0.9, 0.1, 0], [0.1, 0.9, 0], [1.0, 0, 0]]])
    assert metrics.frame_accuracy(said, targets, np.array([2])) == 1
    assert metrics.frame_accuracy(said, targets, np.array([3])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("clips, classes, seed", GRID)
def test_calibration_by_a_loop_over_bins(clips, classes, seed):
    labels, probabilities = random_clips(clips, classes, seed)
    stated, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = 0.0
    for low in range(10):
        inside = [i for i in range(clips) if low / 10 < stated[i] <= (low + 1) / 10]
        if inside:
            error += len(inside) / clips * abs(np.mean(right[inside]) - np.mean(stated[inside]))
    result = metrics.calibration(labels, probabilities)
    assert result.error == pytest.approx(error)
    assert result.count.sum() == clips


def test_calibration_of_clips_that_are_half_as_right_as_they_say():
    probabilities = np.tile([0.8, 0.2], (10, 1))
    labels = np.repeat([0, 1], [4, 6])
    result = metrics.calibration(labels, probabilities, bins=5)
    assert result.error == pytest.approx(0.4)
    assert result.count.tolist() == [0, 0, 0, 10, 0]
    assert np.isnan(result.accuracy[0]) and result.accuracy[3] == pytest.approx(0.4)


def test_frequent_confusions_are_ordered_and_leave_out_the_diagonal_and_zeros():
    matrix = np.array([[9, 2, 0], [0, 9, 5], [1, 0, 9]])
    assert metrics.frequent_confusions(matrix) == [(1, 2, 5), (0, 1, 2), (2, 0, 1)]
    assert matrix[0, 0] == 9


def test_inputs_that_do_not_fit_are_named():
    with refused("metrics.shape", DataError) as caught:
        metrics.accuracy(np.zeros(3, int), np.zeros(2, int))
    assert "`predictions`" in str(caught.value)
    with refused("metrics.shape", DataError):
        metrics.accuracy(np.zeros(0, int), np.zeros(0, int))
    with refused("metrics.no-true-action", DataError):
        metrics.frame_accuracy(np.ones((1, 2, 2)), np.zeros((1, 2, 2)), np.array([2]))
