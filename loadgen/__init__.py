"""What runs on a load machine, and the vocabulary that every part of the project shares."""

__version__ = "0.1.0"
"""pyproject.toml takes the version from here: asking the installed package takes longer than `--version`."""
