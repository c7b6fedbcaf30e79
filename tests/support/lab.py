"""Network labs on this machine, and the mark of tests that must be able to build a lab."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.network import Lab, why_not
from deploy.lab.topology import NICS, Place

REASON = why_not()

needs_lab = pytest.mark.skipif(bool(REASON) and os.environ.get("CI") != "true", reason=REASON or "a lab can be built")

IPERF3 = shutil.which("iperf3")

needs_iperf3 = pytest.mark.skipif(
    IPERF3 is None and os.environ.get("CI") != "true", reason="iperf3 is not installed (make debian installs it)"
)


def start(lab: Lab, place: Place, *argv: str) -> subprocess.Popen[str]:
    """Start a program in a place of the lab, with its output on a pipe."""
    inside = lab.inside(place)
    return subprocess.Popen(
        [*inside.prefix, *argv],
        pass_fds=inside.descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(lab: Lab, place: Place, *argv: str) -> str:
    """Return the output of a program in a place of the lab."""
    with start(lab, place, *argv) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out


def json_of(lab: Lab, place: Place, *argv: str) -> Any:
    return json.loads(said(lab, place, *argv))


def lab_nics_here() -> set[str]:
    """Return the NICs in the test's own namespace whose names are names of a lab's NICs."""
    here = {path.name for path in Path("/sys/class/net").iterdir()}
    return here & {nic for nics in NICS.values() for nic in nics}


def named_namespaces() -> set[str]:
    """Return the named network namespaces that `ip netns` lists."""
    home = Path("/run/netns")
    return {path.name for path in home.iterdir()} if home.exists() else set()


def namespaces_of(pids: list[int]) -> set[int]:
    """Return the network namespaces, by inode, that these processes are in or hold a descriptor of."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):  # the process has ended
            for link in (Path(f"/proc/{pid}/ns/net"), *Path(f"/proc/{pid}/fd").iterdir()):
                with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed
                    name = str(link.readlink())
                    if name.startswith("net:["):
                        found.add(int(name[len("net:[") : -1]))
    return found


def held_namespaces() -> set[int]:
    """Return the network namespaces, by inode, of all processes."""
    return namespaces_of([int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()])
