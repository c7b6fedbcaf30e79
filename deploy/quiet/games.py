"""Game servers for the quiet VM: openarena where it is installed, else a responder of ours."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.errors import PlanError
from loadgen.model.isolate import Game

PROGRAM = "game"
"""The name of the game server's process and log in its VM."""

_ENGINE = Path("/usr/lib/ioquake3/ioq3ded")
_DATA = Path("/usr/lib/openarena-server")
_NOBODY = "65534"
_HUNK_MEGS = 64
_MAP = "oa_dm1"


@dataclass(frozen=True, slots=True)
class GameServer:
    """A game server as a VM runs it: its name, and its program (name and command line)."""

    name: str
    program: tuple[str, ...]


def is_installed(engine: Path = _ENGINE, data: Path = _DATA) -> bool:
    """Whether openarena is here, as Debian installs it (openarena-server, ioquake3-server)."""
    return engine.exists() and data.exists()


def find_game(kind: Game, host: str, port: int, *, confined: bool) -> GameServer:
    """The game server that listens at `host` and `port`; openarena runs only in a VM with files of its own.

    Raises PlanError when the server that is asked for cannot be had.
    """
    if kind is Game.AUTO:
        kind = Game.OPENARENA if is_installed() and confined else Game.BUILTIN
    if kind is Game.BUILTIN:
        return GameServer("builtin", (PROGRAM, sys.executable, "-P", "-m", "deploy.quiet.responder", host, str(port)))
    if not is_installed():
        raise PlanError(
            f"openarena is not installed: there is no {_ENGINE} or no {_DATA}",
            hint="install it (Debian: apt install openarena-server), or give --game builtin",
        )
    if not confined:
        raise PlanError(
            "openarena needs a VM with files of its own, which this VM driver does not give",
            hint="choose another --vm-driver, or give --game builtin",
        )
    return GameServer("openarena", (PROGRAM, *_as_nobody(), *_openarena(host, port)))


def _as_nobody() -> tuple[str, ...]:
    """A prefix that gives up root, which the game server does not need."""
    program = shutil.which("setpriv")
    if os.geteuid() != 0 or program is None:
        return ()
    return (program, "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--pdeathsig", "KILL")


def _openarena(host: str, port: int) -> tuple[str, ...]:
    settings = {
        "com_basegame": "baseoa",
        "fs_basepath": str(_DATA),
        "fs_homepath": "/tmp/loadgen-game",
        "com_homepath": "oa",
        "com_legacyprotocol": "71",
        "com_protocol": "71",
        "dedicated": "1",
        "ttycon": "0",
        "net_enabled": "1" if ":" not in host else "2",
        "net_ip": host,
        "net_port": str(port),
        "sv_pure": "0",
        "vm_game": "0",
        "sv_maxclients": "8",
        "bot_enable": "0",
        "com_hunkmegs": str(_HUNK_MEGS),
    }
    words = [word for name, value in settings.items() for word in ("+set", name, value)]
    return (str(_ENGINE), *words, "+map", _MAP)
