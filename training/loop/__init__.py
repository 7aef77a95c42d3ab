"""The training loop that tasks share."""
