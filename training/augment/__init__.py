"""Random changes of patches in training, each a batched function of torch and a generator."""
