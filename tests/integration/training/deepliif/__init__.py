"""Tests of the DeepLIIF training that train, read real data or export."""
