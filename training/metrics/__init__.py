"""How close a prediction is to the truth: masks, instances, and intervals around the numbers."""
