"""What `predict` says, and how it is drawn."""
