"""Consecutive sections of one tissue, in different stains, laid onto each other."""
