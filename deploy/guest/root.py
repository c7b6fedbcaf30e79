"""The first disk of guests: a web server of this machine with all that it needs, and the script that starts it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.guest.boot import DOCROOT, START, START_TOOLS, WORKDIR, find_tool, start_script
from deploy.guest.disk import make_disk, make_root
from deploy.guest.libraries import libraries_of
from deploy.guest.python import runtime_of
from deploy.servers.base import Setup

_NAMES = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")  # servers look up users by name
_SHELL = "/bin/sh"  # of the start script, and of the application's CGI script


def make_server_disk(setup: Setup, app: str, directory: Path) -> Path:
    """Make the disk `root.img` in `directory` for guests that run the server of `setup`.

    They run the application `app`, too, if there is one.

    `setup` is for a VM with :data:`WORKDIR` and :data:`DOCROOT`.  Raises PlanError, TargetError or OSError.
    """
    files = {_SHELL, *filter(_is_file, _NAMES), *map(find_tool, START_TOOLS)}
    programs: dict[str, Sequence[str]] = {}
    environment: Mapping[str, str] = {}
    awaited = ""
    if app and setup.launch.app is not None:
        runtime = runtime_of(app)
        programs["app"] = (*runtime.command, json.dumps(asdict(setup.launch.app)))
        files |= runtime.files
        environment = runtime.environment
        awaited = setup.launch.app.unix_socket if setup.launch.program else ""
    if setup.launch.program:
        name, *argv = setup.launch.program
        programs[name] = argv
        modules = [path for path in re.findall(r'"(/[^"]+)"', setup.config) if _is_file(path)]
        files |= {argv[0], *modules, *libraries_of(argv[0], modules)}
    for tool in (_SHELL, *START_TOOLS):
        files |= libraries_of(find_tool(Path(tool).name))
    staging = directory / "root"
    make_root(
        staging,
        copied=sorted(files),
        written={
            START: start_script(programs, environment, awaited).encode(),
            **{f"{WORKDIR}/{name}": text.encode(errors="surrogateescape") for name, text in setup.files.items()},
        },
        directories=(str(DOCROOT), str(WORKDIR), *(f"{WORKDIR}/{name}" for name in setup.directories)),
    )
    image = directory / "root.img"
    make_disk(staging, image)
    return image


def _is_file(path: str) -> bool:
    return Path(path).is_file()
