"""Landmark alignment: the 68 points of iBUG of every frame, in a prepared set whose landmarks are annotated
(`--recipe 300w --landmarker given`).

WFLW's 98 points are in another order than iBUG-68: `prepare` stores none but 68, so WFLW is measured by the metric
alone (`preface_hf.metrics.landmarks`).
"""

from __future__ import annotations

from preface_hf.tasks.base import Task


TASKS = {
    "300w": Task("landmarks", "300w", recipe="300w"),
    **{part: Task("landmarks", part, where={"subset": part}, recipe="300w") for part in ("helen", "afw")},
}
