import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused

from pan_core.errors import ConfigError, DataError
from pan_core.model.pan import PanSettings
from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.checkpoint import ForeignCheckpointWarning
from pan_core.training.fit import body, build_network, fit
from pan_core.training.predict import length_batches, predict
from pan_core.training.samples import build_samples
from pan_core.training.settings import TrainSettings

SMALL = PanSettings(
    graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
    joint_units=8, pose_units=8, dropout=0.1, pooling=True,
)  # fmt: skip
QUICK = TrainSettings(epochs=4, batch=8, learning_rate=3e-3, device="cpu")


class Killed(Exception):
    """Stands for whatever ends a training from outside."""


@pytest.fixture(params=["clip", "online"])
def samples(request, sticks):
    """Training and validation samples: 16 and 8 clips of two classes."""
    clips, poses = sticks

    def build(table):
        return build_samples(table, poses, None, classes=("wave", "kick"), mode=request.param, frames=12, rate=10.0)

    return build(clips.iloc[:16]), build(clips.iloc[16:])


def train(samples, path, **changes):
    arguments = {"settings": QUICK, "model_settings": SMALL, "checkpoint": path / "c.pt", "seed": 3, **changes}
    return fit(*samples, **arguments)


def test_a_training_can_begin_with_weights_of_another(samples, tmp_path):
    """Without a step of any size the body stays what it began with, and the heads are drawn anew."""
    first = train(samples, tmp_path)
    still = dataclasses.replace(QUICK, epochs=1, learning_rate=1e-12)
    begun = train(samples, tmp_path / "b", settings=still, start=body(first.model), seed=4)
    for name, value in first.model.state_dict().items():
        same = torch.allclose(value.float(), begun.model.state_dict()[name].float(), atol=1e-6)
        if name.startswith(("class_head", "action_head")):
            assert not same, name
        elif "running" not in name and "batches" not in name:
            assert same, name


def test_weights_of_another_network_are_refused(samples, tmp_path):
    first = train(samples, tmp_path)
    with refused("start.shape", DataError):
        train(samples, tmp_path / "b", model_settings=dataclasses.replace(SMALL, hidden=8), start=body(first.model))
    with refused("start.unknown", DataError) as caught:
        train(samples, tmp_path / "b", start=body(first.model) | {"ear.weight": torch.zeros(1)})
    assert "ear.weight" in str(caught.value)


def weights(result) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in result.model.state_dict().items()}


def assert_same(one, other) -> None:
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)


def without_time(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_two_plain_actions_are_learnt(samples, tmp_path):
    result = train(samples, tmp_path, settings=dataclasses.replace(QUICK, epochs=60))
    assert result.val_accuracy == 1.0
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    predictions = predict(result.model, samples[1])
    assert (predictions.probabilities.argmax(axis=1) == samples[1].labels).all()
    assert not result.model.training


def test_history_is_logged_every_epoch(samples, tmp_path):
    rows = {}
    result = train(samples, tmp_path, log=lambda epoch, row: rows.update({epoch: row}), progress=list)
    assert [rows[epoch] for epoch in range(4)] == result.history
    assert set(rows[0]) == {
        "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"
    }  # fmt: skip
    assert result.history[result.best_epoch]["val_accuracy"] == max(row["val_accuracy"] for row in result.history)
    assert result.val_accuracy == result.history[-1]["val_accuracy"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(samples, tmp_path):
    one, two, other = (train(samples, tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert_same(one, two)
    assert not np.array_equal(weights(one)["class_head.weight"], weights(other)["class_head.weight"])


@pytest.mark.parametrize("killed_in", [0, 2, 3])
def test_a_killed_training_goes_on_to_the_weights_of_an_undisturbed_one(samples, tmp_path, killed_in):
    undisturbed = train(samples, tmp_path / "whole")
    logged = []

    def log(epoch, row):
        if epoch == killed_in and epoch not in logged:
            logged.append(epoch)
            raise Killed
        logged.append(epoch)

    with pytest.raises(Killed):
        train(samples, tmp_path / "cut", log=log)
    torch.manual_seed(99)
    continued = train(samples, tmp_path / "cut", log=log)
    assert_same(continued, undisturbed)
    assert without_time(continued.history) == without_time(undisturbed.history)
    assert logged == [*range(killed_in + 1), *range(killed_in, 4)]


def test_a_finished_training_is_returned_without_training(samples, tmp_path):
    first = train(samples, tmp_path)
    logged = []
    again = train(samples, tmp_path, log=lambda epoch, row: logged.append(epoch))
    assert logged == []
    assert_same(first, again)


def test_a_checkpoint_of_other_settings_is_not_continued(samples, tmp_path):
    train(samples, tmp_path)
    logged = []
    other = dataclasses.replace(QUICK, learning_rate=1e-3)
    with pytest.warns(ForeignCheckpointWarning):
        train(samples, tmp_path, settings=other, log=lambda epoch, row: logged.append(epoch))
    assert logged == [0, 1, 2, 3]


def test_the_callers_random_state_is_left_alone(samples, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(samples, tmp_path, settings=dataclasses.replace(QUICK, epochs=1))
    assert torch.rand(3).tolist() == expected.tolist()


def test_predictions_per_frame(samples, tmp_path):
    result = train(samples, tmp_path, settings=dataclasses.replace(QUICK, epochs=1))
    _, val = samples
    predictions = predict(result.model, val, batch=3)
    inside = np.arange(predictions.frame_probabilities.shape[1]) < val.lengths[:, None]
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(predictions.frame_probabilities.sum(axis=2), inside, atol=1e-5)
    np.testing.assert_allclose(predictions.action_probabilities.sum(axis=2), inside, atol=1e-5)
    np.testing.assert_allclose(predictions.joints_attention.sum(axis=2), inside, atol=1e-5)
    np.testing.assert_allclose(predictions.pose_attention.sum(axis=1), 1, atol=1e-5)
    last = predictions.frame_probabilities[np.arange(len(val)), val.lengths - 1]
    np.testing.assert_array_equal(predictions.probabilities, last)
    alone = predict(result.model, val.select(np.array([2])))
    np.testing.assert_allclose(alone.probabilities[0], predictions.probabilities[2], atol=1e-5)


def test_long_clips_are_scored_in_small_batches():
    """Three clips of 10,000 padded frames would be more than fit; clips of one batch have similar lengths."""
    lengths = np.array([100, 10_000, 10, 9_000, 20])
    assert [batch.tolist() for batch in length_batches(lengths, 3)] == [[2, 4, 0], [3], [1]]


@torch.inference_mode()
def test_clips_in_parts_score_as_at_once(samples, tmp_path, monkeypatch):
    _, val = samples
    model = build_network(val, SMALL).eval()
    whole = predict(model, val)
    monkeypatch.setattr("pan_core.training.predict.PART", 5)
    parts = predict(model, val)
    for name in ("frame_probabilities", "action_probabilities", "pose_attention", "joints_attention"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-5, err_msg=name)


def test_mixed_precision_learns_what_full_precision_learns(samples, tmp_path):
    """bfloat16 has 8 bits of mantissa: losses agree to about a hundredth, not exactly."""
    full, mixed = (
        train(samples, tmp_path / precision, settings=dataclasses.replace(QUICK, epochs=6, precision=precision))
        for precision in ("full", "mixed")
    )
    losses = [[row["train_loss"] for row in result.history] for result in (full, mixed)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)
    assert losses[1] != losses[0]
    assert all(value.dtype == torch.float32 for value in mixed.model.parameters())


def test_atomic_actions_are_trained_beside_the_classes(sticks, tmp_path):
    """Frames 4 to 19 of every clip are an action of their own, 10 to 29 another, the rest is unlabelled."""
    clips, poses = sticks
    spans = pd.DataFrame(
        [
            {"clip_id": row.clip_id, "start_frame": start, "end_frame": end, "label": name, "parent_label": row.label}
            for row in clips.itertuples()
            for start, end, name in ((4, 20, "begin"), (10, 30, "swing"))
        ]
    )
    both = [
        build_samples(
            part, poses, spans, classes=("wave", "kick"), actions=("begin", "swing", "end"), mode="online", rate=10.0
        )
        for part in (clips.iloc[:16], clips.iloc[16:])
    ]
    # Nothing but the time since the start of the clip tells the actions apart, so no clip is cut.
    uncut = AugmentationSettings(crop=0)
    result = train(both, tmp_path, settings=dataclasses.replace(QUICK, epochs=40, augmentation=uncut))
    early, late = (predict(result.model, both[1]).action_probabilities[:, sample] for sample in (2, 9))
    assert (early[:, 0] > late[:, 0]).all()  # "begin" is over at video frame 24
    assert (early.argmin(axis=1) == 2).all()  # "end" never held
    assert (late.argmax(axis=1) == 1).sum() >= 7  # of 8
    assert np.isfinite([list(row.values()) for row in result.history]).all()


def test_samples_that_do_not_fit_are_refused(samples, tmp_path):
    one, two = samples
    with refused("samples.mismatch", DataError) as caught:
        train((one, dataclasses.replace(two, classes=("kick", "wave"))), tmp_path)
    assert "classes" in str(caught.value)
    with refused("samples.label", DataError):
        train((dataclasses.replace(one, labels=one.labels - 1), two), tmp_path)
    with refused("samples.too-few", DataError):
        train((one.select(np.array([0])), two), tmp_path)


def test_every_fault_of_the_settings_is_named():
    with pytest.raises(ConfigError) as caught:
        TrainSettings(epochs=0, batch=1, device="tpu")
    assert caught.value.names == ("epochs", "batch", "device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")
def test_a_missing_device_is_named(samples, tmp_path):
    with refused("device.missing", ConfigError):
        train(samples, tmp_path, settings=dataclasses.replace(QUICK, device="cuda"))
