"""Metrics of the downstream tasks."""
