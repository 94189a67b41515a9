"""The training loop, and what is counted in it."""
