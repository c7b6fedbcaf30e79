"""A game server without a game: `python -m deploy.quiet.responder HOST PORT` answers queries as Quake III does.

It limits their rate as the real one does (:mod:`loadgen.probe.quake3`).
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import defaultdict

from loadgen.probe.quake3 import ADDRESS_PERIOD_NS, ALL_PERIOD_NS, BURST, INFO, Bucket, answer, parse_query

_ABOUT = {
    "gamename": "loadgen",
    "protocol": "71",
    "hostname": "quiet",
    "mapname": "none",
    "sv_maxclients": "8",
    "clients": "0",
}
_VERSION = {"version": "loadgen responder"}
_MOST_BYTES = 2048


class Responder:
    """The answers of the server, and its limits."""

    def __init__(self) -> None:
        self._each: defaultdict[str, Bucket] = defaultdict(lambda: Bucket(BURST, ADDRESS_PERIOD_NS))
        self._all = Bucket(BURST, ALL_PERIOD_NS)

    def answer(self, datagram: bytes, address: str, now_ns: int) -> bytes | None:
        """The answer to a datagram of `address`; None when it is no query, or one too many."""
        asked = parse_query(datagram)
        if asked is None or self._each[address].refuses(now_ns) or self._all.refuses(now_ns):
            return None
        kind, challenge = asked
        about = _ABOUT if kind == INFO else {**_ABOUT, **_VERSION}
        return answer(kind, {**about, "challenge": challenge})


def main() -> None:
    """Answer until the process is ended."""
    host, port = sys.argv[1], int(sys.argv[2])
    responder = Responder()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        while True:
            with contextlib.suppress(OSError):  # the sender has gone
                datagram, sender = sock.recvfrom(_MOST_BYTES)
                said = responder.answer(datagram, sender[0], time.monotonic_ns())
                if said is not None:
                    sock.sendto(said, sender)


if __name__ == "__main__":
    main()
