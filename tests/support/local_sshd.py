"""A real sshd on loopback, and a user's ~/.ssh for it: for what needs one machine, and no network of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

ADDRESS = "127.0.0.1"
_ADMIN_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class LocalSshd:
    """An sshd at `port`, and the home directory of a user whom it lets in with the key id_ed25519."""

    home: Path
    port: int
    key: asyncssh.SSHKey

    @property
    def ssh(self) -> Path:
        """The user's directory .ssh."""
        return self.home / ".ssh"

    @property
    def known_line(self) -> str:
        """The line of known_hosts for this sshd."""
        return f"[{ADDRESS}]:{self.port} {self.key.export_public_key().decode().strip()}\n"

    def config(self, text: str = "", names: str = "h*") -> None:
        """Write ~/.ssh/config: `names` lead to this sshd; `text` comes before."""
        lead = f"Host {names}\n    HostName {ADDRESS}\n    Port {self.port}\n    User root\n"
        (self.ssh / "config").write_text(f"{text}\n{lead}")

    def know(self, text: str | None = None) -> None:
        """Write ~/.ssh/known_hosts: this sshd, or another text."""
        (self.ssh / "known_hosts").write_text(self.known_line if text is None else text)


@contextlib.contextmanager
def local_sshd(directory: Path, *lines: str) -> Iterator[LocalSshd]:
    """Run an sshd with these lines before its own configuration, until the context ends.  It needs root."""
    home = directory / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (directory / "there").mkdir()
    key, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    for path, content in (
        (directory / "key", key.export_private_key()),
        (home / ".ssh" / "id_ed25519", user.export_private_key()),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
    (directory / "authorized").write_bytes(user.export_public_key())
    port = _free_port()
    config = directory / "sshd_config"
    own = (
        f"Port {port}",
        f"ListenAddress {ADDRESS}",
        f"HostKey {directory}/key",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "LogLevel ERROR",
        "UseDNS no",
        "PrintMotd no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        f"SetEnv HOME={directory}/there",
        f"AuthorizedKeysFile {directory}/authorized",
    )
    config.write_text("\n".join([*lines, *own]) + "\n")
    sshd = shutil.which("sshd", path=_ADMIN_PATH) or "sshd"
    script = f"mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec '{sshd}' -D -e -f '{config}'"
    log = (directory / "sshd.log").open("wb")
    command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "sh", "-c", script]
    with log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True) as running:
        try:
            _until_up(port, directory / "sshd.log")
            made = LocalSshd(home, port, key)
            made.config()
            made.know()
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def as_user(sshd: LocalSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process the user of the sshd, for ssh and for us: without an agent, and with another HOME."""
    monkeypatch.setenv("HOME", str(sshd.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((ADDRESS, 0))
        return int(one.getsockname()[1])


def _until_up(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
