"""A run: its folder, and the program that fills it."""
