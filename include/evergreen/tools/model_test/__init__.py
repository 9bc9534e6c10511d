"""`evergreen test`: what a model's files promise, tried on what has landed, before the loop relies on it."""
