"""DeepLIIF: networks, losses, data and evaluation."""
