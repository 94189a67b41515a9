"""The command line: the only department that imports Click and prints.

`main` holds the group `mlp` and turns errors into exit codes. `train`, `eval`, `compare`, `runs`,
`gradcheck`, `download_data`, `init` and `config` hold a command each, or a group of them; `version`
is `--version`. `completion` completes command lines in shells. `options`, `config_options` and
`printing` hold what several commands share, and `signals` turns an interruption into a clean end.
`hints` and `corrections` find the line that a wrong command line was meant to be.
`storage_warnings` shows what a file system lacks, and `stack` mends a small stack.
"""
