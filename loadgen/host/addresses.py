"""The IP addresses of this machine, in the network namespaces of all of its processes, including containers."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from pathlib import Path

_LOCAL = "/32 host LOCAL"  # marks a local address in the kernel's routing table (net/ipv4/fib_trie.c)


def to_listen_at(host: str) -> str:
    """`host`, or for `*` the address that stands for all of this machine: of IPv4 and IPv6 where there is IPv6."""
    if host != "*":
        return host
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::", 0))
        return "::"
    return "0.0.0.0"


def all_addresses(proc: Path = Path("/proc")) -> set[str]:
    """All addresses as text, except those of namespaces that this user may not read."""
    found, seen = set[str](), set[Path]()
    for entry in os.scandir(proc):
        if not entry.name.isdecimal():
            continue
        home = proc / entry.name
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            if (namespace := (home / "ns" / "net").readlink()) not in seen:
                found |= parse_fib_trie((home / "net" / "fib_trie").read_text())
                seen.add(namespace)
                found |= parse_if_inet6((home / "net" / "if_inet6").read_text())  # the file does not exist without IPv6
    return found


def parse_fib_trie(text: str) -> set[str]:
    """The local IPv4 addresses in the text of /proc/PID/net/fib_trie."""
    found, last = set(), ""
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("|-- "):
            last = words.removeprefix("|-- ")
        elif words.startswith(_LOCAL):
            found.add(last)
    return found


def parse_if_inet6(text: str) -> set[str]:
    """The IPv6 addresses in the text of /proc/PID/net/if_inet6, where 32 hexadecimal digits begin each line."""
    return {str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in text.splitlines() if line.strip()}


def is_here(host: str) -> bool:
    """Whether `host` is an address of this machine or of a container on it: a server there uses the same cores.

    Resolving a name may take seconds.  A name that cannot be resolved is not here.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in found:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as asker:  # there may be no IPv6
            asker.bind(address)  # only an address of our own can be had
            return True
    return not all_addresses().isdisjoint(str(address[0]) for *_, address in found)
