"""What is counted on finished maps: cells, areas, points. Streamed, and the same as on the whole image."""
