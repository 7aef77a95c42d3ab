"""New scores of a finished result, from what it holds: other thresholds, no inference."""
