"""Where the stream of a resumed run goes on."""

from itertools import islice

import torch

from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.loop import Pretraining


def test_a_step_takes_as_many_batches_as_are_accumulated(tiny_settings, tmp_path):
    settings = {
        **tiny_settings,
        "batch_size": 3,
        "gradient_accumulation_steps": 2,
        "output_dir": str(tmp_path / "run"),
    }
    started = Pretraining(build(PretrainArguments, settings, "test"))
    whole = list(islice(started.batches(), 6))
    started.step = 2  # as after two steps and `--resume`
    late = next(started.batches())
    assert all(
        torch.equal(one, other) for one, other in zip(vars(whole[4]).values(), vars(late).values(), strict=True)
    )
    assert not torch.equal(whole[4].global_tubes, whole[2].global_tubes)
