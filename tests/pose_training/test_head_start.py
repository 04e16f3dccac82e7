"""The strict head's start: a regression as NumPy does it, and a head that finds people before it is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.crops import cut_square, square_around
from pan_core.pose.network import PoseNetwork
from pan_core.pose.weights import load_network
from pan_core.pose_training.head_start import LeastSquares, start_strict_head
from pan_core.pose_training.train_loop import TrainingSettings, student_of

STRICT = TrainingSettings(stages=3)


@pytest.fixture(scope="module")
def teacher(pose_archive: Path) -> PoseNetwork:
    torch.set_num_threads(1)
    return load_network(pose_archive, stages=3)


@pytest.fixture(scope="module")
def features(teacher: PoseNetwork) -> torch.Tensor:
    """Of six crops of a drawn person, (6, 864, 20, 20)."""
    frames, truth = render_scene([Performer("Waving", 1, (0, 0), -90.0)], seed=1, frames=12)
    crops = [
        cut_square(frame, square_around(joints), size=160).image for frame, joints in zip(frames, truth[0], strict=True)
    ]
    with torch.no_grad():
        return teacher.backbone(torch.from_numpy(np.stack(crops[::2])).permute(0, 3, 1, 2).float())


def test_least_squares_in_batches_agree_with_numpy_on_all_rows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(3, 2, (600, 5)).astype(np.float32)
    wanted = rows @ rng.normal(size=(5, 2)) + (4, -1) + rng.normal(size=(600, 2))
    fitted = LeastSquares(5, 2)
    for part in range(3):
        chosen = slice(200 * part, 200 * part + 200)
        fitted.add(torch.from_numpy(rows[chosen]), torch.from_numpy(wanted[chosen].astype(np.float32)))
    weight, constant = fitted.solve()
    expected = np.linalg.lstsq(np.column_stack([rows, np.ones(600)]), wanted, rcond=None)[0]
    np.testing.assert_allclose(weight.numpy(), expected[:-1].T, atol=2e-3)
    np.testing.assert_allclose(constant.numpy(), expected[-1], atol=2e-2)


def test_a_channel_that_is_always_empty_does_no_harm() -> None:
    """Without the ridge its weight has no value."""
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    fitted = LeastSquares(2, 1)
    fitted.add(rows, 3 * rows[:, :1] + 1)
    weight, constant = fitted.solve()
    assert torch.isfinite(weight).all()
    assert weight[0, 0] == pytest.approx(3, abs=1e-2)
    assert constant[0] == pytest.approx(1, abs=1e-2)


def test_the_head_is_near_its_teacher_at_every_stage_before_any_step(
    teacher: PoseNetwork, features: torch.Tensor
) -> None:
    """Crops that it was not fitted to; what only drops the other weights is far off."""
    started, dropped = student_of(teacher, STRICT), student_of(teacher, STRICT)
    start_strict_head(started, teacher, features[:4].split(2))
    with torch.no_grad():
        wanted = teacher.refine(features[4:])
        near, far = (network.refine(features[4:, -384:]) for network in (started, dropped))
    for stage in range(3):
        for kind in range(2):
            spread = wanted[stage][kind].var()
            assert ((near[stage][kind] - wanted[stage][kind]) ** 2).mean() < 0.1 * spread
            assert ((far[stage][kind] - wanted[stage][kind]) ** 2).mean() > 0.3 * spread


def test_only_the_first_layers_of_the_branches_change(teacher: PoseNetwork, features: torch.Tensor) -> None:
    started, dropped = student_of(teacher, STRICT), student_of(teacher, STRICT)
    start_strict_head(started, teacher, [features])
    before = dropped.state_dict()
    changed = {name for name, value in started.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"stages.{stage}.{branch}.0.pointwise.{part}"
        for stage in range(3)
        for branch in ("affinity", "confidence")
        for part in ("weight", "bias")
    }
    maps = started.stages[1].confidence[0].pointwise.weight[:, :57]
    assert torch.equal(maps, dropped.stages[1].confidence[0].pointwise.weight[:, :57])
