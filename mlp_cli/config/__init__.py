"""Configurations: what they may say, and how a file becomes one.

`sections` and `choices` hold the models of the sections, and `schema` the model of the whole with
the conflicts between keys. `reading` gets the text of a file or pipe, and `yaml12` parses it.
`checking` collects all faults of a file and of `--set`, with their `places` and in the words of
`wording`. `hints` finds what was probably meant, `suggestions` says it, and `lines` writes the
lines to paste. `notes` warns of what is allowed but probably not meant, and `idle` of keys without
effect. `load` combines these, and `dumped` quickly reads what the program wrote. `describe` puts
the keys into words and into a JSON Schema, `explain` explains them on a terminal, and `text` writes
configurations for people to read. `shipped` finds the configurations that come with the program.
NumPy is never imported here.
"""
