"""Metrics of the downstream tasks: `evaluate.Metric`s, with intervals, that need no network."""
