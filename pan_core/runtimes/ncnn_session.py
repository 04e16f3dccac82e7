"""ncnn on the processor: about twice as fast as ONNX Runtime for the convolutions of an ARM board."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ncnn
import numpy as np

from pan_core.errors import DataError
from pan_core.files import read_json


class NcnnSession:
    """`pan_core.runtimes.session.Session` of an ncnn model.

    ncnn knows no batch: pictures run one after another. An output that is not asked for costs nothing.

    Args:
        model: The `.param` file. Beside it are the weights, `.bin`, and a `.json` whose `precision` says whether layers
            may calculate in half precision, where the processor can; ncnn would by itself.
        threads: Cores to use.

    Raises:
        DataError: Where a file is missing or damaged.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        half = read_json(model.with_suffix(".json"))["precision"] == "fp16"
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.opt.use_vulkan_compute = False
        self._net.opt.use_bf16_storage = False
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(self._net.opt, name, half)
        if self._net.load_param(str(model)) or self._net.load_model(str(model.with_suffix(".bin"))):
            raise DataError(
                f"{model}: not an ncnn model with its weights in {model.with_suffix('.bin').name}; make it anew"
            )
        self.outputs = tuple(self._net.output_names())

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Outputs for some inputs, batch first."""
        rows = [self._one(dict(zip(feeds, row, strict=True)), wanted) for row in zip(*feeds.values(), strict=True)]
        return [np.stack(output) for output in zip(*rows, strict=True)]

    def _one(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        # The extractor reads these arrays when an output is asked for, so they must live until then.
        kept = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in feeds.items()}
        with self._net.create_extractor() as extractor:
            for name, value in kept.items():
                extractor.input(name, ncnn.Mat(value))
            return [np.array(self._extracted(extractor, name)) for name in wanted]

    def _extracted(self, extractor: ncnn.Extractor, name: str) -> ncnn.Mat:
        status, value = extractor.extract(name)
        if status:
            raise DataError(f"the network has no output {name!r}; it has {', '.join(self.outputs)}")
        return value
