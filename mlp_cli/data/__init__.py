"""Data sets: where they come from, and how they reach the network.

`dataset` loads what a configuration asks for and splits it. The data come from IDX files, which
`idx` reads and `mnist` verifies, or are drawn by `synthetic`. `download` fetches MNIST from
several mirrors, and `transfer` does a single transfer. `batches` turns rows of a split into
minibatches, whose images `distortion` distorts.
"""
