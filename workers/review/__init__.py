"""Results looked at again: whether one is still what was written, and why two differ."""
