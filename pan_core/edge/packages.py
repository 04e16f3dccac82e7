"""Pinned packages that a bundle needs: those that were checked, on ARM by `pan edge emulate`."""

from collections.abc import Mapping

COMMON = ("numpy==2.4.6", "opencv-python-headless==5.0.0.93")
RUNTIMES: Mapping[str, tuple[str, ...]] = {
    # Newer releases of ONNX Runtime do not start on every ARM processor.
    "onnxruntime": (
        'onnxruntime==1.20.1; platform_machine == "aarch64"',
        'onnxruntime==1.31.1; platform_machine != "aarch64"',
    ),
    "ncnn": ("ncnn==1.0.20261020",),
    "tensorrt": (),
}


def packages_of(*runtimes: str) -> list[str]:
    """Requirements of some runtimes, in pip's format."""
    return [*COMMON, *(package for runtime in runtimes for package in RUNTIMES[runtime])]
