"""Sessions that run exported networks with ONNX Runtime, ncnn or TensorRT."""
