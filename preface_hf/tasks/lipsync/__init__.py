"""Lip synchronization: a generator that gives a face the mouth of another sound. Its labels are the videos."""

from preface_hf.tasks.base import Task


TASKS = {"lipsync": Task("lipsync", "lipsync")}
