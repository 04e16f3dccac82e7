"""Networks for a runtime (ONNX, ncnn, TensorRT), and the proof that they compute what torch computes."""
