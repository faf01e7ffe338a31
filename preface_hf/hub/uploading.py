"""Files to a repository: commits whose large files are kept when one breaks, and errors as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError  # type: ignore[attr-defined]


# What a push puts there, and so may delete where the new one has no such file.
OURS = ("*.safetensors", "model.safetensors.index.json", "*_preface.py", "adapter/*", "adapter_config.json",
        "figures/*", "scores-*.json", "checkpoints/*", "config.yaml", "metrics.jsonl", "data/*.parquet")  # fmt: skip
BATCH = 64  # files of a commit; the last one brings the README, so that an unfinished push never reads as a whole one
AGAIN = "what has arrived is kept there, so give the same command again"


def open_repo(api: HfApi, repo: str, repo_type: str, private: bool, adapter: bool) -> list[str]:
    """Make the repository, or check that an existing one is of this kind and as visible; returns its files."""
    try:
        info = api.repo_info(repo, repo_type=repo_type)
    except RepositoryNotFoundError:
        api.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True)
        return []
    if info.private is False and private:
        raise ValueError(f"{repo} exists and is public: add --public if all may see this, or choose another name.")
    if info.private and not private:
        raise ValueError(f"{repo} exists and is private: leave out --public, or make it public in its settings first.")
    files = [file.rfilename for file in getattr(info, "siblings", None) or []]
    other = "config.json" if adapter else "adapter_config.json"
    if repo_type == "model" and other in files:
        held, new = ("a whole model", "an adapter") if adapter else ("an adapter", "a whole model")
        raise ValueError(f"{repo} holds {held}, and this is {new}: choose another name.")
    return files


def upload(
    api: HfApi, repo: str, repo_type: str, files: dict[str, Path | bytes], old: list[str], revision: str, message: str
) -> str:
    """Commit the files, the README with the last of them; returns the name of the last commit."""
    # A name that the new push has no file for would be read beside it: other shards, another adapter.
    gone = [name for name in old if name not in files and any(fnmatch(name, pattern) for pattern in OURS)]
    names = iter(sorted(files, key=lambda name: name == "README.md"))
    commit = ""
    while batch := list(islice(names, BATCH)):
        operations = [CommitOperationAdd(name, as_upload(files[name])) for name in batch]
        last = batch[-1] == "README.md"
        deletions = [CommitOperationDelete(name) for name in gone] if last else []
        found = api.create_commit(
            repo, [*operations, *deletions], commit_message=message, repo_type=repo_type, revision=revision
        )
        commit = str(found.oid)
    return commit


def as_upload(data: Path | bytes) -> str | bytes:
    """What huggingface_hub takes."""
    return data if isinstance(data, bytes) else str(data)


@contextmanager
def one_sentence(repo: str) -> Iterator[None]:
    """Whatever the Hub or the network does, as a `ValueError` that says what to do."""
    try:
        yield
    # A large file that broke is a RuntimeError of huggingface_hub with the reason behind it.
    except (HTTPError, RuntimeError, OSError) as error:
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        raise ValueError(why(repo, error, getattr(response, "status_code", None))) from error


def why(repo: str, error: Exception, status: int | None) -> str:
    """What went wrong with a push, and how to mend it."""
    if status == 401:
        return (
            f"the Hub does not take the token for {repo}: run `hf auth login` again, or set HF_TOKEN to a valid one."
        )
    if status == 403:
        return f"the token may not write to {repo}: give one with the right to write there, or choose another name."
    if status == 404:
        return f"the Hub has no {repo} that this token may see: check the name and the token."
    reason = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    said = f"the Hub answered {status}" if status else " ".join(str(reason).split()) or type(reason).__name__
    return f"the push to {repo} broke off ({said}): {AGAIN}."
