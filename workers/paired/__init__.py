"""A result held against the neighbouring section stained for the real thing: regions of interest in pairs."""
