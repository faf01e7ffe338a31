"""The cards in `model_cards/` are those of the packaged settings."""

from pathlib import Path

from preface_hf.hub.settings import settings_cards


CARDS = Path(__file__).parents[2] / "model_cards"


def test_the_cards_are_up_to_date():
    cards = settings_cards()
    assert {file.stem: file.read_text(encoding="utf-8") for file in CARDS.glob("*.md")} == cards
    for text in cards.values():
        assert "**No weights are published.**" in text and "\n## Measured\nNot measured.\n" in text
        assert "model-index" not in text
