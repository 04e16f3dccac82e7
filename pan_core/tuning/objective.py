"""What a study measures: validation accuracy of a short training, and the time of one frame."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pan_core.edge.latency import measure
from pan_core.export.onnx_file import write_onnx
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.streaming import STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.onnx_session import open_session
from pan_core.training.fit import build_network, fit
from pan_core.training.samples import Samples
from pan_core.training.settings import TrainSettings
from pan_core.tuning.search import Report
from pan_core.tuning.space import Values

STEPS, ROUNDS, OPSET = 150, 5, 17


@dataclass(frozen=True)
class Settings:
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
    settings: Callable[[Values], Settings]
    scratch: Path
    _measured: dict[PanSettings, float] = field(default_factory=dict)

    def step_ms(self, values: Values) -> float:
        """Time of one frame of a network of these widths, in ms; measured once a process for each."""
        widths = self.settings(values).network
        if widths not in self._measured:
            self._measured[widths] = step_time(build_network(self.train, widths))
        return self._measured[widths]

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


def step_time(network: PAN) -> float:
    """Milliseconds of one exported step in ONNX Runtime on one thread, on this machine, features not included.

    The lowest median of some rounds: whatever else the machine does can only add to it.
    """
    step = StepModel(network)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        write_onnx(step, step.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=OPSET)
        session = open_session(path.read_bytes())
    feed = {name: value.numpy() for name, value in zip(STEP_INPUTS, step.example(), strict=True)}
    rounds = (measure(lambda _: session.run(None, feed), range(STEPS), warmup=0) for _ in range(ROUNDS))
    return min(found.p50_ms for found in rounds)
