"""What runs on a load machine, and the vocabulary that every part of the project shares."""

__version__ = "0.1.0"
"""The same as in pyproject.toml.  Written here, because asking the installed package takes longer than `--version`."""
