"""Networks in 8 bits or bfloat16: faster on many processors, at a cost that is measured and declared."""
