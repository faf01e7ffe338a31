"""Rows of a prepared set, as tasks take them: labels, parts, clips."""
