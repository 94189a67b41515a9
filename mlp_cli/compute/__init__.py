"""Who computes a step: the threads, and the kernels that run its operations."""
