"""Trained networks: `model` loads them and predicts, `evaluate` scores them on a split.

`against` compares networks with one of them on the same images, by the test in `mcnemar`. `export`
writes a network for other programs.
"""
