"""Predict the latency of a network on a device: the roofline model of Williams et al. (2009), fitted to published figures.

Each layer takes as long as its operations or its bytes need at the device's peak rates, whichever is longer. No device reaches
its peak: the share that it reaches is fitted to published figures. To estimate the error, each of these figures is predicted
from the others (leave one out).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from pan_core.export.targets import PeakRates
from pan_core.runtimes.onnx_session import OnnxSession


@dataclass(frozen=True)
class Layer:
    """Cost of one layer.

    Attributes:
        name: Name of its operator.
        operations: Number of operations; a multiply-add is two.
        numbers: How many numbers it reads and writes, weights included.
    """

    name: str
    operations: float
    numbers: float


@dataclass(frozen=True)
class Anchor:
    """A published latency of a network on a device.

    Attributes:
        network: Name of the network.
        device: Name of the device.
        peaks: Peak rates of the device in the precision that was used.
        operations: Number of operations of the network; a multiply-add is two.
        bytes: Size of its weights and, roughly, of the values between its layers.
        milliseconds: Published latency.
        source: Publication.
    """

    network: str
    device: str
    peaks: PeakRates
    operations: float
    bytes: float
    milliseconds: float
    source: str

    @property
    def share(self) -> float:
        """Share of the device's peak that was reached."""
        return _ideal_ms(self.operations, self.bytes, self.peaks) / self.milliseconds


PI4, PI5 = PeakRates(gflops=57.6, gbytes_s=12.8), PeakRates(gflops=307.2, gbytes_s=17.1)
NANO = PeakRates(gflops=472, gbytes_s=25.6)
PI4_INT8 = PeakRates(gflops=115.2, gbytes_s=12.8)
ANCHORS = (
    Anchor("MoveNet Lightning, fp16", "Raspberry Pi 4", PI4, 0.54e9, 12e6, 186, "TensorFlow blog, August 2021; operations estimated"),
    Anchor("MoveNet Lightning, int8", "Raspberry Pi 4", PI4_INT8, 0.54e9, 6e6, 95, "the same"),
    Anchor("SSD-MobileNet v1 at 300", "Raspberry Pi 4", PI4, 2.4e9, 60e6, 83, "1.2 G multiply-adds: Howard et al. 2017"),
    Anchor("SSD-MobileNet v1 at 300", "Raspberry Pi 5", PI5, 2.4e9, 30e6, 17, "the same"),
    Anchor("YOLO26n at 640, ncnn", "Raspberry Pi 5", PI5, 5.4e9, 60e6, 67.2, "Arm Runtime for YOLO26, 2026"),
    Anchor("YOLOv8n at 640, ncnn", "Raspberry Pi 4 at 1.95 GHz", PeakRates(gflops=62.4, gbytes_s=12.8), 8.7e9, 120e6, 323,
           "Q-engineering, YoloV8-ncnn-Raspberry-Pi-4"),
    Anchor("ResNet-18 at 256", "Jetson Nano", NANO, 4.7e9, 50e6, 18, "1.8 G multiply-adds at 224: He et al. 2016"),
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Share of their peak that devices reach.

    Attributes:
        share: Geometric mean over the anchors.
        errors: For each anchor, the latency predicted from the others over the published one.
    """

    share: float
    errors: tuple[float, ...]

    @property
    def factor(self) -> float:
        """Error factor of predictions, up or down: one standard deviation of the logarithm, which two thirds of them keep."""
        return math.exp(float(np.sqrt(np.mean(np.log(self.errors) ** 2))))


def fit(anchors: Sequence[Anchor] = ANCHORS) -> Fit:
    """Fit the share to all anchors, and predict each anchor from the others."""
    logs = np.log([anchor.share for anchor in anchors])
    others = [np.exp((logs.sum() - log) / (len(logs) - 1)) for log in logs]
    return Fit(
        float(np.exp(logs.mean())),
        tuple(anchor.share / float(other) for anchor, other in zip(anchors, others, strict=True)),
    )


def predict_ms(layers: Sequence[Layer], peaks: PeakRates, *, number_bytes: int, share: float) -> float:
    """Predict the milliseconds of a network.

    Args:
        layers: Layers as `count_layers` returns them.
        peaks: Peak rates of the device.
        number_bytes: Bytes of a number: 2 in half precision.
        share: Share of the peak rates that the device reaches.
    """
    return sum(_ideal_ms(layer.operations, layer.numbers * number_bytes, peaks) for layer in layers) / share


def count_layers(model: bytes, shapes: Mapping[str, Sequence[int]]) -> list[Layer]:
    """Count the operations of each layer of an ONNX model, and the numbers that it reads and writes.

    Args:
        model: Content of the file.
        shapes: Shapes of its inputs, batch included.
    """
    graph = _expose_all_outputs(model)
    session = OnnxSession(graph.SerializeToString())
    names = session.outputs
    feeds = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
    # Run it once: some shapes, such as those of padding, are computed and not in the file.
    sizes = {name: np.shape(value) for name, value in zip(names, session.run(feeds, names), strict=True)}
    sizes |= {name: tuple(shape) for name, shape in shapes.items()}
    sizes |= {weights.name: tuple(weights.dims) for weights in graph.graph.initializer}
    return [_count_layer(node, sizes) for node in graph.graph.node if node.op_type != "Constant"]


def _expose_all_outputs(content: bytes) -> onnx.ModelProto:
    """The model with the results of all of its layers as outputs."""
    model = onnx.load_model_from_string(content)
    outputs = {value.name for value in model.graph.output}
    results = [name for node in model.graph.node for name in node.output if name and name not in outputs]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in results)
    return model


def _count_layer(node: onnx.NodeProto, sizes: Mapping[str, tuple[int, ...]]) -> Layer:
    written = sum(math.prod(sizes.get(name, ())) for name in node.output)
    read = sum(math.prod(sizes.get(name, (0,))) for name in node.input if name)
    if node.op_type == "Conv":
        weights = sizes[node.input[1]]
        return Layer(node.op_type, 2 * written * math.prod(weights[1:]), read + written)
    if node.op_type in ("Gemm", "MatMul"):
        depth = sizes.get(node.input[0], (1,))[-1]
        return Layer(node.op_type, 2 * written * depth, read + written)
    return Layer(node.op_type, written, read + written)


def _ideal_ms(operations: float, size: float, peaks: PeakRates) -> float:
    return 1000 * max(operations / (peaks.gflops * 1e9), size / (peaks.gbytes_s * 1e9))
