"""Runs the command line: ``python -m manygate`` does what ``manygate`` does."""

from manygate.cli.main import main

if __name__ == "__main__":
    main()
