"""Results for people: text and pictures.

`text` writes the result of a training, an evaluation or a gradient check as lines and tables, and
predictions as CSV. `comparison` shows runs in one table and `run_list` lists them, both by
`tables`. `figures` draws images with Matplotlib: training images as the network sees them, and
misclassified images. `comparison_figures` draws runs, and `importance` which key mattered.
"""
