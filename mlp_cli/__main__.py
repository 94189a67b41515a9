"""`python -m mlp_cli` is the command `mlp`."""

from mlp_cli.cli import main

if __name__ == "__main__":
    main()
