"""The network hog: floods the host's end of its network with UDP datagrams.  It counts sent bytes."""

from __future__ import annotations

import contextlib
import socket

from deploy.hogs.bounds import Bounds

_DATAGRAM = b"\0" * 1400
_AT_ONCE = 64


def main() -> None:
    """Send until the time is over."""
    bounds = Bounds()
    host, _, port = bounds.to.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((host, int(port)))
        while not bounds.over:
            sent = 0
            for _ in range(_AT_ONCE):
                with contextlib.suppress(OSError):  # nobody listens, or the queue is full
                    sent += sock.send(_DATAGRAM)
            bounds.did(sent)


if __name__ == "__main__":
    main()
