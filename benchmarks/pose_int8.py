"""Quantise the pose network to int8, per channel (QDQ) with ONNX Runtime, calibrated on people from the training videos.

    python benchmarks/pose_int8.py [CROPS]

Run it in a workspace in which the pipeline has run on videos. For each recipe it prints how its maps agree with torch's on the
reference pictures of the stage export. The widest bound there, for fp16 weights, is 0.1.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pan_core.export.reference import real_crops
from pan_core.pose.inference import PoseSession
from pan_core.pose.maps import INPUT_NAME
from pan_core.pose.pose_set import PoseSet
from pan_core.runtimes.session import open_model
from pan_core.tables import read_table
from pan_core.workspace import paths

PERCENTILE = {"calibrate_method": CalibrationMethod.Percentile, "extra_options": {"CalibPercentile": 99.99}}


class CalibrationCrops(CalibrationDataReader):
    """Pictures for the calibration, one after another."""

    def __init__(self, crops: np.ndarray) -> None:
        self._rows = iter([{INPUT_NAME: crop.transpose(2, 0, 1)[None].astype(np.float32)} for crop in crops])

    def get_next(self) -> dict | None:
        return next(self._rows, None)


def main(count: int) -> None:
    """Print the agreement of each recipe with torch.

    Args:
        count: Number of pictures for the calibration.
    """
    clips = read_table("clips", paths.VALID / "clips.parquet")
    part = next(name for name in clips.columns if name.startswith("split"))
    crops = real_crops(clips[clips[part] == "train"], PoseSet(paths.POSES), paths.RAW, count=count, size=224)
    reference = np.load(paths.REFERENCE / "crops.npz")
    source = paths.exported_for("host") / "pose.onnx"
    stage = int(open_model(source).outputs[0].removeprefix("stage"))
    with tempfile.TemporaryDirectory() as scratch:
        ready = Path(scratch) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        convolutions = [node for node in onnx.load(ready).graph.node if node.op_type == "Conv"]
        grouped = [node.name for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]
        kept = [*grouped, convolutions[0].name, *(node.name for node in convolutions if "fifth" in node.name)]
        for name, exclude, more in (
            ("every convolution, smallest to largest value", [], {}),
            ("1x1 convolutions but the last ones, smallest to largest value", kept, {}),
            ("1x1 convolutions but the last ones, 99.99 % of the values", kept, PERCENTILE),
        ):
            quantised = Path(scratch) / "int8.onnx"
            quantize_static(
                ready, quantised, CalibrationCrops(crops), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
                nodes_to_exclude=exclude, **more,
            )  # fmt: skip
            session = PoseSession(quantised, stages=stage)
            got = np.concatenate([session(image[None]) for image in reference["images"]])
            difference = np.abs(got - reference["maps"]).max()
            correlation = np.corrcoef(got.ravel(), reference["maps"].ravel())[0, 1]
            print(f"{name}: largest difference {difference:.2f}, correlation {correlation:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=int, nargs="?", default=32, help="pictures for the calibration")
    main(parser.parse_args().crops)
