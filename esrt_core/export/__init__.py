"""Export the network for other programs: ONNX, torch.export, safetensors, and the authors' own code."""
