"""The UDP echo of the quiet VM: `python -m deploy.quiet.echo HOST PORT` returns each datagram to its sender."""

from __future__ import annotations

import contextlib
import socket
import sys

_MOST_BYTES = 2048


def main() -> None:
    """Answer until the process is ended."""
    host, port = sys.argv[1], int(sys.argv[2])
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        while True:
            with contextlib.suppress(OSError):  # the sender has gone
                sock.sendto(*sock.recvfrom(_MOST_BYTES))


if __name__ == "__main__":
    main()
