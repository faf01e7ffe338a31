"""What the card of a data set says of it: license, consent, and how it was prepared."""

from __future__ import annotations

from pathlib import Path

import yaml
from huggingface_hub import DatasetCard

from preface_hf.files import is_missing
from preface_hf.hub.facts import Source


HEADING, UNFILLED = "## Consent and license", "To be filled in by the owner"  # of prepare/card.py


def hub_name(name: str) -> str:
    """`name` where it is the `org/name` of a repository, empty where it is a place on a disk."""
    return "" if is_missing(name) or Path(name).exists() else name


def read_source(data: str) -> Source:
    """A set by its folder or Hub name. What cannot be read is not stated: a card is no reason to fail."""
    folder, hub = Path(data), hub_name(data)
    license, consent = read_card(hub or folder / "README.md")
    return Source(hub or folder.name, hub, license, consent, read_options(folder / "prepare.yaml"))


def read_card(card: str | Path) -> tuple[str, str]:
    """License and consent as the owner of a set states them, empty where he does not."""
    try:
        loaded = DatasetCard.load(card, ignore_metadata_errors=True)
    # Whatever a file, YAML or the network does.
    except Exception:
        return "", ""
    license = str(loaded.data.to_dict().get("license") or "")
    consent = loaded.text.split(HEADING)[1].split("\n## ")[0].strip() if HEADING in loaded.text else ""
    # The hash of the splits stands behind the section.
    consent = consent.split("\n\nHash of the splits")[0].strip()
    return license.replace("unknown", ""), "" if consent.startswith(UNFILLED) else consent


def read_options(file: Path) -> str:
    """Recipe and landmarker of a prepared set."""
    try:
        options = yaml.safe_load(file.read_text(encoding="utf-8"))
        return f"recipe `{options['recipe']}`, landmarker `{options['landmarker']}`"
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""
