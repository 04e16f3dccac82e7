"""Temperature scaling beside scikit-learn's logistic regression, which for two classes is the same question."""

import numpy as np
import pytest
import torch
from refusals import refused
from sklearn.linear_model import LogisticRegression

from pan_core.errors import DataError
from pan_core.evaluation.metrics import calibration
from pan_core.evaluation.temperature import at_temperature, calibrate, fit_temperature
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.skeletons import PENN13
from pan_core.training.predict import predict
from pan_core.training.samples import Samples


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_two_classes_by_logistic_regression(true_temperature):
    """With logits (0, z) and no intercept, P(1) = 1 / (1 + exp(-z / T)): the coefficient is 1 / T."""
    rng = np.random.default_rng(0)
    z = rng.normal(scale=3.0, size=4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-z / true_temperature))).astype(int)
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8).fit(z[:, None], labels)
    found = fit_temperature(np.stack([np.zeros_like(z), z], axis=1), labels)
    assert found == pytest.approx(1 / regression.coef_[0, 0], rel=1e-3)
    assert found == pytest.approx(true_temperature, rel=0.1)


def test_confidences_that_are_too_high_come_down_and_no_answer_changes():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 6))
    stated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(6, p=row) for row in stated])
    # Softmax does not know what is added to a row, so logarithms of probabilities serve as logits.
    found = fit_temperature(np.log(stated**4 / (stated**4).sum(axis=1, keepdims=True)), labels)
    assert found == pytest.approx(4, rel=0.1)
    cooled = np.exp(4 * logits / found)
    cooled /= cooled.sum(axis=1, keepdims=True)
    assert (
        calibration(labels, cooled).error
        < 0.03
        < calibration(labels, stated**4 / (stated**4).sum(axis=1, keepdims=True)).error
    )


@pytest.mark.parametrize(
    ("logits", "labels", "code"),
    [
        (np.zeros((3, 2)), np.zeros(2, dtype=int), "temperature.shape"),
        (np.zeros((0, 2)), np.zeros(0, dtype=int), "temperature.shape"),
        (np.zeros(3), np.zeros(3, dtype=int), "temperature.shape"),
        (np.log([[1.0, 0.0]]), np.zeros(1, dtype=int), "temperature.not-finite"),
        (np.zeros((2, 2)), np.array([0, 2]), "temperature.label"),
        (np.zeros((2, 2)), np.array([-1, 0]), "temperature.label"),
    ],
    ids=["other length", "no clip", "one axis", "infinite", "label too large", "no label"],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_refused(logits, labels, code):
    with refused(code, DataError):
        fit_temperature(logits, labels)


def test_answers_that_are_all_right_end_at_a_bound():
    """Nothing says how sure one may be, so the answer is a bound and not infinite."""
    assert 0 < fit_temperature(np.eye(3) * 2, np.arange(3)) < 0.1


def test_few_answers_that_are_all_right_do_not_make_certain():
    """With a share d of each label spread over K classes the best mean confidence is 1 - d + d / K."""
    logits = np.tile([[2.0, 0.0, 0.0, 0.0]], (10, 1))
    found = fit_temperature(logits, np.zeros(10, dtype=int), doubt=1 / 12)
    powers = np.exp(logits[0] / found)
    assert powers[0] / powers.sum() == pytest.approx(1 - 1 / 12 + 1 / 48, abs=1e-3)


@pytest.mark.parametrize("temperature", [0.3, 2.5])
@pytest.mark.parametrize("none", [False, True])
def test_probabilities_at_another_temperature(temperature, none):
    """By the definition, from the logits."""
    logits = np.random.default_rng(3).normal(size=(20, 5))
    classes = 4 if none else 5

    def softmax(values):
        powers = np.exp(values)
        return (powers / powers.sum(axis=1, keepdims=True))[:, :classes]

    np.testing.assert_allclose(at_temperature(softmax(logits), temperature), softmax(logits / temperature), atol=1e-9)


@pytest.mark.parametrize("none", [False, True])
def test_a_calibrated_network_gives_the_same_answers_with_fitted_confidences(none):
    torch.manual_seed(0)
    settings = PanSettings(
        graph_channels=(8,), joint_heads=2, frame_channels=16, hidden=16, pose_heads=2, joint_units=8, pose_units=8,
        none=none,
    )  # fmt: skip
    model = PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=3, actions=3, settings=settings
    ).eval()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    joints = rng.uniform(50, 200, (40 * 6, 13, 3)).astype(np.float32)
    holds = np.eye(3, dtype=bool)[np.repeat(labels, 6)]
    samples = Samples(
        joints, holds, np.arange(0, 241, 6), labels, np.arange(40).astype(str), np.full(40, 15.0), ("a", "b", "c"),
        ("a", "b", "c"), PENN13, "online",
    )  # fmt: skip
    before = predict(model, samples)
    found = calibrate(model, samples)
    after = predict(model, samples)
    np.testing.assert_array_equal(before.probabilities.argmax(axis=1), after.probabilities.argmax(axis=1))
    np.testing.assert_allclose(at_temperature(before.probabilities, found["class"]), after.probabilities, atol=1e-4)

    def loss(said):
        return -np.log(said.probabilities[np.arange(40), labels]).mean()

    assert loss(after) < loss(before)


def test_clips_without_a_frame_to_fit_on_leave_the_action_head_as_it_is():
    torch.manual_seed(0)
    settings = PanSettings(graph_channels=(8,), joint_heads=2, frame_channels=16, hidden=16, pose_heads=2)
    model = PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=2, actions=2, settings=settings
    ).eval()
    joints = np.random.default_rng(0).uniform(50, 200, (8, 13, 3)).astype(np.float32)
    samples = Samples(
        joints, np.zeros((8, 2), dtype=bool), np.array([0, 4, 8]), np.array([0, 1]), np.array(["a", "b"]),
        np.full(2, 15.0), ("a", "b"), ("a", "b"), PENN13, "online",
    )  # fmt: skip
    weights = model.action_head.weight.detach().clone()
    assert calibrate(model, samples)["action"] == 1
    assert torch.equal(model.action_head.weight, weights)
