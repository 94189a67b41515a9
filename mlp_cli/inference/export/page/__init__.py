"""The page to draw on: a trained network in one HTML file."""
