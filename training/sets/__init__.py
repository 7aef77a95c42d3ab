"""Labelled images of every origin: their marks, their patches, their splits."""
