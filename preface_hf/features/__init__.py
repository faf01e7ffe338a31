"""Frozen features of an encoder, and what probes read off them."""
