"""Exports a trained model with its raw features as a graph for ONNX Runtime."""
