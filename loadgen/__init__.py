"""What runs on a load machine, and the vocabulary that every part of the project shares."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("loadgen-verdict")
except PackageNotFoundError:  # pragma: no cover - a source tree that was never installed
    __version__ = "0+unknown"
