"""The entry point of the command `loadgen`."""

from __future__ import annotations

from coordinator.starting import end_at_once


def main() -> int:
    """Run the command line and return its exit code.  Ctrl-C is heeded before the command line is imported."""
    end_at_once()
    from coordinator.cli import main as command_line

    try:
        return command_line()
    finally:
        end_at_once()  # all is said; an exception while Python ends would be printed
