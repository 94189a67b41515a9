"""The mathematics of a network, in NumPy alone.

network        the sizes, and the vector of all parameters
backprop       the forward and the backward pass; the derivation stands at its head
layers         a layer as one worker computes it
activations, losses, initialisers   registries of functions
normal         the tail of the normal distribution, which gelu needs
optimizers     the update rules, and the optimizer that applies them
schedules      the learning rate of each update
ops            the operations of a step, as NumPy does them; image_ops those of images
views, edges   what a network may see of an image; resampling and strokes change its pixels
buffers        types of arrays, and buffers that go together
splitmix       random bits as a function of place and key
"""
