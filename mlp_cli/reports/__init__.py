"""Results for people: text and pictures.

`text` writes the result of a training, an evaluation or a gradient check as lines and tables, and
predictions as CSV. `comparison` and `comparison_text` show runs in one table, and `run_list`
lists them; `tables` fits tables to a width. `figures` draws images with Matplotlib: training images
as the network sees them, and misclassified images. `comparison_figures` draws runs, and
`importance` says which key mattered. `page` makes an HTML page about runs. `curve` draws a small
learning curve on a terminal.
"""
