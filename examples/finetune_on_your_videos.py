"""Fine-tune a checkpoint on a prepared set with labels, by transformers' Trainer.

    python examples/finetune_on_your_videos.py MODEL SET LABEL OUTPUT
    torchrun --nproc_per_node 2 examples/finetune_on_your_videos.py MODEL SET LABEL OUTPUT

SET is what `preface-hf prepare` wrote, with the splits train and test; LABEL is one of its columns.
"""

import sys

import torch
from transformers import AutoModelForVideoClassification, Trainer, TrainingArguments

from preface_hf import PrefAceVideoProcessor
from preface_hf.tasks.results.scoring import metrics_of
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import label_space


def main(model: str, data: str, label: str, output: str, epochs: float = 10, batch_size: int = 16) -> dict:
    labels = label_space(data, label, ("train", "test"))
    processor = PrefAceVideoProcessor.from_pretrained(model)
    train = LabeledClips(data, "train", labels, processor, augment=True)
    test = LabeledClips(data, "test", labels, processor, windows=2)
    arguments = TrainingArguments(
        output, num_train_epochs=epochs, per_device_train_batch_size=batch_size, learning_rate=1e-3,
        eval_strategy="epoch", save_strategy="epoch", report_to=[],
        use_cpu=not torch.cuda.is_available(),  # without it, processes of torchrun train each for itself on CPUs
    )  # fmt: skip
    trainer = Trainer(
        AutoModelForVideoClassification.from_pretrained(model, **labels.head()), arguments, train_dataset=train,
        eval_dataset=test, processing_class=processor, compute_metrics=metrics_of(test, labels),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(output)
    return trainer.evaluate()


if __name__ == "__main__":
    print(main(*sys.argv[1:5]))
