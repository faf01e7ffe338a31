"""Lip synchronization: whether a voice and a mouth belong together. Its labels are the videos themselves."""

from preface_hf.tasks.base import Task


TASKS = {
    "sync": Task("sync", "sync"),
    "sync-lrs2": Task("sync", "sync-lrs2", recipe="lrs2"),
    "sync-grid": Task("sync", "sync-grid", recipe="grid"),
}
