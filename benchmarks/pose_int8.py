"""Quantise networks that find people to int8, per channel (QDQ) with ONNX Runtime, calibrated on drawn people.

    python benchmarks/pose_int8.py [DECLARATION...] [--crops 48] [--scenes 6]

For each network of a declared model, by default of those that are built in, and each recipe it prints what the gates of the stage
export measure: the share of joints that are found (PCK@0.1) in crops and in whole frames, where a point less than the source is the
bound, and the largest difference of an output. The time of one run is measured in turns with the source's.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pan_core.datasets.actors import Performer, render_scene
from pan_core.export.check import Call, pose_differences
from pan_core.export.onnx_rewriting import fold_casts
from pan_core.export.pck import MOST_LOST, scene_pck
from pan_core.export.pose_networks import ONNX, collect_networks, pose_model
from pan_core.export.reference import record_calls
from pan_core.pose.crops import Square, square_around
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pretrained import DECLARATIONS
from pan_core.runtimes.session import open_model

FIRST_SEED = 1000
"""The gates draw people from seed 0 on; the calibration must not see them."""
ACTIONS = ("Waving", "Walking", "Squatting", "Jumping", "Running", "Punching")
PERCENTILE = {"calibrate_method": CalibrationMethod.Percentile, "extra_options": {"CalibPercentile": 99.99}}
ROUNDS = 15


class CalibrationCalls(CalibrationDataReader):
    """Inputs for the calibration, one after another."""

    def __init__(self, calls: Sequence[Call], name: str) -> None:
        self._rows = iter([{name: call[name]} for call in calls])

    def get_next(self) -> dict | None:
        return next(self._rows, None)


def drawn_people(count: int) -> Iterator[tuple[np.ndarray, Square]]:
    """Frames with a drawn person each, and the person's place."""
    for number in range(count):
        performer = Performer(ACTIONS[number % len(ACTIONS)], heading=-90.0 + 45 * (number % 3 - 1))
        film, joints = render_scene([performer], seed=FIRST_SEED + number, frames=3)
        yield film[-1], square_around(joints[0, -1])


def recipes(network: Path) -> Iterator[tuple[str, list[str], dict]]:
    """Name, convolutions that stay as they are, and settings of each recipe."""
    convolutions = [node for node in onnx.load(network).graph.node if node.op_type == "Conv"]
    grouped = [node.name for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    read = {name for node in onnx.load(network).graph.node for name in node.input}
    last = [node.name for node in convolutions if node.output[0] not in read]
    sensitive = [convolutions[0].name, *(last or [convolutions[-1].name])]
    yield "every convolution", [], {}
    yield "all but the first and the last", sensitive, {}
    if grouped:
        yield "only 1x1, but the first and the last", [*grouped, *sensitive], {}
    yield "all but the first and the last, 99.99 % of the values", sensitive, PERCENTILE


def time_in_turns(files: Sequence[Path], call: Call) -> list[float]:
    """Median milliseconds of a run of each file."""
    sessions = [open_model(file) for file in files]
    (name,), times = sessions[0].inputs, [[] for _ in sessions]
    for _ in range(ROUNDS):
        for session, spent in zip(sessions, times, strict=True):
            began = time.process_time()
            session.run({name: call[name]}, session.outputs)
            spent.append(1000 * (time.process_time() - began))
    return [float(np.median(spent)) for spent in times]


def measure(model: Path, *, crops: int, scenes: int, scratch: Path) -> None:
    """Print what every recipe does to every network of a model."""
    settings, source = ExtractionSettings(), scratch / "source"
    collect_networks(model, settings, source)
    calls = record_calls(pose_model(source), settings, drawn_people(crops), count=crops)
    before = scene_pck(pose_model(source), settings, scenes=scenes)
    print(
        f"{model.stem}: fp32 finds {100 * before.looks:.1f} % in crops, {100 * before.searches:.1f} % in frames",
        flush=True,
    )
    for path in sorted(source.glob(f"*{ONNX}")):
        ready, original = scratch / "ready.onnx", path.read_bytes()
        onnx.save(fold_casts(onnx.load(path)), scratch / "folded.onnx")
        quant_pre_process(str(scratch / "folded.onnx"), str(ready), skip_symbolic_shape=True)
        (name,) = open_model(path).inputs
        for recipe, kept, more in recipes(ready):
            quantize_static(
                ready, path, CalibrationCalls(calls[path.stem], name), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
                nodes_to_exclude=kept, **more,
            )  # fmt: skip
            found = scene_pck(pose_model(source), settings, scenes=scenes)
            lost = max(before.looks - found.looks, before.searches - found.searches)
            difference = max(pose_differences(open_model(path), calls[path.stem]).values())
            single, eight = time_in_turns([ready, path], calls[path.stem][0])
            print(
                f"  {path.stem}, {recipe}: {100 * found.looks:.1f} % in crops, {100 * found.searches:.1f} % in frames, "
                f"{'passes' if lost <= MOST_LOST else 'fails'}; differs by {difference:.2f}; "
                f"{eight:.1f} ms, fp32 {single:.1f} ms; {path.stat().st_size / 1e6:.1f} MB",
                flush=True,
            )
        path.write_bytes(original)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("declarations", type=Path, nargs="*", default=list(DECLARATIONS.values()))
    parser.add_argument("--crops", type=int, default=48, help="people for the calibration")
    parser.add_argument("--scenes", type=int, default=6, help="films of drawn people on which joints are counted")
    arguments = parser.parse_args()
    for each in arguments.declarations:
        with tempfile.TemporaryDirectory() as folder:
            measure(each, crops=arguments.crops, scenes=arguments.scenes, scratch=Path(folder))
