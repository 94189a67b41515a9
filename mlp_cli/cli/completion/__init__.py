"""Completion in shells: `command` is `mlp completion`, `shells` talks to each shell's script.

`candidates` finds what may complete the values of options and arguments. The scripts are
`mlp.bash`, `mlp.zsh` and `mlp.fish`. A script asks the program, which then runs no command, and
answers with a line `type<TAB>value<TAB>help` for each candidate. If the type is `plain`, the value
is a whole word. If it is `dir` or `file`, the shell completes a path, and the value is the number
of characters in the word before the path.
"""
