"""What a connection of the Python engine does at the moment."""

from __future__ import annotations

import enum


class Doing(enum.IntEnum):
    """The state of a connection."""

    RESTING = 0  # waits until its next operation is due
    CONNECTING = 1
    SENDING = 2  # the kernel accepted part of the request
    READING = 3
    PAUSED = 4  # stopped reading because it is ahead of the line speed (paced reads only)
    STOPPED = 5
