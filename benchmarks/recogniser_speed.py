"""How fast the recognizer is, on one thread and in one run, so that ratios mean something on any machine.

    python benchmarks/recogniser_speed.py [--json FILE] [--quick]

Clips a second include the features of the network. Clips are drawn at random, as many and as long as those of Penn
Action: what the joints do changes no time.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil
import torch

from pan_core.benchmark.methods import comparator
from pan_core.export.onnx_file import write_onnx
from pan_core.model.features import PoseFeatures
from pan_core.model.online import OnlineFeatures
from pan_core.model.streaming import STATE_NAMES, STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.runtimes.onnx_session import open_session
from pan_core.skeletons import PENN13
from pan_core.training.augmentation import augment
from pan_core.training.fit import build_network, fit
from pan_core.training.samples import Samples
from pan_core.workspace.recipe import project_recipe

BATCH, FRAMES, CLASSES = 32, 32, 15
MILESTONES = (10, 1_000, 100_000)
PENN_TRAINING_CLIPS = 1_258


def drawn_samples(clips: int, mode: str, rng: np.random.Generator) -> Samples:
    """Clips of random poses, of Penn Action's lengths at 15 frames a second in online mode."""
    lengths = np.full(clips, FRAMES) if mode == "clip" else rng.integers(9, 60, clips)
    rows = int(lengths.sum())
    body = rng.normal(0, 60, (1, PENN13.size, 2)) + rng.normal(0, 5, (rows, PENN13.size, 2)) + 240
    joints = np.concatenate([body, np.ones((rows, PENN13.size, 1))], axis=-1).astype(np.float32)
    classes = tuple(f"class{number}" for number in range(CLASSES))
    labels = rng.integers(0, CLASSES, clips)
    return Samples(
        joints=joints,
        holds=np.eye(CLASSES, dtype=bool)[np.repeat(labels, lengths)],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=labels,
        clip_ids=np.array([f"clip{number}" for number in range(clips)]),
        fps=np.full(clips, 15.0),
        classes=classes,
        actions=classes,
        layout=PENN13,
        mode=mode,
    )


def seconds(call: Callable[[], object], *, repeats: int) -> float:
    """Shortest of several calls after one that warms up: what else the machine does can only add to it."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


@torch.inference_mode()
def throughput(repeats: int) -> dict[str, float]:
    """Clips a second of every network, features included, and how many times PAN is faster; turns are interleaved."""
    samples = drawn_samples(BATCH, "clip", np.random.default_rng(0))
    settings = project_recipe("penn_action").network
    networks = {
        "pan": build_network(samples, settings),
        "gru": comparator("gru").build(samples, settings),
        "stgcn": comparator("stgcn").build(samples, settings),
    }
    joints, describe = samples.batch(np.arange(BATCH)).joints, PoseFeatures(PENN13, mode="clip")
    best = dict.fromkeys([*networks, "features"], float("inf"))
    for _ in range(repeats):
        for name, network in networks.items():
            network.eval()
            best[name] = min(best[name], seconds(partial(_run, network, describe, joints), repeats=1))
        best["features"] = min(best["features"], seconds(lambda: describe(joints), repeats=1))
    figures = {f"{name}_clips_per_s": BATCH / best[name] for name in networks}
    figures |= {f"{name}_params": sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    figures |= {f"pan_times_{name}": best[name] / best["pan"] for name in ("gru", "stgcn")}
    return figures | {"features_share_of_pan": best["features"] / best["pan"]}


def _run(network: torch.nn.Module, describe: PoseFeatures, joints: np.ndarray) -> object:
    return network(torch.from_numpy(describe(joints)))


def streaming(last: int) -> dict[str, float]:
    """Milliseconds of a step of a stream in ONNX Runtime around each milestone, and the memory in use there."""
    samples = drawn_samples(2, "online", np.random.default_rng(0))
    step = StepModel(build_network(samples, project_recipe("penn_action").network))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        write_onnx(step, step.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=17)
        session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    memory = {name: value.numpy() for name, value in zip(STATE_NAMES, step.example()[1:], strict=True)}
    describe = OnlineFeatures(PENN13)
    state, poses = describe.start(), samples.joints
    network_ms, whole_ms, figures = np.zeros(last), np.zeros(last), {}
    rss = {}
    for frame in range(last):
        started = time.perf_counter_ns()
        features, state = describe.step(poses[frame % len(poses)][None], state)
        described = time.perf_counter_ns()
        values = session.run(None, {STEP_INPUTS[0]: features, **memory})
        ended = time.perf_counter_ns()
        got = dict(zip(names, values, strict=True))
        memory = {name: got[f"next_{name}"] for name in STATE_NAMES}
        network_ms[frame], whole_ms[frame] = (ended - described) / 1e6, (ended - started) / 1e6
        if frame + 1 in MILESTONES:
            rss[frame + 1] = psutil.Process().memory_info().rss / 1e6
    for milestone in (m for m in MILESTONES if m <= last):
        around = slice(max(0, milestone - max(10, min(500, milestone // 2))), milestone)
        figures[f"step_ms_at_{milestone}"] = float(np.median(network_ms[around]))
        figures[f"step_with_features_ms_at_{milestone}"] = float(np.median(whole_ms[around]))
        figures[f"rss_mb_at_{milestone}"] = rss[milestone]
    return figures


def training(clips: int) -> dict[str, float]:
    """Seconds of an epoch over Penn Action's number of training clips, and of the recipe's epochs, in each mode."""
    recipe, figures = project_recipe("penn_action"), {}
    torch.set_num_threads(1)
    for mode in ("clip", "online"):
        samples = drawn_samples(clips, mode, np.random.default_rng(1))
        settings = replace(recipe.training, epochs=2, least_steps=0, device="cpu")
        with tempfile.TemporaryDirectory() as folder:
            found = fit(
                samples, None, settings=settings, model_settings=recipe.network, checkpoint=Path(folder) / "c.pt"
            )
        epoch = min(row["seconds"] for row in found.history) * PENN_TRAINING_CLIPS / clips
        figures[f"epoch_s_{mode}"] = epoch
        figures[f"training_s_{mode}"] = epoch * recipe.training.epochs
        figures[f"input_share_{mode}"] = input_seconds(samples) * PENN_TRAINING_CLIPS / clips / epoch
    return figures


def input_seconds(samples: Samples) -> float:
    """Seconds that batches, augmentation and features of one epoch take, without the network."""
    recipe, rng = project_recipe("penn_action"), np.random.default_rng(0)
    describe = PoseFeatures(samples.layout, mode=samples.mode)
    order = np.argsort(samples.lengths, kind="stable")
    batches = np.array_split(order, max(1, len(order) // recipe.training.batch))

    def epoch() -> None:
        for indices in batches:
            describe(augment(samples.batch(indices).joints, samples.layout, recipe.training.augmentation, rng))

    return seconds(epoch, repeats=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, a stream of 1,000 frames")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = throughput(repeats=3 if arguments.quick else 10)
    figures |= streaming(MILESTONES[-2] if arguments.quick else MILESTONES[-1])
    figures |= training(256 if arguments.quick else PENN_TRAINING_CLIPS)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:,.0f}" if value >= 1000 else f"{name:<{width}}  {value:.4g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
