"""How fast a network would be on a device that is not here: the roofline of Williams et al. (2009), fitted to published figures.

Each layer takes as long as its operations or its bytes need at the device's peak, whichever is longer. No device reaches its
peak: the share that it reaches is fitted to figures that others have published. How far that is to be trusted is told by
leaving out each of those figures in turn and predicting it from the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from pan_core.export.targets import Peaks
from pan_core.runtimes.onnx_session import OnnxSession


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: Of its operator.
        operations: A multiply-add is two.
        numbers: Read and written, weights included.
    """

    name: str
    operations: float
    numbers: float


@dataclass(frozen=True)
class Anchor:
    """A published figure.

    Attributes:
        network: What was run.
        device: On what.
        peaks: Of that device in the precision that was used.
        operations: Of the network, a multiply-add is two.
        bytes: Of its weights and, roughly, what goes between layers.
        milliseconds: Published.
        source: Where.
    """

    network: str
    device: str
    peaks: Peaks
    operations: float
    bytes: float
    milliseconds: float
    source: str

    @property
    def share(self) -> float:
        """Of the device's peak that was reached."""
        return _ideal_ms(self.operations, self.bytes, self.peaks) / self.milliseconds


PI4, PI5 = Peaks(gflops=57.6, gbytes_s=12.8), Peaks(gflops=307.2, gbytes_s=17.1)
NANO = Peaks(gflops=472, gbytes_s=25.6)
PI4_INT8 = Peaks(gflops=115.2, gbytes_s=12.8)
ANCHORS = (
    Anchor("MoveNet Lightning, fp16", "Raspberry Pi 4", PI4, 0.54e9, 12e6, 186, "TensorFlow blog, August 2021; operations estimated"),
    Anchor("MoveNet Lightning, int8", "Raspberry Pi 4", PI4_INT8, 0.54e9, 6e6, 95, "the same"),
    Anchor("SSD-MobileNet v1 at 300", "Raspberry Pi 4", PI4, 2.4e9, 60e6, 83, "1.2 G multiply-adds: Howard et al. 2017"),
    Anchor("SSD-MobileNet v1 at 300", "Raspberry Pi 5", PI5, 2.4e9, 30e6, 17, "the same"),
    Anchor("YOLO26n at 640, ncnn", "Raspberry Pi 5", PI5, 5.4e9, 60e6, 67.2, "Arm Runtime for YOLO26, 2026"),
    Anchor("YOLOv8n at 640, ncnn", "Raspberry Pi 4 at 1.95 GHz", Peaks(gflops=62.4, gbytes_s=12.8), 8.7e9, 120e6, 323,
           "Q-engineering, YoloV8-ncnn-Raspberry-Pi-4"),
    Anchor("ResNet-18 at 256", "Jetson Nano", NANO, 4.7e9, 50e6, 18, "1.8 G multiply-adds at 224: He et al. 2016"),
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """The share of a peak that devices reach.

    Attributes:
        share: Geometric mean over the anchors.
        errors: By anchor, what was predicted from the others over what was published.
    """

    share: float
    errors: tuple[float, ...]

    @property
    def factor(self) -> float:
        """By so much predictions were off, up or down, in two thirds of the cases (one standard deviation of the logarithm)."""
        return math.exp(float(np.sqrt(np.mean(np.log(self.errors) ** 2))))


def fit(anchors: Sequence[Anchor] = ANCHORS) -> Fit:
    """The share by all anchors, and the error on each by the others."""
    logs = np.log([anchor.share for anchor in anchors])
    others = [np.exp((logs.sum() - log) / (len(logs) - 1)) for log in logs]
    return Fit(
        float(np.exp(logs.mean())),
        tuple(anchor.share / float(other) for anchor, other in zip(anchors, others, strict=True)),
    )


def predict_ms(layers: Sequence[Layer], peaks: Peaks, *, number_bytes: int, share: float) -> float:
    """Milliseconds of a network.

    Args:
        layers: As `count_layers` gives them.
        peaks: Of the device.
        number_bytes: Bytes of a number: 2 in half precision.
        share: Of the peaks that is reached.
    """
    return sum(_ideal_ms(layer.operations, layer.numbers * number_bytes, peaks) for layer in layers) / share


def count_layers(model: bytes, shapes: Mapping[str, Sequence[int]]) -> list[Layer]:
    """Layers of an ONNX model with their operations and the numbers that they read and write.

    Args:
        model: Content of the file.
        shapes: Sizes of its inputs, batch included.
    """
    graph = _with_all_outputs(model)
    session = OnnxSession(graph.SerializeToString())
    names = session.outputs
    feeds = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
    # Run once: shapes that a file computes, as those of padding, cannot be told without.
    sizes = {name: np.shape(value) for name, value in zip(names, session.run(feeds, names), strict=True)}
    sizes |= {name: tuple(shape) for name, shape in shapes.items()}
    sizes |= {weights.name: tuple(weights.dims) for weights in graph.graph.initializer}
    return [_layer(node, sizes) for node in graph.graph.node if node.op_type != "Constant"]


def _with_all_outputs(content: bytes) -> onnx.ModelProto:
    model = onnx.load_model_from_string(content)
    told = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output if name and name not in told
    )
    return model


def _layer(node: onnx.NodeProto, sizes: Mapping[str, tuple[int, ...]]) -> Layer:
    made = sum(math.prod(sizes.get(name, ())) for name in node.output)
    read = sum(math.prod(sizes.get(name, (0,))) for name in node.input if name)
    if node.op_type == "Conv":
        weights = sizes[node.input[1]]
        return Layer(node.op_type, 2 * made * math.prod(weights[1:]), read + made)
    if node.op_type in ("Gemm", "MatMul"):
        depth = sizes.get(node.input[0], (1,))[-1]
        return Layer(node.op_type, 2 * made * depth, read + made)
    return Layer(node.op_type, made, read + made)


def _ideal_ms(operations: float, size: float, peaks: Peaks) -> float:
    return 1000 * max(operations / (peaks.gflops * 1e9), size / (peaks.gbytes_s * 1e9))
