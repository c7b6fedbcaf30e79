"""The files that OpenSSH reads in tests: a machine's sshd_config and keys, and the configuration of its user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh


@dataclass(frozen=True)
class Endpoint:
    """The place where ssh reaches a host: the host's name in the user's configuration, its address and its port."""

    name: str
    address: str
    port: int


def write_server(own: Path, port: int, key: asyncssh.SSHKey, user: asyncssh.SSHKey, refusing: str) -> Path:
    """Write the files of one sshd into `own`; returns its configuration.

    `user` may log in with its key, except at the address `refusing`, where no key is accepted.
    """
    (own / "home").mkdir(parents=True)
    (own / "state").mkdir()
    _write(own / "key", key.export_private_key(), mode=0o600)
    _write(own / "authorized", user.export_public_key())
    config = own / "sshd_config"
    _write(
        config,
        f"""
        Port {port}
        ListenAddress 0.0.0.0
        HostKey {own}/key
        PidFile none
        UsePAM no
        StrictModes no
        LogLevel ERROR
        UseDNS no
        PrintMotd no
        PrintLastLog no
        PermitRootLogin prohibit-password
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        MaxStartups 100
        SetEnv HOME={own}/home XDG_STATE_HOME={own}/state
        AuthorizedKeysFile {own}/authorized
        Match LocalAddress {refusing}
            AuthorizedKeysFile none
        """.encode(),
    )
    return config


def write_user(
    home: Path, key: asyncssh.SSHKey, hosts: Iterable[Endpoint], known: Mapping[Endpoint, asyncssh.SSHKey]
) -> None:
    """Write a user's key, the names of `hosts`, and the host keys that the user knows, into `home`/.ssh."""
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700)
    _write(ssh / "id_ed25519", key.export_private_key(), mode=0o600)
    lines = [
        f"[{host.address}]:{host.port} {host_key.export_public_key().decode().strip()}"
        for host, host_key in known.items()
    ]
    _write(ssh / "known_hosts", "\n".join(lines).encode())
    config = [f"Host {host.name}\n    HostName {host.address}\n    Port {host.port}\n    User root\n" for host in hosts]
    _write(ssh / "config", "".join(config).encode())


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.write_bytes(content)
    path.chmod(mode)
