"""The SSH settings for a host, as OpenSSH finds them: `ssh -G` reads ssh_config, with Include and Match.

Without the program `ssh` on this machine, asyncssh reads the same two files; it knows fewer settings.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncssh.config import SSHClientConfig

from deploy.hosts.inventory import Host, parse_list
from loadgen.model.errors import FleetError, PlanError

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")

_TIMEOUT_S = 10.0  # Match exec runs programs, and CanonicalizeHostname asks name servers
_PORT = 22
_USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_KEY_FILES = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"))

_PASSED = (
    "addressfamily",
    "bindaddress",
    "casignaturealgorithms",
    "ciphers",
    "compression",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "gssapikeyexchange",
    "hostkeyalgorithms",
    "hostkeyalias",
    "kexalgorithms",
    "macs",
    "preferredauthentications",
    "pubkeyauthentication",
    "rekeylimit",
    "sendenv",
    "setenv",
    "tcpkeepalive",
)
"""The settings that asyncssh applies by itself."""

_TOKEN = re.compile(r"%(.)")


class Unknown(enum.Enum):
    """What happens to a host whose key is not in known_hosts (StrictHostKeyChecking)."""

    REFUSED = "refused"
    ADDED = "added"
    """The key is added to known_hosts.  A host with another key than the known one is refused."""
    IGNORED = "ignored"
    """As ADDED, and a host with another key than the known one is accepted, too."""


_POLICIES = {"accept-new": Unknown.ADDED} | dict.fromkeys(("no", "off", "false"), Unknown.IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings for one host.

    `name` is the name as it was given, `address` and `port` the place to connect to.  `jumps` are the hosts of
    ProxyJump, `proxy_command` is ProxyCommand with its tokens.  `unknown` says what happens to an unknown host key; a
    new key is added to the first of `user_known`, as a hash with `hashes_names`.  `keys` are the files of IdentityFile;
    the user named them if `keys_are_given`.  `agent` is the socket of the SSH agent, or empty.  `lines` are settings
    that asyncssh applies, in the form of ssh_config.
    """

    name: str
    address: str
    port: int
    user: str
    jumps: tuple[str, ...] = ()
    proxy_command: str = ""
    unknown: Unknown = Unknown.REFUSED
    user_known: tuple[Path, ...] = ()
    global_known: tuple[Path, ...] = ()
    hashes_names: bool = False
    keys: tuple[Path, ...] = ()
    keys_are_given: bool = False
    only_these_keys: bool = False
    certificates: tuple[Path, ...] = ()
    agent: str = ""
    lines: tuple[str, ...] = ()

    def expand(self, text: str) -> str:
        """Replace the tokens of ssh_config, such as %h, in a text.  Raises FleetError for an unknown token."""
        here = socket.gethostname()
        tokens = {
            "%": "%",
            "d": str(Path.home()),
            "h": self.address,
            "i": str(os.getuid()),
            "k": self.name,
            "L": here.partition(".")[0],
            "l": here,
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }
        try:
            return _TOKEN.sub(lambda found: tokens[found[1]], text)
        except KeyError as error:
            raise FleetError(f"{text!r} in the ssh_config has the token %{error.args[0]}, which is not known") from None


def read_settings(host: Host) -> Settings:
    """Return the settings for a host.  Raises FleetError, which names the file, if ssh_config cannot be used."""
    program = shutil.which("ssh")
    if program is None:
        return _settings(host, _by_asyncssh(host), {})
    return _settings(host, _by_ssh(program, host), _defaults(program))


def _settings(host: Host, found: Mapping[str, Sequence[str]], defaults: Mapping[str, Sequence[str]]) -> Settings:
    """The settings in what was `found`.  `defaults` are those of OpenSSH, for a user without any ssh_config."""

    def given(name: str) -> Sequence[str] | None:
        return None if found.get(name) == defaults.get(name) else found.get(name)

    def one(name: str, default: str = "") -> str:
        return next(iter(found.get(name, ())), default)

    def files(name: str, default: Sequence[str]) -> tuple[str, ...]:
        lines = given(name)
        texts = default if lines is None else [word for line in lines for word in line.split()]
        return tuple(text for text in texts if text not in ("none", "/dev/null"))

    base = Settings(
        name=host.address,
        address=one("hostname", host.address),
        port=int(one("port", str(_PORT))),
        user=one("user") or getpass.getuser(),
    )

    def paths(texts: Sequence[str]) -> tuple[Path, ...]:
        return tuple(Path(base.expand(text)).expanduser() for text in texts if text != "none")

    jump, command = one("proxyjump", "none"), one("proxycommand", "none")
    return Settings(
        name=base.name,
        address=base.address,
        port=base.port,
        user=base.user,
        jumps=() if jump == "none" else tuple(part.strip() for part in jump.split(",")),
        proxy_command="" if command == "none" else command,
        unknown=_POLICIES.get(one("stricthostkeychecking").lower(), Unknown.REFUSED),
        user_known=paths(files("userknownhostsfile", _USER_FILES)),
        global_known=paths(files("globalknownhostsfile", _GLOBAL_FILES)),
        hashes_names=one("hashknownhosts") == "yes",
        keys=paths(given("identityfile") or _KEY_FILES),
        keys_are_given=given("identityfile") is not None,
        only_these_keys=one("identitiesonly").lower() in ("yes", "true"),
        certificates=paths(given("certificatefile") or ()),
        agent=_agent(one("identityagent", "SSH_AUTH_SOCK"), base),
        lines=tuple(line for name in _PASSED if (values := given(name)) for line in _lines(name, values)),
    )


def _lines(name: str, values: Sequence[str]) -> Sequence[str]:
    if name == "setenv":  # the first line counts
        return [" ".join([name, *(f'"{value}"' for value in values)])]
    return [f"{name} {value}" for value in values]


def _agent(text: str, base: Settings) -> str:
    if text == "none":
        return ""
    if text == "SSH_AUTH_SOCK" or text.startswith("$"):
        return os.environ.get(text.strip("${}"), "")
    return str(Path(base.expand(text)).expanduser())


@functools.cache
def _defaults(program: str) -> Mapping[str, Sequence[str]]:
    done = subprocess.run(
        [program, "-G", "-F", "none", "host"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return _read(done.stdout)


def _by_ssh(program: str, host: Host) -> Mapping[str, Sequence[str]]:
    arguments = [program, "-G"]
    own = Path("~/.ssh/config").expanduser()
    told = b""
    if Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir):  # ssh ignores HOME, but our user may have set it
        arguments += ["-F", "/dev/stdin"]
        told = f'Include "{own}"\nMatch all\nInclude "{SYSTEM_CONFIG}"\n'.encode()
    if host.port:
        arguments += ["-p", str(host.port)]
    if host.user:
        arguments += ["-l", host.user]
    try:
        done = subprocess.run(
            [*arguments, "--", host.address], input=told, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise FleetError(f"`ssh -G {host.address}` did not read the ssh_config within {_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise FleetError(f"{program} cannot be started: {error.strerror or error}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if ": terminating, " not in line]
        raise FleetError(f"OpenSSH does not accept the ssh_config: {'; '.join(said) or 'it does not say why'}")
    return _read(done.stdout)


def _read(output: bytes) -> Mapping[str, Sequence[str]]:
    """What `ssh -G` printed: the values of each setting, by its name in small letters."""
    found: dict[str, list[str]] = {}
    for line in output.decode(errors="surrogateescape").splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name.lower(), []).append(value)
    return found


def _by_asyncssh(host: Host) -> Mapping[str, Sequence[str]]:
    config = [path for path in (Path("~/.ssh/config").expanduser(), SYSTEM_CONFIG) if path.is_file()]
    try:
        read = SSHClientConfig.load(
            None, config, False, False, False, getpass.getuser(), host.user or (), host.address, host.port or ()
        )
    except (OSError, ValueError) as error:
        raise FleetError(f"the ssh_config cannot be used: {error}") from error
    return {name.lower(): _words(value) for name, value in read.get_options(False).items()}


def _words(value: object) -> Sequence[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [] if value is None else [str(value)]


def split_jump(text: str) -> Host:
    """The host in one part of ProxyJump: [user@]host[:port], or an ssh:// URL.  Raises FleetError."""
    with contextlib.suppress(PlanError):
        return parse_list(text)[0]
    raise FleetError(f"ProxyJump has {text!r}, which is not a host")
