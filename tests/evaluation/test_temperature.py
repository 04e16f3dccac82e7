"""Temperature scaling beside scikit-learn's logistic regression, which for two classes is the same question."""

import numpy as np
import pytest
from refusals import refused
from sklearn.linear_model import LogisticRegression

from pan_core.errors import DataError
from pan_core.evaluation.metrics import calibration
from pan_core.evaluation.temperature import fit_temperature


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
