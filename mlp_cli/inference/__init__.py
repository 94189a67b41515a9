"""Trained networks: `model` loads them and predicts, `evaluate` scores them on a split."""
