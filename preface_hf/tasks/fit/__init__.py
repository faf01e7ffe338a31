"""Fitting: heads on frozen features, and networks by `transformers.Trainer`."""
