"""The class of a clip out of its frames, on posteriors whose best explanation follows by thought."""

from itertools import combinations

import numpy as np
import pytest

from pan_core.datasets.taxonomy import Composition, whole
from pan_core.segments.clip_class import score_classes

ACTIONS = ("Jumping", "Running", "Walking", "Waving")
CLASSES = {
    "Running": whole("Running"),
    "Jumping": whole("Jumping"),
    "Walking": whole("Walking"),
    "LongJump": Composition("sequence", ("Running", "Jumping")),
    "JumpAndRun": Composition("sequence", ("Jumping", "Running")),
    "WalkingAndWaving": Composition("together", ("Walking", "Waving")),
}


def posteriors(*spans):
    """Log posteriors (T, A) of spans (frames, actions that hold); 0.05 is spread over the rest."""
    rows = []
    for frames, held in spans:
        row = np.full(len(ACTIONS), 0.05 / (len(ACTIONS) - len(held)))
        row[[ACTIONS.index(action) for action in held]] = 0.95 / len(held)
        rows += [row] * frames
    return np.log(rows)


def best(logs, min_frames=2):
    scores = score_classes(logs, list(CLASSES.values()), ACTIONS, min_frames=min_frames)
    assert (scores <= 1e-9).all()
    return list(CLASSES)[int(scores.argmax())]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(10, ["Running"])], "Running"),
        ([(6, ["Running"]), (4, ["Jumping"])], "LongJump"),
        ([(6, ["Jumping"]), (4, ["Running"])], "JumpAndRun"),
        ([(10, ["Walking", "Waving"])], "WalkingAndWaving"),
        ([(10, ["Walking"])], "Walking"),
        ([(8, ["Walking", "Waving"]), (2, ["Walking"])], "WalkingAndWaving"),
        ([(1, ["Running"])], "Running"),
    ],
)
def test_the_best_explanation_is_the_class(spans, expected):
    assert best(posteriors(*spans)) == expected


def test_a_part_shorter_than_allowed_explains_nothing():
    logs = posteriors((9, ["Running"]), (1, ["Jumping"]))
    assert best(logs, min_frames=1) == "LongJump"
    assert best(logs, min_frames=4) == "Running"


def test_a_perfect_explanation_scores_nothing_and_others_less():
    """Minus the divergence: of the uniform distribution over both from itself 0, of one action from it log 0.5."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log([[0.0, 0.0, 0.5, 0.5]] * 6), -50)
    scores = dict(zip(CLASSES, score_classes(logs, list(CLASSES.values()), ACTIONS, min_frames=1), strict=True))
    assert scores["WalkingAndWaving"] == pytest.approx(0)
    assert scores["Walking"] == pytest.approx(np.log(0.5))
    assert scores["Running"] == pytest.approx(-50)


@pytest.mark.parametrize("seed", range(5))
def test_a_sequence_scores_the_mean_of_its_best_cut(seed):
    logs = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), 12))
    made = Composition("sequence", ("Walking", "Jumping", "Walking"))
    cuts = [cut for cut in combinations(range(1, 12), 2) if min(np.diff([0, *cut, 12])) >= 3]
    expected = max((logs[:a, 2].sum() + logs[a:b, 0].sum() + logs[b:, 2].sum()) / 12 for a, b in cuts)
    assert score_classes(logs, [made], ACTIONS, min_frames=3)[0] == pytest.approx(expected)


def test_a_part_that_is_no_action_is_named():
    with pytest.raises(ValueError, match="Diving"):
        score_classes(posteriors((3, ["Running"])), [whole("Diving")], ACTIONS, min_frames=1)
