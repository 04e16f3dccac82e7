"""ONNX files of the recognizer, and the proof that they compute what torch computes."""
