"""A push that breaks is taken up again, and every mistake is one sentence and exit code 2."""

from __future__ import annotations

from shutil import copytree

import pytest
from safetensors.torch import load_file, save_file

from preface_hf.cli import main
from preface_hf.hub import push


def test_a_broken_upload_is_resumed(hub, run):
    hub.cut_after = 100_000  # the weights are 146 KB, each picture less
    with pytest.raises(ValueError, match="the push to org/faces broke off .*give the same command again") as error:
        push(run, "org/faces", with_state=True)
    assert "\n" not in str(error.value) and hub.cuts >= 6  # huggingface_hub tries six times
    assert hub.files("org/faces") == {}, "no part of a model is seen"
    hub.cut_after = None
    push(run, "org/faces")
    assert len(hub.puts) == len(set(hub.puts)), "nothing is sent twice"
    assert hub.files("org/faces")["model.safetensors"] == (run / "final/model.safetensors").read_bytes()


def test_a_hub_that_fails_for_a_while(hub, run):
    hub.failing = 500
    with pytest.raises(ValueError, match="broke off .the Hub answered 500.: what has arrived is kept"):
        push(run, "org/faces")
    hub.failing = 0
    puts = list(hub.puts)
    assert push(run, "org/faces") and hub.puts == puts


def test_without_a_network(hub, run):
    hub.shutdown(), hub.server_close()
    with pytest.raises(ValueError, match="the push to org/faces broke off"):
        push(run, "org/faces")


def test_the_same_again_makes_no_commit_and_other_weights_do(hub, run, tmp_path):
    first = push(run, "org/faces")
    assert push(run, "org/faces") == first
    commits = hub.repos["models", "org/faces"].commits
    hub.files("org/faces")["model-00001-of-00002.safetensors"] = b"of an earlier push"
    copytree(run, tmp_path / "run")
    weights = tmp_path / "run/final/model.safetensors"
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    assert push(tmp_path / "run", "org/faces", message="other weights") != first
    assert "model-00001-of-00002.safetensors" not in hub.files("org/faces") and len(commits) == 3
    assert hub.repos["models", "org/faces"].messages[-1] == "other weights"


def test_a_branch(hub, run):
    push(run, "org/faces")
    push(run, "org/faces", revision="next", license="apache-2.0")
    assert b"license: apache-2.0" in hub.files("org/faces", revision="next")["README.md"]
    assert b"license: unknown" in hub.files("org/faces")["README.md"]


@pytest.mark.parametrize(
    ("token", "repo", "sentence"),
    [
        ("", "org/faces", "there is no token to push to org/faces with: run `hf auth login`"),
        ("hf_wrong", "org/faces", "the Hub does not take the token"),
        ("hf_reader", "org/faces", "the token may not write to org/faces"),
        ("hf_owner", "other/faces", "the token may not write to other/faces"),
        ("hf_owner", "faces", "'faces' is no name on the Hub: give org/name"),
        ("hf_owner", "org/a/b", "'org/a/b' is no name on the Hub"),
        ("hf_owner", "org/fa ces", "'org/fa ces' is no name on the Hub"),
    ],
)
def test_names_and_tokens(hub, run, monkeypatch, capsys, token, repo, sentence):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(SystemExit) as end:
        main(["push", str(run), repo])
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 2 and sentence in told and "Traceback" not in told


def test_folders_that_hold_no_run(hub, run, tuned, prepared, tmp_path):
    for folder, sentence in ((tmp_path, "holds no run and no checkpoint"), (tmp_path / "x", "there is no folder"),
                             (prepared, "a prepared set needs --repo-type dataset")):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            push(folder, "org/faces")
    with pytest.raises(ValueError, match="is no prepared set"):
        push(run, "org/faces", repo_type="dataset")
    with pytest.raises(ValueError, match="leave out --with-state"):
        push(tuned, "org/faces", with_state=True)
    with pytest.raises(ValueError, match="only runs of `--protocol lora` have an adapter"):
        push(run, "org/faces", adapter=True, base="org/base")
    with pytest.raises(ValueError, match="give --base org/name"):
        push(tuned, "org/faces", adapter=True)
    assert not hub.repos


def test_a_name_that_exists(hub, run, tuned):
    push(tuned, "org/adapter", adapter=True, base="org/faces")
    with pytest.raises(ValueError, match="org/adapter holds an adapter, and this is a whole model"):
        push(run, "org/adapter")
    push(run, "org/open", private=False)
    assert not hub.repos["models", "org/open"].private
    with pytest.raises(ValueError, match="org/open exists and is public: add --public"):
        push(run, "org/open")
