"""Measurements, each comparison inside one run on one machine; `make bench` writes report.json."""
