"""The host keys that are known: read as OpenSSH reads them, line by line, and added to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncssh

_SALT_BYTES = 20
_MARKED = "@"


class KnownHosts:
    """The entries of known_hosts files.  A line that cannot be read costs that line only, and is named in `notes`."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.entries = asyncssh.SSHKnownHosts()
        self.notes: list[str] = []
        for file in files:
            self._read(file)

    def _read(self, file: Path) -> None:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.notes.append(f"{file} cannot be read: {error.strerror or error}; it is skipped")
            return
        for number, line in _lines(content):
            why = _problem(line)
            if not why:
                try:
                    self.entries.load(line)
                except ValueError as error:
                    why = " ".join(str(error).split())
            if why:
                self.notes.append(f"{file}, line {number}: {why}; the line is skipped")

    def match(self, host: str, address: str, port: int | None) -> Sequence[Sequence[Any]]:
        """The keys of a host, those of its authorities, its revoked keys, and more, as asyncssh wants them.

        Entries with the port come first, entries without it count if there are none; revoked keys always count.
        """
        plain = self.entries.match(host, address, None)
        if not port:
            return plain
        names = [f"[{one}]:{port}" for one in (host, address) if one]
        each = [self.entries.match(name, "", None) for name in names]
        found: list[list[Any]] = [list(itertools.chain(*parts)) for parts in zip(*each, strict=True)]
        if found[0] or found[1]:
            return found
        return [*plain[:2], [*plain[2], *found[2]], *plain[3:]]

    def keys(self, host: str, address: str, port: int) -> Sequence[asyncssh.SSHKey]:
        """The known keys of a host."""
        return self.match(host, address, _named(port))[0]

    def has_authority(self, host: str, address: str, port: int) -> bool:
        """Whether there is an authority that may sign the key of this host."""
        return bool(self.match(host, address, _named(port))[1])


def add(file: Path, host: str, port: int, key: asyncssh.SSHKey, *, hashes_name: bool) -> str:
    """Add the key of a host to a file.  Returns the text of the line, or raises OSError."""
    name = f"[{host}]:{port}" if _named(port) else host
    public = key.export_public_key().decode("ascii").split()
    line = " ".join([_hashed(name) if hashes_name else name, *public[:2]])
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with file.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        gap = b"\n" if size and stream.read(1) != b"\n" else b""
        stream.write(gap + line.encode() + b"\n")
    return line


def _hashed(name: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()  # the format of OpenSSH
    return "|1|" + "|".join(base64.b64encode(part).decode("ascii") for part in (salt, digest))


def _named(port: int) -> int | None:
    return None if port == asyncssh.DEFAULT_PORT else port


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.decode("utf-8", errors="replace").strip()
        if line and not line.startswith("#"):
            yield number, line


def _problem(line: str) -> str:
    """Why a line is not `[@marker] names type key`; empty if it is."""
    words = line.split()
    if words[0].startswith(_MARKED):
        if words[0] not in ("@cert-authority", "@revoked"):
            return f"{words[0]} is not a marker"
        del words[0]
    if len(words) < 3:
        return "it is not the key of a host"
    kind, text = words[1].encode(errors="replace"), words[2]
    try:
        blob = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return "its key is not base64"
    if blob[4 : 4 + len(kind)] != kind or int.from_bytes(blob[:4], "big") != len(kind):
        return f"its key is not of the type {words[1]}"
    return ""
