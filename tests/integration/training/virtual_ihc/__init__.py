"""Tests of the virtual Ki-67 stain that train, render or run the engine."""
