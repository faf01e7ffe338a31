"""Masked autoencoders: VideoMAE, and MARLIN, which adds a critic to it."""
