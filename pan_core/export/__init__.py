"""ONNX files of the recogniser, and the proof that they compute what torch computes."""
