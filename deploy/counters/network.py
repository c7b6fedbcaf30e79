"""The TCP counters of a VM's own network namespace, read through one of its processes."""

from __future__ import annotations

from pathlib import Path

from deploy.counters.files import read_small

_TABLES = {
    "netstat": ("TcpExt:", ("ListenOverflows", "ListenDrops")),
    "snmp": ("Tcp:", ("OutSegs", "RetransSegs")),
}


class NetworkReader:
    """Reads the namespaces of processes; `proc` is where the kernel shows them.

    The kernel's tables have 200 numbers with their names above them: the places of the four that matter are found once.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._places: dict[str, tuple[int, ...]] = {}

    def is_own(self, pid: int) -> bool:
        """Whether a process has a network namespace other than that of this process; False when that cannot be read."""
        try:
            theirs, ours = (self._proc / one / "ns/net" for one in (str(pid), "self"))
            return theirs.readlink() != ours.readlink()
        except OSError:
            return False

    def read(self, pid: int) -> tuple[int, int, int, int] | None:
        """(listen queue overflows, listen drops, segments sent, segments sent again); None when they cannot be read."""
        found: list[int] = []
        for file, (title, names) in _TABLES.items():
            numbers = self._numbers(read_small(f"{self._proc}/{pid}/net/{file}"), title, names)
            if numbers is None:
                return None
            found += numbers
        overflows, drops, sent, again = found
        return overflows, drops, sent, again

    def _numbers(self, text: str, title: str, names: tuple[str, ...]) -> list[int] | None:
        begin = 0 if text.startswith(title) else text.find(f"\n{title}") + 1
        if not text.startswith(title, begin):
            return None
        head, _, rest = text[begin:].partition("\n")
        values = rest.partition("\n")[0].split()
        try:
            places = self._places.get(head)
            if places is None:
                titles = head.split()
                places = self._places[head] = tuple(titles.index(name) for name in names)
            return [int(values[at]) for at in places]
        except (ValueError, IndexError):
            return None
