"""`push`: a run, a checkpoint or a prepared set to the Hub, with a card of what its files hold."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi, get_token

from preface_hf.hub.card import model_card
from preface_hf.hub.content import Files, adapter_files, model_files, read_facts, set_files, state_files
from preface_hf.hub.sources import hub_name
from preface_hf.hub.uploading import one_sentence, open_repo, upload


NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def push(
    run: str | Path,
    repo: str,
    *,
    repo_type: str = "model",
    private: bool = True,
    with_state: bool = False,
    adapter: bool = False,
    base: str = "",
    license: str = "unknown",
    revision: str = "main",
    message: str = "",
) -> str:
    """Push to the Hub; returns the commit.

    A repository that exists is updated by a new commit, where it is of the same kind (model, adapter, data set) and as
    visible as asked. Nothing is sent before all that can be checked here was. Sent are weights, code, processor,
    scores and a card; never predictions, reports or frames.

    Args:
        run: the folder of a run of `pretrain` or `finetune`, of a checkpoint, or of a prepared set.
        repo: `org/name`.
        repo_type: model, or dataset for a prepared set.
        private: whether only its owner sees it.
        with_state: with the last checkpoint of `pretrain`, for those who train on; its config.yaml names the folders
            of this machine.
        adapter: the adapter of a LoRA run alone, without merged weights.
        base: the base checkpoint by its name on the Hub.
        license: of the weights, an identifier of the Hub (`apache-2.0`).
        revision: a branch, made where there is none.
        message: of the commit.

    Raises `ValueError` for whatever the user or the network did.
    """
    check(run, repo, repo_type, base)
    files = dataset(run, with_state or adapter) if repo_type == "dataset" else model(
        run, repo, with_state, adapter, base, license
    )  # fmt: skip
    if not get_token():
        raise ValueError(f"there is no token to push to {repo} with: run `hf auth login`, or set HF_TOKEN.")
    api = HfApi()
    with one_sentence(repo):
        old = open_repo(api, repo, repo_type, private, adapter)
        if revision != "main":
            api.create_branch(repo, branch=revision, repo_type=repo_type, exist_ok=True)
            old = api.list_repo_files(repo, repo_type=repo_type, revision=revision)
        return upload(api, repo, repo_type, files, old, revision, message or f"Push {Path(run).resolve().name}")


def check(run: str | Path, repo: str, repo_type: str, base: str) -> None:
    """`ValueError` for names that cannot be."""
    for name in (repo, *([base] if base else [])):
        if not NAME.fullmatch(name) or len(name) > 96 or "--" in name or ".." in name:
            raise ValueError(f"{name!r} is no name on the Hub: give org/name, of letters, digits, `-`, `_` and `.`.")
    if repo_type not in ("model", "dataset"):
        raise ValueError(f"--repo-type {repo_type} is unknown: choose model or dataset.")
    if not Path(run).is_dir():
        raise ValueError(f"there is no folder {str(run)!r}: give the folder of a run or of a prepared set.")


def dataset(run: str | Path, of_models: bool) -> Files:
    """The files of a prepared set."""
    if of_models:
        raise ValueError("--with-state and --adapter are of runs, and this is a data set: leave them out.")
    return set_files(Path(run))


def model(run: str | Path, repo: str, with_state: bool, adapter: bool, base: str, license: str) -> Files:
    """The files of a model or an adapter, and its card."""
    folder, weights, facts = read_facts(run)
    base = base or hub_name(facts.base)
    if adapter and not base:
        raise ValueError(
            f"the adapter needs its base on the Hub, and {facts.base!r} is a folder: give --base org/name."
        )
    files = adapter_files(weights, base) if adapter else model_files(weights, facts, base)
    if with_state:
        files |= state_files(folder)
    if adapter:
        files |= {f"figures/{name}.png": data for name, data in facts.figures.items()}
    card = model_card(facts, repo, license, base, adapter)
    return files | {"README.md": str(card).encode()}
