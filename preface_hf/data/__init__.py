"""From a prepared set to a batch."""
