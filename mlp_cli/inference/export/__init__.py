"""A trained network as a file for other programs, by the suffix of the file.

`plain` turns a model into layers of plain arrays, `formats` has the table of the suffixes, and each
other module writes one format.
"""
