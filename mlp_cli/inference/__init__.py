"""Trained networks: loaded, and scored."""
