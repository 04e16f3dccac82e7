"""Refinement on people who wave a hand, kick, or do one after the other: the boundary is known, and taught wrongly."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from memory_poses import MemoryPoses

from pan_core.datasets.taxonomy import Composition, whole
from pan_core.model.pan import PanSettings
from pan_core.pose.pose_set import ClipPoses
from pan_core.segments.refinement import (
    MILD,
    RefinementSettings,
    Refiner,
    aligned_boundaries,
    group_folds,
    learning_pools,
)
from pan_core.skeletons import SkeletonLayout
from pan_core.training.settings import TrainSettings

LAYOUT = SkeletonLayout(
    name="stick",
    joints=("hip", "neck", "right_hand", "left_hand", "foot"),
    bones=((0, 1), (1, 2), (1, 3), (0, 4)),
    pairs=((2, 3),),
    root=(0,),
    torso=((1,), (0,)),
)
COMPOSITIONS = {
    "wave": whole("wave"),
    "kick": whole("kick"),
    "stand": whole("stand"),
    "wave_kick": Composition("sequence", ("wave", "kick")),
}
FRAMES = 30
PEOPLE = 8
SETTINGS = RefinementSettings(
    min_segment_s=0.4,
    folds=2,
    motion_weight=0.0,
    training=TrainSettings(
        epochs=20, batch=8, learning_rate=1e-2, lambda_pose=0.2, lambda_joints=1.0, device="cpu",
        augmentation=MILD,
    ),
    network=PanSettings(
        graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=24, hidden=24, pose_heads=2,
        joint_units=8, pose_units=8, pooling=True,
    ),
)  # fmt: skip


def stick(label, border, rng):
    """One person (1, T, 5, 3); a sequence goes on to the kick at `border`."""
    body = np.array([[0, 0], [0, -1], [0.6, -0.5], [-0.6, -0.5], [0, 1.2]])
    places = np.repeat(body[None], FRAMES, axis=0) + rng.normal(0, 0.03, (FRAMES, 5, 2))
    swing = np.sin(np.arange(FRAMES) * 0.9 + rng.uniform(0, 6))
    waves = {"wave": FRAMES, "wave_kick": border}.get(label, 0)
    kicks = {"kick": 0, "wave_kick": border}.get(label, FRAMES)
    places[:waves, 2, 1] -= 0.8 + 0.4 * swing[:waves]
    places[kicks:, 4, 0] += 0.6 + 0.5 * swing[kicks:]
    places = 200 + 60 * places
    return np.concatenate([places, np.full((FRAMES, 5, 1), 0.9)], axis=-1)[None].astype(np.float32)


@pytest.fixture(scope="module")
def sticks():
    """Eight people, 3 clips each, and one more person in the test part with a sequence; borders of the sequences."""
    rng, rows, clips, borders = np.random.default_rng(0), [], {}, {}
    for group in range(PEOPLE + 1):
        for label in ("wave_kick",) if group == PEOPLE else COMPOSITIONS:
            clip_id, border = f"{label}{group}", int(rng.integers(8, 23))
            clips[clip_id] = ClipPoses(clip_id, stick(label, border, rng), 15.0, 640, 480, "drawn")
            part = "test" if group == PEOPLE else "train"
            rows.append({"clip_id": clip_id, "label": label, "group": f"g{group}", "fps": 30.0,
                         "n_frames": 2 * FRAMES, "split1": part})  # fmt: skip
            if label == "wave_kick":
                borders[clip_id] = 2 * border
    return pd.DataFrame(rows), MemoryPoses(LAYOUT, clips.values()), borders


@pytest.fixture(scope="module")
def refined(sticks, tmp_path_factory):
    clips, poses, borders = sticks
    seen = []
    refiner = Refiner(
        clips, poses, COMPOSITIONS, settings=SETTINGS, folder=tmp_path_factory.mktemp("unfinished"),
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    found = refiner.refine({clip_id: [FRAMES] for clip_id in borders}, learning_pools(clips, [1]))
    return refiner, found, seen


def test_wrong_boundaries_come_nearer_to_the_true_ones(sticks, refined):
    """Taught the middle of every clip; the networks are tiny, so that a third or more of the error goes, by the seed.

    Frames of the video are twice as many as poses: 3 poses are 6 frames.
    """
    _, _, borders = sticks
    _, found, _ = refined
    assert found.keys() == borders.keys()
    taught = [abs(FRAMES - border) for border in borders.values()]
    errors = [abs(found[clip_id][0] - border) for clip_id, border in borders.items()]
    assert np.mean(taught) > 6
    assert np.mean(errors) < 0.75 * np.mean(taught)
    assert abs(found[f"wave_kick{PEOPLE}"][0] - borders[f"wave_kick{PEOPLE}"]) <= 6, "a clip that nobody learnt from"


def test_progress_counts_every_epoch_and_nothing_is_left_behind(refined):
    """Two folds, each read forwards and backwards, 20 epochs."""
    refiner, _, seen = refined
    assert seen == [(done, 80) for done in range(1, 81)]
    assert not list(refiner.folder.rglob("*.pt"))


def test_the_same_seed_gives_the_same_boundaries(sticks, refined, tmp_path):
    clips, poses, borders = sticks
    short = replace(SETTINGS, training=replace(SETTINGS.training, epochs=1))
    once, again = (
        Refiner(clips, poses, COMPOSITIONS, settings=short, folder=tmp_path).refine(
            {clip_id: [FRAMES] for clip_id in borders}, learning_pools(clips, [1])
        )
        for _ in range(2)
    )
    assert once == again


def test_processes_beside_each_other_give_the_same_boundaries(sticks, refined, tmp_path):
    clips, poses, borders = sticks
    seen = []
    refiner = Refiner(
        clips, poses, COMPOSITIONS, settings=SETTINGS, folder=tmp_path, workers=2,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    found = refiner.refine({clip_id: [FRAMES] for clip_id in borders}, learning_pools(clips, [1]))
    assert found == refined[1]
    assert seen == [(done, 80) for done in range(1, 81)]
    assert not list(tmp_path.rglob("*.*"))


def test_boundaries_stay_where_only_one_group_could_teach(sticks, tmp_path):
    clips, poses, _ = sticks
    alone = clips[clips["group"] == "g0"]
    refiner = Refiner(alone, poses, COMPOSITIONS, settings=SETTINGS, folder=tmp_path)
    assert refiner.refine({"wave_kick0": [17]}, learning_pools(alone, [1])) == {"wave_kick0": [17]}


def test_clips_whose_group_is_not_known_are_groups_of_their_own(sticks, tmp_path):
    """With one big group of them there would be nobody to learn from."""
    clips, poses, _ = sticks
    unknown = clips[clips["split1"] == "train"].assign(group="")
    short = replace(SETTINGS, training=replace(SETTINGS.training, epochs=1))
    seen = []
    Refiner(
        unknown, poses, COMPOSITIONS, settings=short, folder=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    ).refine({f"wave_kick{group}": [FRAMES] for group in range(PEOPLE)}, learning_pools(unknown, [1]))  # fmt: skip
    assert seen[-1] == (4, 4), "two folds, forwards and backwards"


def test_no_test_clip_teaches_a_training_clip_in_any_split():
    """Nine clips in the nine combinations of parts in two splits."""
    parts = ("train", "val", "test")
    rows = [(f"{a}-{b}", a, b) for a in parts for b in parts]
    clips = pd.DataFrame(rows, columns=["clip_id", "split1", "split2"])
    by_id = clips.set_index("clip_id")
    pools = learning_pools(clips, [1, 2])
    assert sorted(clip_id for pool in pools for clip_id in pool.targets) == sorted(clips["clip_id"])
    for pool in pools:
        for target in pool.targets:
            for learner in pool.learners:
                for split in ("split1", "split2"):
                    taught = by_id.loc[target, split] != "test"
                    assert not (taught and by_id.loc[learner, split] != "train")
    learners = {target: pool.learners for pool in pools for target in pool.targets}
    assert learners["train-test"] == {"train-train", "train-val", "train-test"}
    assert learners["test-test"] == {"train-train"}


def test_unused_clips_are_aligned_but_never_teach():
    clips = pd.DataFrame({"clip_id": ["a", "b"], "split1": ["train", "unused"]})
    learners = {target: pool.learners for pool in learning_pools(clips, [1]) for target in pool.targets}
    assert learners == {"a": {"a"}, "b": {"a"}}


def test_folds_keep_groups_together():
    groups = np.array(["b", "a", "c", "a", "b", "d"])
    folds = group_folds(groups, 2, seed=0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(6))
    assert not {*groups[folds[0]]} & {*groups[folds[1]]}
    assert len(group_folds(groups, 9, seed=0)) == 4
    assert group_folds(groups[:0], 2, seed=0) == []


def test_a_clip_of_fewer_poses_than_parts_is_cut_equally():
    found = aligned_boundaries(np.zeros((1, 2)), np.zeros((1, 9)), n_frames=10, settings=SETTINGS)
    assert found == [5]
