"""Tests of the DeepLIIF training: pure and fast."""
