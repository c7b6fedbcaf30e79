"""The keys with which the user logs in: those in files, and those of the SSH agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from deploy.hosts.ssh_config import Settings

_AGENT_TIMEOUT_S = 3.0


@dataclass(slots=True)
class Identities:
    """The keys that are offered, in this order.  `locked` are files whose key needs a passphrase.

    `notes` name the files that are skipped.
    """

    keys: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    locked: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    named: list[bytes] = field(default_factory=list)
    """The public keys of the files."""


@contextlib.asynccontextmanager
async def identities(settings: Settings) -> AsyncIterator[Identities]:
    """The keys for a host.  Inside the context, the SSH agent can sign with those that it has."""
    found = await asyncio.to_thread(read_files, settings)
    async with contextlib.AsyncExitStack() as stack:
        from_agent: Sequence[asyncssh.SSHKeyPair] = ()
        if settings.agent:
            try:
                async with asyncio.timeout(_AGENT_TIMEOUT_S):
                    agent = await asyncssh.connect_agent(settings.agent)
                    stack.callback(agent.close)
                    from_agent = await agent.get_keys()
            except TimeoutError:
                found.notes.append(f"the SSH agent at {settings.agent} does not answer; it is skipped")
            except (OSError, ValueError, asyncssh.Error) as error:
                said = getattr(error, "strerror", None) or error
                found.notes.append(f"the SSH agent at {settings.agent} cannot be used: {said}; it is skipped")
        first = [key for key in from_agent if key.public_data in found.named]
        others = [] if settings.only_these_keys else [key for key in from_agent if key not in first]
        held = {key.public_data for key in from_agent}
        found.locked = [path for path in found.locked if _public(path) not in held]
        # In the order of OpenSSH: keys that are in both, other keys of the agent, other keys of files.
        found.keys = [*first, *others, *(key for key in found.keys if key.public_data not in held)]
        yield found


def read_files(settings: Settings) -> Identities:
    """The keys in the files.  A file that cannot be used is skipped, and named; a default file may be missing."""
    found = Identities()
    certificates: list[asyncssh.SSHCertificate] = []
    for path in settings.certificates:
        try:
            certificates += asyncssh.load_certificates(str(path))
        except (OSError, ValueError) as error:
            found.notes.append(f"CertificateFile {path}: {_said(error)}; it is skipped")
    for path in settings.keys:
        public = _public(path)
        if public:
            found.named.append(public)
        if settings.keys_are_given or path.exists():
            _read_key(path, certificates, found, has_public=bool(public))
    return found


def _read_key(path: Path, certificates: list[asyncssh.SSHCertificate], found: Identities, *, has_public: bool) -> None:
    try:
        pairs = _load(path, certificates)
    except FileNotFoundError:
        if not has_public:  # the public half is enough to choose a key of the agent
            found.notes.append(f"the key file {path} does not exist; it is skipped")
    except (OSError, ValueError, asyncssh.Error) as error:
        if "passphrase" in str(error).lower():
            found.locked.append(path)
        elif not has_public or path.suffix != ".pub":
            found.notes.append(f"the key file {path} cannot be used: {_said(error)}; it is skipped")
    else:
        found.keys += pairs
        found.named += [pair.public_data for pair in pairs]


def _load(path: Path, certificates: list[asyncssh.SSHCertificate]) -> Sequence[asyncssh.SSHKeyPair]:
    try:
        return asyncssh.load_keypairs(str(path), certlist=certificates)
    except ValueError:
        # The certificate beside it may be the fault.
        return asyncssh.load_keypairs([asyncssh.read_private_key(str(path))], certlist=certificates)


def _public(path: Path) -> bytes:
    """The public key of a key file, in the file beside it or in itself; empty if it is not known."""
    for file in (path.with_name(path.name + ".pub"), path):
        with contextlib.suppress(OSError, ValueError, asyncssh.Error):
            return asyncssh.read_public_key(str(file)).public_data
    return b""


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
