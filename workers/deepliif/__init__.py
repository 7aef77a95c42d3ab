"""What DeepLIIF's public inference code does around its networks: the grid, the cells, the score, the export."""
