"""Results for people: text and pictures.

`text` writes the result of a training, an evaluation or a gradient check as lines and tables, and
predictions as CSV. `figures` draws images with Matplotlib: training images as the network sees
them, and misclassified images.
"""
