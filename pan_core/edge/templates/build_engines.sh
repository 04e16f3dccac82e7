#!/bin/sh
# Builds the engines on the Jetson itself: an engine runs only on the kind of device and the version of TensorRT that built it.
set -eu
cd "$(dirname "$(readlink -f "$0")")/models"
trtexec=${TRTEXEC:-/usr/src/tensorrt/bin/trtexec}
[ -x "$trtexec" ] || { echo "$trtexec is not there; it comes with JetPack, or name it in TRTEXEC" >&2; exit 1; }
crop=@CROP@

# An engine and, beside it, the hash of the file that it was made from: pan-edge opens no engine of another one.
build() {
  name=$1
  shift
  rm -f "$name.engine" "$name.engine.source"
  "$trtexec" --onnx="$name.onnx" --saveEngine="$name.engine" "$@"
  sha256sum "$name.onnx" | cut -d ' ' -f 1 > "$name.engine.source"
}

# The project's own network takes crops of people, several at once, and the whole frame, upright and turned; others have one size.
any_size="--minShapes=images:1x3x64x64 --optShapes=images:1x3x${crop}x${crop} --maxShapes=images:8x3x432x432"
@POSE_ENGINES@
# The recognizer stays in single precision: its sums grow with the stream.
build step --workspace=64 @STEP_SHAPES@
echo "built; ./pan-edge check compares them with the reference"
