import numpy as np
import pytest
import torch

from pan_core.training.schedule import (
    WeightAverage,
    batches_per_epoch,
    epoch_batches,
    epoch_rng,
    epochs_needed,
    one_cycle,
)


@pytest.mark.parametrize(("clips", "size"), [(100, 32), (5, 32), (33, 32), (64, 32), (257, 16)])
def test_every_clip_once_in_batches_that_are_never_tiny(clips, size):
    batches = epoch_batches(np.arange(clips), size, epoch_rng(0, 0))
    assert sorted(np.concatenate(batches)) == list(range(clips))
    assert len(batches) == batches_per_epoch(clips, size)
    assert min(len(batch) for batch in batches) >= min(size, clips)
    assert max(len(batch) for batch in batches) < 2 * size


def test_batches_hold_clips_of_similar_length():
    lengths = np.random.default_rng(0).integers(10, 300, 256)
    batches = epoch_batches(lengths, 32, epoch_rng(0, 0))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.2 * lengths.sum()


def test_order_depends_on_seed_and_epoch_only():
    def order(seed, epoch):
        return np.concatenate(epoch_batches(np.ones(50), 8, epoch_rng(seed, epoch))).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) != order(2, 3)


@pytest.mark.parametrize(
    ("clips", "least", "expected"), [(160, 0, 5), (160, 50, 5), (160, 51, 6), (160, 95, 10), (3, 7, 7)]
)
def test_few_clips_get_more_epochs(clips, least, expected):
    """160 clips are 10 batches of 16, so 5 epochs are 50 steps; 3 clips are one batch."""
    assert epochs_needed(clips, 16, epochs=5, least_steps=least) == expected


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [one_cycle(step, 100, peak=0.01, warm_up=0.2) for step in range(100)]
    assert int(np.argmax(rates)) == 20
    assert max(rates) == pytest.approx(0.01)
    assert rates[0] == pytest.approx(0.0004)
    assert rates[-1] < 1e-4
    assert (np.diff(rates[:21]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert one_cycle(0, 1, peak=0.01, warm_up=0.0) > 0


def test_the_average_follows_an_exponential_mean():
    network = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, horizon=4)
    expected = network.weight.item()
    for step in range(1, 60):
        with torch.no_grad():
            network.weight.fill_(float(step % 7))
        average.update(network)
        share = max(1 / 4, 10 / (step + 9))
        expected += share * (step % 7 - expected)
    assert average.average["weight"].item() == pytest.approx(expected, rel=1e-5)
