"""Trainings in processes of their own give what one after another gives."""

import multiprocessing
import os
import signal

import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.model.pan import PanSettings
from pan_core.training.ahead import Training, fit_ahead
from pan_core.training.samples import build_samples
from pan_core.training.settings import TrainSettings

SMALL = PanSettings(
    graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
    joint_units=8, pose_units=8, dropout=0.1, pooling=True,
)  # fmt: skip


@pytest.fixture
def plan(sticks):
    """Makes a training of 16 clips with another seed."""
    clips, poses = sticks
    train, val = (
        build_samples(table, poses, None, classes=("wave", "kick"), mode="online", frames=12, rate=10.0)
        for table in (clips.iloc[:16], clips.iloc[16:])
    )

    def make(folder, seed, *, epochs=4, start=None):
        settings = TrainSettings(epochs=epochs, batch=8, learning_rate=3e-3, device="cpu")
        return Training(train, val, settings, SMALL, folder / f"{seed}.pt", seed=seed, start=start)

    return make


def weights_of(training):
    return {name: value.clone() for name, value in training.fit().model.state_dict().items()}


def test_the_networks_are_those_of_one_training_after_another(plan, tmp_path):
    rows = {1: [], 2: [], 3: []}
    ahead = [plan(tmp_path / "ahead", seed) for seed in rows]
    fit_ahead(ahead, workers=2, log=lambda one: lambda epoch, row: rows[one.seed].append((epoch, row)))
    for training in ahead:
        assert [epoch for epoch, _ in rows[training.seed]] == [0, 1, 2, 3] == list(range(training.epochs))
        found = training.fit(log=lambda *row: pytest.fail("it was finished"))
        assert [row for _, row in rows[training.seed]] == found.history
        alone = weights_of(plan(tmp_path / "alone", training.seed))
        assert all(torch.equal(value, alone[name]) for name, value in found.model.state_dict().items())
    assert not list(tmp_path.rglob("*.rows"))


def test_a_killed_process_costs_nothing_but_its_epoch(plan, tmp_path):
    rows, killed = [], []

    def log(one):
        def note(epoch, row):
            rows.append(epoch)
            if len(rows) == 3:
                for process in multiprocessing.active_children():
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)

        return note if one.seed == 1 else lambda epoch, row: None

    ahead = [plan(tmp_path / "ahead", seed, epochs=400 if seed == 1 else 2) for seed in (1, 2)]
    fit_ahead(ahead, workers=2, log=log)
    assert killed
    assert rows == list(range(400))
    alone = weights_of(plan(tmp_path / "alone", 1, epochs=400))
    assert all(torch.equal(value, alone[name]) for name, value in weights_of(ahead[0]).items())


@pytest.mark.parametrize(("count", "workers"), [(1, 2), (2, 1)])
def test_one_at_a_time_is_left_to_fit(plan, tmp_path, count, workers):
    fit_ahead([plan(tmp_path, seed) for seed in range(count)], workers=workers, log=lambda one: pytest.fail)
    assert not list(tmp_path.iterdir())


def test_rows_of_an_earlier_run_are_not_taken_for_this_one_s(plan, tmp_path):
    trainings, rows = [plan(tmp_path, seed) for seed in (1, 2)], []
    trainings[0].rows.write_text('[0, {"train_loss": 99.0}]\n[1, {"train_loss": 99.0}]\n[2, {"tr')
    fit_ahead(trainings, workers=2, log=lambda one: lambda epoch, row: rows.append(row))
    assert len(rows) == 8
    assert all(row["train_loss"] < 50 for row in rows)


def test_what_a_training_refuses_is_heard(plan, tmp_path):
    with refused("start.unknown", DataError):
        fit_ahead(
            [plan(tmp_path, seed, start={"nobody": torch.zeros(1)}) for seed in (1, 2)],
            workers=2, log=lambda one: lambda epoch, row: None,
        )  # fmt: skip
    assert not list(tmp_path.rglob("*.rows"))
