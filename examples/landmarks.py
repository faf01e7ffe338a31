"""Fine-tune a checkpoint to find the 68 landmarks of a face, and draw them on a video.

    python examples/landmarks.py MODEL SET OUTPUT [VIDEO]

SET has annotated landmarks, as of `preface-hf prepare helen/ SET --recipe 300w --landmarker given`.
"""

import sys

from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.predict import predict
from preface_hf.tasks.results.tables import evaluation_table


def main(model: str, data: str, output: str, video: str | None = None, steps: int | None = None) -> None:
    run = finetune(model, data, "landmarks", output_dir=output, max_steps=steps)
    print(evaluation_table(run))
    if video:
        predict(run, video, overlay=f"{output}/overlay.mp4")
        print(f"the points are drawn in {output}/overlay.mp4")


if __name__ == "__main__":
    main(*sys.argv[1:5])
