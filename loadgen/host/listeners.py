"""The processes of this machine that listen on given TCP ports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set
from pathlib import Path

from loadgen.host.addresses import is_here

_LISTEN = "0A"  # the state of a listening socket in /proc/net/tcp (proc(5))


def servers_here(targets: Iterable[tuple[str, int]]) -> set[int] | None:
    """The processes of this machine that listen on the ports of `targets` (host, port); None if some are unknown.

    Resolving names may take seconds.
    """
    ports: dict[str, set[int]] = {}
    for host, port in targets:
        ports.setdefault(host, set()).add(port)
    return listening_pids({port for host, of_host in ports.items() if is_here(host) for port in of_host})


def listening_pids(ports: Set[int], proc: Path = Path("/proc")) -> set[int] | None:
    """The processes that hold a listening socket on one of `ports`, in any network namespace of this machine.

    None when this user may not see which process holds such a socket.
    """
    processes = [home.name for home in proc.iterdir() if home.name.isdecimal()]
    sockets = _listening_sockets(ports, processes, proc)
    if not sockets:
        return set()
    found: set[int] = set()
    held: set[str] = set()
    for name in processes:
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            mine = _open_files(proc / name / "fd") & sockets
            if mine:
                found.add(int(name))
                held |= mine
    return found if held == sockets else None


def _open_files(directory: Path) -> set[str]:
    found = set()
    for link in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed since
            found.add(str(link.readlink()))
    return found


def _listening_sockets(ports: Set[int], processes: list[str], proc: Path) -> set[str]:
    """The listening sockets, in the form in which /proc/PID/fd names them."""
    found, seen = set[str](), set[Path]()
    for name in processes:
        home = proc / name
        with contextlib.suppress(OSError):
            if (namespace := (home / "ns" / "net").readlink()) in seen:
                continue
            seen.add(namespace)
            for table in ("tcp", "tcp6"):
                with contextlib.suppress(FileNotFoundError):  # there may be no IPv6
                    found |= parse_listening((home / "net" / table).read_text(), ports)
    return found


def parse_listening(text: str, ports: Set[int]) -> set[str]:
    """The sockets that listen on one of `ports`, from the text of /proc/PID/net/tcp or tcp6."""
    found = set()
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) in ports:
            found.add(f"socket:[{fields[9]}]")
    return found
