"""The training loop, and what is counted in it.

build        from a configuration to a trainer
trainer      epoch by epoch: chunks, validation, the best so far
steps        a chunk of minibatches as one sequence of operations
scoring      the forward pass over a split
metrics      the record of an epoch, and the scores
chance       whether a training stays at chance, and what to look at
divergence   the first bad step of a training that diverged
observer     what a training tells while it runs
"""
