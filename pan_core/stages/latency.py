"""Stage latency: time of one frame on this machine against its budget, and the verdict on each device's budget."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from pan_core.datasets.actors import Performer, render_scene
from pan_core.edge.budget_check import BudgetVerdict
from pan_core.edge.result import HERE
from pan_core.evaluation.latency import Latency, measure, measure_against
from pan_core.model.online import OnlineFeatures
from pan_core.params.load import Params
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.progress import progress_bar
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.step_network import StepNetwork
from pan_core.recognition.stream import PersonStream, StreamRecognizer
from pan_core.skeletons import convert
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.devices import judge_devices
from pan_core.workspace.result_keys import latency_key
from pan_core.workspace.training_data import read_training_data

Count = Callable[[int, int], None]
ROUNDS = 3


def run(params: Params, tracked: Run) -> dict:
    """Measure the PAN step on real poses, and the way from a picture to an action on a drawn camera.

    A part over its budget is reported here; the stage promote decides on it and keeps the champion.
    """
    network = ExportedNetwork(paths.EXPORTED / "step.onnx")
    budgets = params.latency
    with progress_bar("latency of a step", "frame") as update:
        step, step_rounds = measure_against(
            budgets.budget_step_ms, lambda: _step_latency(params, network, update), rounds=ROUNDS
        )
    with progress_bar("latency of a frame", "frame") as update:
        frame, frame_rounds = measure_against(
            budgets.budget_frame_ms, lambda: _frame_latency(params, network, update), rounds=ROUNDS
        )
    figures = {
        latency_key(part, key): value
        for part, found in (("step", step), ("frame", frame))
        for key, value in asdict(found).items()
    }
    figures |= {latency_key("step", "rounds"): step_rounds, latency_key("frame", "rounds"): frame_rounds}
    tracked.metrics(figures)
    _print_over_budget("one PAN step, features included", step, budgets.budget_step_ms)
    _print_over_budget("one frame, from picture to action", frame, budgets.budget_frame_ms)
    tracked.tag("latency.host.kind", HERE)
    devices = judge_devices(params)
    for name, verdict in devices.items():
        print(f"{name}: {verdict.reason}", flush=True)
        tracked.tag(f"latency.{name}.kind", verdict.kind)
    return {
        "kind": HERE,
        **figures,
        **_number_devices(devices),
        "devices": {n: each.as_dict() for n, each in devices.items()},
    }


def _print_over_budget(part: str, found: Latency, budget_ms: float) -> None:
    if found.p90_ms > budget_ms:
        print(
            f"{part}: p90 is {found.p90_ms:.2f} ms, the lowest of {ROUNDS} measurements, the budget in params.yaml is "
            f"{budget_ms:g} ms; such a model is not promoted: use a smaller one, measure on a machine that does nothing "
            "else, or raise the budget if the device allows it",
            flush=True,
        )


def _number_devices(devices: dict[str, BudgetVerdict]) -> dict[str, float]:
    """Numbers of the devices for MLflow; each name says its kind, so that none is taken for another."""
    return {
        f"{name}_{'measured' if verdict.count else 'predicted'}_{figure}": value
        for name, verdict in devices.items()
        for figure, value in (
            ("fps", verdict.fps), ("step_p90_ms", verdict.step_p90_ms), ("frame_p90_ms", verdict.frame_p90_ms),
            ("frames", verdict.count or None), ("dropped_share", verdict.dropped),
        )
        if value is not None
    }  # fmt: skip


def _step_latency(params: Params, network: StepNetwork, count: Count) -> Latency:
    """Features and network, one thread, on poses of the dataset one after another."""
    stream = PersonStream(network, OnlineFeatures(network.layout), pose_fps=network.rate)
    total = params.latency.warmup + params.latency.frames
    return measure(stream.update, _count_items(_real_poses(total), total, count), warmup=params.latency.warmup)


def _real_poses(total: int) -> Iterator[np.ndarray]:
    poses = read_training_data().poses
    done = 0
    while True:
        for clip_id in poses.index["clip_id"]:
            for joints in poses.clip(clip_id).joints[:1].reshape(-1, poses.layout.size, 3):
                if done == total:
                    return
                yield joints
                done += 1


def _frame_latency(params: Params, network: StepNetwork, count: Count) -> Latency:
    """Search and crops, pose network, grouping, features and recognizer, one person, one thread."""
    extractor = PoseExtractor(
        network_file(params.pose.network, quality=params.pose.quality),
        settings=ExtractionSettings(**params.pose.extraction()),
    )
    tracker, stream = extractor.tracker(), StreamRecognizer(network, pose_fps=network.rate)

    def call(frame: np.ndarray) -> None:
        stream.update([(one, convert(pose, extractor.layout, network.layout)) for one, pose in tracker.update(frame)])

    warmup = min(params.latency.warmup, params.latency.pose_frames)
    total = warmup + params.latency.pose_frames
    frames, _ = render_scene([Performer("Waving")], seed=params.seed, frames=total)
    return measure(call, _count_items(frames, total, count), warmup=warmup)


def _count_items(items: Iterator[np.ndarray] | np.ndarray, total: int, count: Count) -> Iterator[np.ndarray]:
    for done, item in enumerate(items, start=1):
        yield item
        count(done, total)
