"""The same slide with the same weights, by histoserve and by the peers' own code."""
