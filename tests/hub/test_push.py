"""What is pushed opens by name: through every Auto door, without the package, pinned, private, as adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from preface_hf.hub import push
from preface_hf.modeling import PrefAceForVideoClassification, PrefAceModel, PrefAceVideoProcessor


CLIP = "torch.ones(1, 4, 3, 32, 32)"


def test_a_run_opens_by_name_through_every_door(hub, clean, run):
    commit = push(run, "org/faces")
    assert hub.repos["models", "org/faces"].private and hub.repos["models", "org/faces"].branches["main"] == commit
    expected = PrefAceModel.from_pretrained(run / "final").eval()(torch.ones(1, 4, 3, 32, 32)).pooler_output
    told = clean(f"""
import json, torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoModelForVideoClassification
from transformers import AutoModelForKeypointDetection
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
options = dict(trust_remote_code=True)
assert AutoConfig.from_pretrained("org/faces", **options).hidden_size == 32
model = AutoModel.from_pretrained("org/faces", revision={commit!r}, **options).eval()
assert type(model).__module__.startswith("transformers_modules")
for door in (AutoModelForPreTraining, AutoModelForVideoClassification, AutoModelForKeypointDetection):
    door.from_pretrained("org/faces", **options)
processor = AutoVideoProcessor.from_pretrained("org/faces", **options)
assert processor(torch.zeros(9, 3, 40, 50), return_tensors="pt")["pixel_values_videos"].shape == (1, 4, 3, 32, 32)
print(json.dumps(model({CLIP}).pooler_output.tolist()))
""")
    torch.testing.assert_close(torch.tensor(json.loads(told)), expected)


@pytest.mark.slow
def test_a_fine_tuned_model_classifies_a_video_by_name(hub, clean, tuned, drawn_videos):
    video = str(sorted(drawn_videos.glob("*.mp4"))[0])
    push(tuned, "org/tuned", base="org/faces")
    told = json.loads(
        clean(f"""
import json
from transformers import pipeline
classify = pipeline("video-classification", model="org/tuned", trust_remote_code=True)
print(json.dumps([[row["label"], row["score"]] for row in classify({video!r})]))
""").splitlines()[-1]
    )
    clip = PrefAceVideoProcessor.from_pretrained(tuned)(video, return_tensors="pt")
    model = PrefAceForVideoClassification.from_pretrained(tuned).eval()
    chances = dict(zip(model.config.id2label.values(), model(**clip).logits[0].softmax(-1).tolist(), strict=True))
    assert {name: pytest.approx(score) for name, score in told} == chances


@pytest.mark.slow
def test_an_adapter_opens_on_its_base_by_name(hub, clean, run, tuned):
    push(run, "org/faces")
    push(tuned, "org/adapter", base="org/faces", adapter=True)
    push(tuned, "org/merged", base="org/faces")
    files = hub.files("org/adapter")
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "org/faces"
    assert "model.safetensors" not in files
    with torch.no_grad():
        expected = PrefAceForVideoClassification.from_pretrained(tuned).eval()(torch.ones(1, 4, 3, 32, 32)).logits
    # The lines that the card gives, without those of the processor: AutoVideoProcessor needs torchvision.
    lines = files["README.md"].decode().split("```python\n")[1].split("```")[0].splitlines()
    opened = "\n".join(line for line in lines if "processor" not in line)
    told = clean(f"""
import json, torch
{opened}
found = [model.eval()(pixel_values_videos={CLIP}).logits.tolist()]
{opened.replace('"org/adapter"', '"org/merged", subfolder="adapter"')}
found.append(model.eval()(pixel_values_videos={CLIP}).logits.tolist())
print(json.dumps(found))
""")
    for logits in json.loads(told.splitlines()[-1]):
        torch.testing.assert_close(torch.tensor(logits), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_data_set_is_streamed_into_pretrain(hub, clean, prepared):
    push(prepared, "org/set", repo_type="dataset")
    told = clean("""
from datasets import load_dataset
rows = load_dataset("org/set", split="train", streaming=True)
print(sum(1 for _ in rows.select_columns(["source"])))
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import pretrain
from tests.conftest import tiny
print(pretrain(load_arguments(None, {**tiny("org/set"), "output_dir": "streamed", "max_steps": 2})))
""", package=True)  # fmt: skip
    assert "12" in told.splitlines() and told.endswith("streamed/final")


@pytest.mark.slow
def test_whoever_trains_on_has_all_that_resume_needs(hub, clean, run, prepared, tmp_path):
    push(run, "org/faces", with_state=True)
    clean(f"""
from huggingface_hub import snapshot_download
snapshot_download("org/faces", local_dir="again", ignore_patterns=["README.md", "figures/*"])
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import pretrain
from tests.conftest import tiny
pretrain(load_arguments(None, {{**tiny({str(prepared)!r}), "output_dir": "again"}}), resume=True)
""", package=True)  # fmt: skip
    first, again = (PrefAceModel.from_pretrained(folder / "final") for folder in (run, tmp_path / "again"))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


@pytest.mark.slow
def test_push_to_hub_of_transformers_works_too(hub, clean, run):
    PrefAceModel.from_pretrained(run / "final").push_to_hub("org/by-hand")
    PrefAceVideoProcessor.from_pretrained(run / "final").push_to_hub("org/by-hand")
    told = clean('from transformers import AutoModel\n'
                 'print(type(AutoModel.from_pretrained("org/by-hand", trust_remote_code=True)).__name__)')  # fmt: skip
    assert told.endswith("PrefAceModel")


def test_a_private_model_is_of_those_who_may(hub, run):
    push(run, "org/faces")
    assert HfApi(hub.url, token="hf_reader").model_info("org/faces").private
    for token in ("hf_stranger", "hf_wrong", False):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(hub.url, token=token).model_info("org/faces")


def test_nothing_that_shows_or_names_people_is_sent(hub, run, tuned):
    push(run, "org/faces"), push(tuned, "org/tuned")
    for name in ("org/faces", "org/tuned"):
        files = hub.files(name)
        assert not [path for path in files if Path(path).suffix in (".html", ".jsonl", ".mp4")]
        held = b"".join(data for path, data in files.items() if Path(path).suffix in (".md", ".json"))
        assert str(run.parent).encode() not in held and b"id_0006" not in held
