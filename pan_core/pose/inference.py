"""Run the exported pose network on pictures."""

from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.pose.maps import INPUT_NAME, require_size, require_stages, stage_output
from pan_core.runtimes.session import Opener, Session, open_model


class PoseSession:
    """The exported network up to one of its stages, on one processor core.

    Args:
        model: File written by `pan_core.pose.onnx_export.export_network`, or one of those for devices, which end at the
            stage that is wanted.
        stages: Stage whose maps are wanted; what lies behind it is cut off and costs nothing.
        threads: Cores to use. One a process is best when several clips are worked on at once.
        opener: Opens the network where it is to run.

    Raises:
        DataError: If the file is missing, is no such network, or has fewer stages.
    """

    def __init__(self, model: Path, *, stages: int, threads: int = 1, opener: Opener = open_model) -> None:
        require_stages(stages)
        self._output = stage_output(stages)
        self._session = _open_until(model, self._output, threads, opener)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Confidence maps and part affinity fields of some pictures of one size.

        Args:
            images: (B, H, W, 3) uint8, BGR, sides multiples of 8.

        Returns:
            (B, 57, H / 8, W / 8) float32, S 19 before L 38.

        Raises:
            DataError: If the shape does not fit.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise DataError(
                f"Expected pictures to have shape (B, H, W, 3), but got {images.shape}", code="pictures.shape"
            )
        require_size(*images.shape[1:3])
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        return self._session.run({INPUT_NAME: planes}, [self._output])[0]


def search_model(model: Path) -> Path:
    """The file that whole frames are searched with: beside a device's pose network lies one where that is by another stage.

    Some runtimes calculate every output of a file, and a device cannot cut one off.
    """
    own = model.with_name(f"{model.stem}_search{model.suffix}")
    return own if own.is_file() else model


def _open_until(model: Path, output: str, threads: int, opener: Opener) -> Session:
    """A session that runs up to one output and no further."""
    session = opener(_cut_off(model, output), threads=threads)
    if output not in session.outputs:
        raise DataError(
            f"{model}: Expected an output {output!r}, but got {list(session.outputs)}", code="pose-model.no-output"
        )
    return session


def _cut_off(model: Path, output: str) -> Path | bytes:
    """The model without what lies behind an output, as ONNX Runtime would run that too; other runtimes do not."""
    if model.suffix != ".onnx" or not model.is_file():
        return model
    try:
        from pan_core.pose.onnx_cut import cut_after, output_names  # late: optional
    except ImportError:  # devices have nothing to cut with, and get files that are cut already
        return model
    return model if output_names(model) == [output] else cut_after(model, [output])
