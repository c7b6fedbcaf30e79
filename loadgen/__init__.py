"""All code that runs on a load machine, and the types that all parts of the project share."""

__version__ = "0.1.0"
"""pyproject.toml takes the version from here: asking the installed package takes longer than `--version`."""
