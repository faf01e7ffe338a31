"""Fine-tune a checkpoint to classify face videos, by LoRA and transformers' Trainer.

    python examples/lora.py CHECKPOINT FOLDER OUTPUT

FOLDER has one sub-folder of face videos for each label. OUTPUT gets the adapter and, under `merged`, a model that
`pipeline("video-classification", model="OUTPUT/merged")` takes.
"""

import sys
from pathlib import Path

from transformers import Trainer, TrainingArguments

from preface_hf import PrefAceForVideoClassification, PrefAceVideoProcessor
from preface_hf.adapters import add_lora
from preface_hf.video.decoding import VIDEO_SUFFIXES


def main(checkpoint: str, folder: str, output: str, steps: int = 200, batch_size: int = 8) -> None:
    files = sorted(file for file in Path(folder).glob("*/*") if file.suffix.lower() in VIDEO_SUFFIXES)
    labels = sorted({file.parent.name for file in files})
    processor = PrefAceVideoProcessor.from_pretrained(checkpoint)
    clips = [processor(str(file), return_tensors="pt")["pixel_values_videos"][0] for file in files]
    rows = [
        {"pixel_values_videos": clip, "labels": labels.index(file.parent.name)}
        for clip, file in zip(clips, files, strict=True)
    ]
    names = dict(enumerate(labels))
    model = PrefAceForVideoClassification.from_pretrained(
        checkpoint, id2label=names, label2id={name: number for number, name in names.items()}
    )
    adapted = add_lora(model)
    adapted.print_trainable_parameters()
    arguments = TrainingArguments(
        output, max_steps=steps, per_device_train_batch_size=batch_size, learning_rate=1e-3, logging_steps=10,
        label_names=["labels"], save_strategy="no",
    )  # fmt: skip
    Trainer(adapted, arguments, train_dataset=rows, processing_class=processor).train()
    adapted.save_pretrained(output)
    merged = Path(output) / "merged"
    adapted.merge_and_unload().save_pretrained(merged)
    processor.save_pretrained(merged)
    print(f"the adapter is in {output}, the merged model in {merged}")


if __name__ == "__main__":
    main(*sys.argv[1:])
