"""Tests of the virtual Ki-67 stain: pure and fast."""
