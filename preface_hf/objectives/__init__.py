"""The pretraining methods."""
