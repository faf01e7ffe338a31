"""The pretraining loop."""


class Interrupted(Exception):
    """The run was asked to stop; everything up to its last step is saved."""
