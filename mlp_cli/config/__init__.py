"""Configurations: what they may say, and how a file becomes one.

`sections` and `choices` hold the models of the sections, and `schema` the model of the whole with
the conflicts between keys. `yaml12` reads YAML text, `checking` collects all faults of a file and
of `--set`, in the words of `wording`, and `load` combines the two. `describe` puts the keys into
words and into a JSON Schema. `shipped` finds the configurations that come with the program. NumPy
is never imported here.
"""
