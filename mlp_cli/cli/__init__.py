"""The command line: the only department that imports Click and prints.

`main` holds the group `mlp` and turns errors into exit codes. `train`, `eval`, `gradcheck`,
`download_data` and `config` hold a command each, or a group of them; `version` is `--version`.
`options` and `printing` hold what several commands share, and `signals` turns an interruption into
a clean end. `storage_warnings` shows what a file system lacks, and `stack` mends a small stack.
"""
