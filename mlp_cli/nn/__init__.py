"""The mathematics of a network, in NumPy alone."""
