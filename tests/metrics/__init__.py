"""Metrics beside scikit-learn and torchmetrics."""
