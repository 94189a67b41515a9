"""Data sets: fetching, reading, and preparing minibatches.

dataset       the training, validation and test images of a run
holding_out   which images are held out, and which of the others are trained on
batches       minibatches as the network sees them
distortion    random distortions of training images
idx           the file format of MNIST
mnist         names, sizes and digests of MNIST's files; replacing: which files may be replaced
synthetic     digits that the program draws itself
download      MNIST from mirrors; transfer: one file from one mirror
"""
