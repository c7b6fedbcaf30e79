"""Quake III's out-of-band protocol over UDP, as far as a query needs it.  Pure.

A message is four bytes 0xff and a text.  `getinfo CHALLENGE` is answered by `infoResponse`, `getstatus CHALLENGE` by
`statusResponse`; the next line has keys and values (`\\key\\value...`), among them the challenge.  The players follow
in a status, one line each.  Source: `SVC_Info` and `SVC_Status` of ioquake3, code/server/sv_main.c.

A server answers such queries at a limited rate (`SVC_RateLimit`): from each address 10 at once and then one a second,
and from all addresses together 10 at once and then ten a second.  What it refuses is silence, not slowness, so a query
must stay below both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.model.units import NS_PER_MS, NS_PER_S

HEAD = b"\xff\xff\xff\xff"
INFO, STATUS = "getinfo", "getstatus"
_ANSWERS = {"infoResponse": INFO, "statusResponse": STATUS}

BURST = 10
ADDRESS_PERIOD_NS = NS_PER_S
ALL_PERIOD_NS = 100 * NS_PER_MS
"""The limits of the rate: after BURST queries, one in each period."""

_ADDRESS_INTERVAL_NS = 1_050 * NS_PER_MS
_ALL_INTERVAL_NS = 111 * NS_PER_MS  # nine a second
WANTED_ADDRESSES = 10
"""With so many addresses of its own, a prober reaches the rate for all addresses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query: its kind (INFO or STATUS) and what the server says of itself."""

    kind: str
    about: Mapping[str, str]

    @property
    def challenge(self) -> str:
        """The challenge of the query that it answers; "" without one."""
        return self.about.get("challenge", "")


def query(kind: str, challenge: str) -> bytes:
    """The datagram of a query."""
    return HEAD + f"{kind} {challenge}".encode("ascii")


def parse_query(datagram: bytes) -> tuple[str, str] | None:
    """The kind and challenge of a query; None for anything else."""
    if not datagram.startswith(HEAD):
        return None
    kind, _, challenge = datagram[len(HEAD) :].decode("latin-1").strip("\n\0").partition(" ")
    return (kind, challenge) if kind in (INFO, STATUS) else None


def answer(kind: str, about: Mapping[str, str]) -> bytes:
    """The datagram that answers a query; it is the caller who puts the challenge into `about`."""
    name = next(name for name, asked in _ANSWERS.items() if asked == kind)
    pairs = "".join(f"\\{key}\\{value}" for key, value in about.items())
    return HEAD + f"{name}\n{pairs}".encode("latin-1") + (b"\n" if kind == STATUS else b"")


def parse_answer(datagram: bytes) -> Answer | None:
    """The answer in a datagram; None for anything else."""
    if not datagram.startswith(HEAD):
        return None
    name, _, rest = datagram[len(HEAD) :].decode("latin-1").partition("\n")
    if name not in _ANSWERS:
        return None
    words = rest.partition("\n")[0].split("\\")[1:]
    return Answer(_ANSWERS[name], dict(zip(words[::2], words[1::2], strict=False)))


def interval_ns(addresses: int) -> int:
    """The time between two queries of a prober that uses its addresses in turn, below all limits of a server."""
    return max(_ALL_INTERVAL_NS, -(-_ADDRESS_INTERVAL_NS // addresses))


class Bucket:
    """The server's side of a limit: a bucket that leaks one query in each period, and holds `burst`.

    As `SVC_RateLimit` of ioquake3.
    """

    def __init__(self, burst: int, period_ns: int) -> None:
        self._burst = burst
        self._period_ns = period_ns
        self._held = 0
        self._last_ns = 0

    def refuses(self, now_ns: int) -> bool:
        """Whether the query that comes now is refused; otherwise it is held in the bucket."""
        leaked, rest_ns = divmod(now_ns - self._last_ns, self._period_ns)
        if leaked > self._held or leaked < 0:
            self._held, self._last_ns = 0, now_ns
        else:
            self._held -= leaked
            self._last_ns = now_ns - rest_ns
        if self._held >= self._burst:
            return True
        self._held += 1
        return False
