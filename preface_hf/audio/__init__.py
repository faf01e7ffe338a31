"""The sound of videos, on the clock of their frames."""
