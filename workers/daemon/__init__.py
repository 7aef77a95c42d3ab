"""The worker's processes: a supervisor, its listeners, and the child each ring is answered in."""
