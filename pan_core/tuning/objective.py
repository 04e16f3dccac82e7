"""What a study measures: validation accuracy of a short training, and the time of one frame."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pan_core.evaluation.latency import measure
from pan_core.export.onnx_file import write_onnx
from pan_core.model.online import OnlineFeatures
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.streaming import STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.params.space import Values
from pan_core.runtimes.onnx_session import open_session
from pan_core.skeletons import SkeletonLayout
from pan_core.training.checkpoint import fingerprint
from pan_core.training.fit import build_network, fit
from pan_core.training.samples import Samples
from pan_core.training.settings import TrainSettings
from pan_core.tuning.search import Report

STEPS, ROUNDS, OPSET = 100, 7, 17


@dataclass(frozen=True)
class TrialSettings:
    """Network and training of one trial."""

    network: PanSettings
    training: TrainSettings


@dataclass(frozen=True)
class Trainer:
    """Trains on the training part and measures on the validation part; holds nothing of the test part.

    Attributes:
        train: Training clips.
        val: Validation clips, of other groups.
        settings: Makes the settings of a trial out of its values.
        scratch: Folder for checkpoints, of this process alone.
    """

    train: Samples
    val: Samples
    settings: Callable[[Values], TrialSettings]
    scratch: Path

    def widths(self, values: Values) -> str:
        """What the time of a frame depends on, as one word; dropout does nothing then."""
        return fingerprint(replace(self.settings(values).network, dropout=0.0))[:16]

    def step_times(self, values: Values, others: Values) -> tuple[float, float]:
        """Times of one frame, in ms, with two networks, measured in turns."""
        pair = [build_network(self.train, self.settings(each).network) for each in (values, others)]
        return step_times(pair[0], pair[1], self.train.layout)

    def accuracy(self, values: Values, seed: int, report: Report) -> float:
        """Validation accuracy of the averaged weights at the end of a training."""
        settings = self.settings(values)
        checkpoint = self.scratch / "trial.pt"
        checkpoint.unlink(missing_ok=True)
        found = fit(
            self.train, self.val, settings=settings.training, model_settings=settings.network, checkpoint=checkpoint,
            seed=seed, log=report,
        )  # fmt: skip
        checkpoint.unlink(missing_ok=True)
        return found.val_accuracy


def step_times(network: PAN, other: PAN, layout: SkeletonLayout) -> tuple[float, float]:
    """Milliseconds of one frame, features and exported step in ONNX Runtime on one thread, with two networks.

    They take turns, and it is the median of their ratios that counts: whatever else the machine does slows both. The other's time
    is the lowest median of its rounds, since load can only add to it.
    """
    calls = [_frame_call(each, layout) for each in (network, other)]
    rounds = [[measure(call, range(STEPS), warmup=STEPS // 10).p50_ms for call in calls] for _ in range(ROUNDS)]
    times = np.array(rounds)
    lowest = float(times[:, 1].min())
    return float(np.median(times[:, 0] / times[:, 1])) * lowest, lowest


def _frame_call(network: PAN, layout: SkeletonLayout) -> Callable[[int], object]:
    step, features = StepModel(network), OnlineFeatures(layout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        write_onnx(step, step.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=OPSET)
        session = open_session(path.read_bytes())
    feed = {name: value.numpy() for name, value in zip(STEP_INPUTS, step.example(), strict=True)}
    joints, start = np.ones((1, layout.size, 3), dtype=np.float32), features.start()

    def call(_: int) -> object:
        described, _state = features.step(joints, start)
        return session.run(None, feed | {STEP_INPUTS[0]: described})

    return call
