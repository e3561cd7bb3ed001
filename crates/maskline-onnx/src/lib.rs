//! maskline-onnx
