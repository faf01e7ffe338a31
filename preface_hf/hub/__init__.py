"""Runs and prepared sets on the Hugging Face Hub. Data flows one way: files of a run → facts → card → upload."""

from preface_hf.hub.pushing import push


__all__ = ["push"]
