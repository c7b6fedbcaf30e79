"""Reads `--hosts`: load machines that are reached over SSH, listed in the option itself or in a TOML file.

>>> parse_list("c07, alice@c08:2222")[1]
Host(name='c08', address='c08', user='alice', port=2222, cores=0, bind='', command='', spool='')
>>> text = '''
... [[host]]
... name = "c07"
... cores = 8           # number of engine processes; this and all that follows is optional; default: one per core
... address = "192.0.2.7"    # the address to connect to
... user = "alice"
... port = 2222
... bind = "192.0.2.7"       # where its agent listens; default: the address that SSH connected to
... command = "/opt/loadgen/bin/loadgen"
... spool = "/var/tmp/spool"
... '''
>>> parse(text, "hosts.toml")[0].address
'192.0.2.7'
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deploy.hosts.ranges import expand, split_list
from loadgen.host.paths import to_path
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain
from loadgen.model.toml import parse_toml

_NAME = re.compile(r"[A-Za-z0-9:_][A-Za-z0-9:._%-]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9:_][A-Za-z0-9:._%-]*")
_ONE = re.compile(r"(?:(?P<user>[^\s/]+)@)?(?P<host>\[[^\[\]\s]+\]|[^@:\[\]\s]+)(?::(?P<port>[0-9]{1,5}))?")
_URL = re.compile(r"ssh://(?P<rest>[^/\s]+)/?", re.IGNORECASE)
_LIST_HINT = "write them like c07,c[10-20],alice@c08,c09:2222,[2001:db8::7]:2222,ssh://c10:22, or give a TOML file"
_SHAPE = (
    'each host is a [[host]] table with name = "…" and optionally address, user, port, cores, bind, command and spool'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine that is reached over SSH.  The ssh_config of the user, or the machine, decides what is empty or 0.

    `name` is the machine's name in the run; `address` is the address to connect to, by default the name (which may be
    a `Host` of the ssh_config).  `cores` is the number of engine processes.  `bind` is the address at which the agent
    listens.  `command` is loadgen on the machine, in the words of a shell: its path, perhaps after a program that
    starts it ("nice -n 5 /opt/loadgen/bin/loadgen").  `spool` is the directory where it keeps its measurements.

    Raises PlanError for values that cannot be used.
    """

    name: str
    address: str = ""
    user: str = ""
    port: int = 0
    cores: int = 0
    bind: str = ""
    command: str = ""
    spool: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise PlanError(
                f"{self.name!r} is not a valid host name: use up to 64 letters, digits and any of . - _ : %"
            )
        if not self.address:
            object.__setattr__(self, "address", self.name)
        for what in ("address", "bind"):
            value = getattr(self, what)
            if value and not _WORD.fullmatch(value):
                raise PlanError(f"host {self.name}: {what} {value!r} is not an address")
        if not 0 <= self.port <= 65535:
            raise PlanError(f"host {self.name}: port {self.port} is not in 1..65535")
        if self.cores < 0:
            raise PlanError(f"host {self.name}: cores must be at least 1, got {self.cores}")
        for what in ("user", "command", "spool"):
            if any(ord(sign) < 32 for sign in getattr(self, what)):
                raise PlanError(f"host {self.name}: {what} {getattr(self, what)!r} holds a control character")

        if self.command and not self.words:
            raise PlanError(f"host {self.name}: command {self.command!r} has a quote without its end, or no words")

    @property
    def words(self) -> Sequence[str]:
        """The words of `command`; none if it has none, or cannot be split."""
        try:
            return shlex.split(self.command)
        except ValueError:
            return ()

    @property
    def login(self) -> str:
        """user@address:port, as far as these are given; for messages."""
        place = format_address(self.address, self.port) if self.port else self.address
        return f"{self.user}@{place}" if self.user else place


def hosts(text: str) -> tuple[Host, ...]:
    """The hosts of the option `--hosts`: the path of a TOML file, or a list.  Raises PlanError."""
    is_file = "ssh://" not in text.lower() and ("/" in text or text.endswith(".toml"))
    return load(to_path(text)) if is_file else parse_list(text)


def load(path: Path) -> tuple[Host, ...]:
    """The hosts in a file; raises PlanError when it cannot be read, and as :func:`parse`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not UTF-8, so not TOML") from error
    return parse(text, str(path))


def parse_list(text: str) -> tuple[Host, ...]:
    """The hosts in a list like `a,user@b:2222,[::1],ssh://c:22,d[01-20]`; each has its address as its name.

    Raises PlanError.
    """
    found = []
    for part in (part.strip() for part in split_list(text)):
        url = _URL.fullmatch(part)
        for one in expand(url["rest"] if url else part):
            found.append(_one(one, text, percent_coded=url is not None))
    return _each_once(found, "--hosts")


def _one(part: str, text: str, *, percent_coded: bool) -> Host:
    if not (one := _ONE.fullmatch(part)):
        before, at, host = part.rpartition("@")
        if _is_ipv6(host):
            raise PlanError(
                f"{host!r} is an IPv6 address without brackets, so its end could be a port",
                hint=f"write {before}{at}[{host}], or with the port of SSH: {before}{at}[{host}]:22",
            )
        raise PlanError(f"{part!r} is not a host" if part else f"{text!r}: a host is missing", hint=_LIST_HINT)
    name, port, user = one["host"].strip("[]"), one["port"], one["user"] or ""
    if percent_coded:
        if ":" in user:
            raise PlanError(f"ssh://…@{name} has a password; SSH uses keys, so give the user's name only")
        user, name = unquote(user), unquote(name)
    if port == "0":
        raise PlanError(f"host {name}: port 0 is not in 1..65535", hint=_LIST_HINT)
    return Host(name=name, user=user, port=int(port or 0))


def _is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address; it may have a zone, as link-local ones need: fe80::1%eth0."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse(text: str, source: str) -> tuple[Host, ...]:
    """The hosts in a text, at least one; raises PlanError, which names `source`, for anything else."""
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise PlanError(f"{source}: not TOML: {error}", hint=_SHAPE) from error
    tables = document.pop("host", [])
    if document:
        raise PlanError(f"{source}: unknown key {next(iter(document))!r}", hint=_SHAPE)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PlanError(f"{source}: host is not an array of tables", hint=_SHAPE)
    if not tables:
        raise PlanError(f"{source}: no hosts", hint=_SHAPE)
    found = []
    for number, table in enumerate(tables, 1):
        try:
            found += [from_plain(Host, row) for row in _rows(table)]
        except PlanError as error:
            raise PlanError(f"{source}: host {number}: {error.message}", hint=error.hint) from error
    return _each_once(found, source)


def _rows(table: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The table of each host that a table with ranges in its name stands for.  An address may have the same ranges."""
    name, address = table.get("name"), table.get("address")
    if not isinstance(name, str) or (names := expand(name)) == [name]:
        return [table]
    if address is None:
        return [{**table, "name": one} for one in names]
    addresses = expand(address) if isinstance(address, str) else []
    if len(addresses) != len(names):
        raise PlanError(f"name {name!r} stands for {len(names)} hosts, but address {address!r} for {len(addresses)}")
    return [{**table, "name": one, "address": at} for one, at in zip(names, addresses, strict=True)]


def _each_once(found: Sequence[Host], source: str) -> tuple[Host, ...]:
    seen: set[str] = set()
    for host in found:
        if host.name in seen:
            raise PlanError(f"{source}: two hosts have the name {host.name!r}", hint="give each a name of its own")
        seen.add(host.name)
    return tuple(found)
