"""Mitoses from PHH3 to H&E: the reference standard that a stained neighbour gives."""
