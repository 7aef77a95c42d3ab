"""What a run will cost before it runs: seconds by stage, memory, bytes of the result."""
