"""Two processes give the network that one gives."""

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pan_core.errors import ConfigError
from pan_core.model.pan import PanSettings
from pan_core.training.distributed import Replicas
from pan_core.training.fit import build_network, fit
from pan_core.training.predict import predict
from pan_core.training.samples import build_samples
from pan_core.training.settings import TrainSettings

SMALL = PanSettings(
    graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
    joint_units=8, pose_units=8, dropout=0.3,
)  # fmt: skip
SETTINGS = TrainSettings(epochs=3, batch=7, device="cpu")
SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def samples(sticks):
    """17 clips of unequal lengths, so that neither batches nor frames are shared out evenly."""
    clips, poses = sticks
    return build_samples(clips.iloc[:17], poses, None, classes=("wave", "kick"), mode="online", rate=10.0)


@pytest.fixture(scope="module")
def both(samples, tmp_path_factory):
    """Result of one process, and what each of two wrote."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "input.pkl").write_bytes(pickle.dumps((samples, SETTINGS, SMALL)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder)], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    alone = fit(samples, None, settings=SETTINGS, model_settings=SMALL, checkpoint=folder / "alone.pt", seed=3)
    return alone, [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_train_the_network_of_one(both, samples):
    """Compared by what they say: Adam turns rounding into a step where a weight's gradient is nearly nothing."""
    alone, ranks = both
    expected = predict(alone.model, samples).frame_probabilities
    for rank in ranks:
        network = build_network(samples, SMALL)
        network.load_state_dict(rank["weights"])
        np.testing.assert_allclose(predict(network, samples).frame_probabilities, expected, atol=1e-3)
    assert all(torch.equal(value, ranks[1]["weights"][name]) for name, value in ranks[0]["weights"].items())


def test_their_history_is_that_of_one(both):
    alone, ranks = both
    for row, expected in zip(ranks[0]["history"], alone.history, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=1e-4)
        assert row["train_accuracy"] == expected["train_accuracy"]


def test_only_the_first_logs(both):
    _, ranks = both
    assert [rank["logged"] for rank in ranks] == [[0, 1, 2], []]


def test_every_clip_has_one_process():
    parts = [Replicas(rank, 3) for rank in range(3)]
    clips = torch.arange(8)
    assert torch.cat([part.share(clips)[0] for part in parts]).tolist() == clips.tolist()
    with pytest.raises(ConfigError, match="clip for each of 3"):
        parts[0].share(clips[:2])


def test_mixed_precision_learns_what_full_precision_learns(samples, tmp_path):
    """bfloat16 has 8 bits of mantissa: losses agree to about a hundredth, not exactly."""
    full, mixed = (
        fit(
            samples, None, settings=dataclasses.replace(SETTINGS, epochs=6, precision=precision),
            model_settings=SMALL, checkpoint=tmp_path / f"{precision}.pt",
        )
        for precision in ("full", "mixed")
    )  # fmt: skip
    losses = [[row["train_loss"] for row in result.history] for result in (full, mixed)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)
    assert losses[1] != losses[0]
    assert all(value.dtype == torch.float32 for value in mixed.model.parameters())
