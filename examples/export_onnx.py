"""Export a checkpoint to ONNX, any number of clips at a time, and compare onnxruntime with torch.

    pip install preface-hf[export]
    python examples/export_onnx.py CHECKPOINT MODEL.onnx

The architecture that the checkpoint was saved from is exported: encoder, classifier or landmarks.
"""

import sys

import onnxruntime
import torch
from transformers import AutoConfig

import preface_hf


def main(checkpoint: str, file: str) -> None:
    config = AutoConfig.from_pretrained(checkpoint)
    model = getattr(preface_hf, config.architectures[0]).from_pretrained(checkpoint).eval()
    clips = torch.randn(2, config.num_frames, config.num_channels, config.image_size, config.image_size)
    batch = torch.export.Dim("batch", min=1, max=1024)
    torch.onnx.export(model, (clips,), file, dynamo=True, dynamic_shapes={"pixel_values_videos": {0: batch}})
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(clips[:1])
    found = session.run(None, {"pixel_values_videos": clips[:1].numpy()})
    for (name, value), array in zip(expected.items(), found, strict=True):
        difference = float((value - torch.from_numpy(array)).abs().max())
        print(f"{name} {tuple(array.shape)}: largest difference {difference:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
