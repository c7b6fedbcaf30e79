"""What a connection asks while it is set up: may this host key be trusted, and which keys are offered?"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import asyncssh

from deploy.hosts.known_hosts import KnownHosts, add
from deploy.hosts.ssh_config import Settings, Unknown

_NO_CERTIFICATES = "-*-cert-v0*@openssh.com"


class Knocker(asyncssh.SSHClient):
    """Decides about the key of a host, and records why it is not accepted.

    `keys` are offered to the host, in this order.  `note` receives what the user should know.
    """

    def __init__(self, settings: Settings, known: KnownHosts, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._known = known
        self._note = note
        self.keys: Sequence[asyncssh.SSHKeyPair] = ()
        self.fingerprint = ""
        self.changed = False

    def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """Called when all keys so far were refused."""
        keys, self.keys = self.keys, ()
        return list(keys) or None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called when known_hosts does not contain this key."""
        self.fingerprint = key.get_fingerprint()
        known = self._known.keys(host, addr, port)
        if key in known:  # another connection added it in the meantime
            return True
        self.changed = bool(known)
        if self._settings.unknown is Unknown.REFUSED:
            return False
        if self.changed:
            if self._settings.unknown is Unknown.ADDED:
                return False
            self._note(
                f"the host key of {host} differs from the one in known_hosts: {self.fingerprint} now; it is accepted "
                "because of StrictHostKeyChecking"
            )
            return True
        self._add(host, port, key)
        return True

    def _add(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        for file in self._settings.user_known[:1]:
            try:
                line = add(file, host, port, key, hashes_name=self._settings.hashes_names)
            except OSError as error:
                self._note(f"the host key of {host} cannot be added to {file}: {error.strerror or error}")
            else:
                self._known.entries.load(line)
                self._note(f"the host key of {host} ({self.fingerprint}) was added to {file}")


def options(settings: Settings, known: KnownHosts, config: str) -> dict[str, object]:
    """The arguments of asyncssh.connect for these settings; `config` is the file of :func:`lines_in_file`."""
    found: dict[str, object] = {
        "host": settings.address,
        "port": settings.port,
        "username": settings.user,
        "config": [config] if config else None,
        "known_hosts": known.match,
        "client_keys": None,  # the Knocker offers them
        "agent_path": None,
        "tunnel": None,
        "proxy_command": None,
    }
    if settings.proxy_command:
        found["proxy_command"] = ["/bin/sh", "-c", f"exec {settings.expand(settings.proxy_command)}"]
    # To a host that is not known, OpenSSH shows its plain key, so that it can be added.
    chosen = any(line.startswith("hostkeyalgorithms") for line in settings.lines)
    may_be_added = settings.unknown is not Unknown.REFUSED
    if may_be_added and not chosen and not known.has_authority(settings.address, "", settings.port):
        found["server_host_key_algs"] = _NO_CERTIFICATES
    return found


@contextlib.contextmanager
def lines_in_file(settings: Settings) -> Iterator[str]:
    """The name of a file with the settings that asyncssh applies, while the context lasts; empty without settings."""
    if not settings.lines:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", prefix="loadgen-ssh-") as file:
        file.write("\n".join(settings.lines) + "\n")
        file.flush()
        yield os.fspath(file.name)


def without_jumps(settings: Settings) -> Settings:
    """The same settings for a host that is reached through another one anyway."""
    return dataclasses.replace(settings, jumps=(), proxy_command="")
