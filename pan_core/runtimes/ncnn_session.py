"""Sessions of ncnn on the processor, about twice as fast as ONNX Runtime for the convolutions of an ARM board."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ncnn
import numpy as np

from pan_core.errors import DataError
from pan_core.files import read_json


class NcnnSession:
    """`pan_core.runtimes.session.Session` of an ncnn model.

    ncnn has no batch: pictures run one after another. An output that is not wanted costs no time.

    Args:
        model: The `.param` file. Beside it are the weights, `.bin`, and a `.json`. If its `precision` is "fp16", layers
            calculate in half precision on processors that can; this is off otherwise, against ncnn's default.
        threads: Cores to use.

    Raises:
        DataError: If a file is missing or damaged.
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
                f"{model}: not an ncnn model with its weights in {model.with_suffix('.bin').name}; make it again",
                code="network.damaged",
            )
        self.inputs, self.outputs = tuple(self._net.input_names()), tuple(self._net.output_names())
        self.shapes: dict[str, tuple[int | str | None, ...]] = {}

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`."""
        rows = [self._run_one(dict(zip(feeds, row, strict=True)), wanted) for row in zip(*feeds.values(), strict=True)]
        return [np.stack(output) for output in zip(*rows, strict=True)]

    def _run_one(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        kept = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in feeds.items()}
        with self._net.create_extractor() as extractor:
            for name, value in kept.items():
                # A copy in ncnn's own memory: layers that work in place end the process on NumPy's.
                extractor.input(name, ncnn.Mat(value).clone())
            return [np.array(self._extract(extractor, name)) for name in wanted]

    def _extract(self, extractor: ncnn.Extractor, name: str) -> ncnn.Mat:
        status, value = extractor.extract(name)
        if status:
            raise DataError(
                f"the network has no output {name!r}; it has {', '.join(self.outputs)}", code="network.no-output"
            )
        return value
