"""Parameters as the library takes them, and background for any dataset."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pan_core.errors import ConfigError
from pan_core.model.pan import PanSettings
from pan_core.params.schema import ModelParams
from pan_core.skeletons import COCO17, SkeletonLayout
from pan_core.training.samples import Samples
from pan_core.workspace.training_data import background_samples, network_settings


def test_after_its_half_life_a_frame_has_half_the_weight():
    settings = network_settings(ModelParams(half_life_s=2.0, rate=10.0), mode="online", none=True)
    assert math.exp(-settings.forgetting * 20) == pytest.approx(0.5)
    assert settings.none


def test_the_paper_never_forgets_and_neither_does_clip_mode():
    assert network_settings(ModelParams(half_life_s=0.0), mode="online") == PanSettings()
    assert network_settings(ModelParams(half_life_s=2.0), mode="clip") == PanSettings()


def test_a_half_life_below_anything_is_refused():
    with pytest.raises(ConfigError, match="forgetting"):
        network_settings(ModelParams(half_life_s=1e-300), mode="online")


def samples(layout: SkeletonLayout, label: str) -> Samples:
    joints = np.random.default_rng(0).uniform(50, 200, (60, layout.size, 3)).astype(np.float32)
    return Samples(
        joints, np.ones((60, 1), dtype=bool), np.array([0, 30, 60]), np.zeros(2, dtype=int), np.array(["a", "b"]),
        np.full(2, 15.0), (label,), (label,), layout, "online",
    )  # fmt: skip


def test_background_leaves_out_what_is_a_class():
    found = background_samples(samples(COCO17, "pick"), seed=0)
    assert found is not None and len(found) == 300
    kinds = {clip_id.split("_")[1] for clip_id in found.clip_ids}
    assert "pick" not in kinds and {"stand", "sit", "phone"} <= kinds


def test_without_joints_in_common_training_goes_on_without_background(capsys):
    fingers = replace(COCO17, name="hand", joints=tuple(f"finger_{number}" for number in range(COCO17.size)))
    assert background_samples(samples(fingers, "fist"), seed=0) is None
    assert "finger" not in capsys.readouterr().err
