"""The one door to ONNX files, where training has always found it; the code is `models.onnx_export`."""

from models.onnx_export import IR_VERSION, OPSET, export_onnx

__all__ = ["IR_VERSION", "OPSET", "export_onnx"]
