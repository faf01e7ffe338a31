"""Downstream tasks."""
