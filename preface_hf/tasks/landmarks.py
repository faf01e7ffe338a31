"""Landmark alignment: the 68 points of iBUG of every frame, in a prepared set whose landmarks are annotated
(`--recipe 300w --landmarker given`).

WFLW's 98 points are in another order than iBUG-68: `prepare` stores none but 68, so WFLW is measured by the metric
alone (`preface_hf.metrics.landmarks`).
"""

from __future__ import annotations

from preface_hf.tasks.base import Task


TASKS = {name: Task("landmarks", name, recipe="300w") for name in ("300w", "helen", "afw")}
