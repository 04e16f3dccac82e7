#!/bin/sh
# Builds the engines on the Jetson itself: an engine runs only on the kind of device and the version of TensorRT that built it.
set -eu
cd "$(dirname "$(readlink -f "$0")")/models"
trtexec=${TRTEXEC:-/usr/src/tensorrt/bin/trtexec}
[ -x "$trtexec" ] || { echo "$trtexec is not there; it comes with JetPack, or name it in TRTEXEC" >&2; exit 1; }
crop=@CROP@
# Crops of people, several at once, and the whole frame, upright and turned.
"$trtexec" --onnx=pose.onnx --saveEngine=pose.engine @PRECISION@ --workspace=512 \
  --minShapes=images:1x3x64x64 --optShapes=images:1x3x${crop}x${crop} --maxShapes=images:8x3x432x432
# The recogniser stays in single precision: its sums grow with the stream.
"$trtexec" --onnx=step.onnx --saveEngine=step.engine --workspace=64 @STEP_SHAPES@
echo "built; ./pan-edge check compares both with the reference"
