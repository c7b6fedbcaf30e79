"""The compiled engine releases what it obtained when it cannot be created."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engines import needs_compiled

pytestmark = needs_compiled
ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, resource, sys
import numpy as np
from loadgen.engine.compiled._core import Core
from loadgen.engine.compiled.player import arrays_of
from tests.support.tapes import Op, make_tape

one, arrays = np.zeros(1, np.uint32), arrays_of(make_tape([Op()], 1), 1)
TARGET, REMOTE = (b"Host: t\\r\\n", 0), b"\\0" * 16


def make(remotes=(REMOTE,), sources=()):
    return Core(
        arrays, [TARGET], list(remotes), list(sources), one, one, one, one, 0.0, line_bps=0, timeout_ns=1,
        error_rest_ns=1, paced_reads=False, kernel_stamps=False, open=False, max_backlog=0,
    )


def descriptors():
    return len(os.listdir("/proc/self/fd"))


make()  # whatever is opened once is open now
before = descriptors()
highest = max(map(int, os.listdir("/proc/self/fd")))
"""


def ran(script: str) -> str:
    command = [sys.executable, "-c", SCRIPT + script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("left", [0, 1, 2])
def test_without_descriptors_it_is_refused_and_none_is_leaked(left: int) -> None:
    # Descriptor `highest` was that of the listing itself and is free again.
    script = f"""
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (highest + {left}, limits[1]))
try:
    make()
except OSError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
assert descriptors() == before
"""
    assert ran(script) == "[Errno 24] the engine cannot open its epoll or event descriptors\n"


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        ("remotes=[bytes(200)]", "socket address 0 of the targets"),
        ("sources=[bytes(200)]", "the socket address of source 0"),
    ],
)
def test_an_address_that_is_too_long_is_refused(arguments: str, which: str) -> None:
    script = f"""
try:
    make({arguments})
except ValueError as error:
    print(error)
assert descriptors() == before
"""
    assert ran(script) == f"{which} has 200 bytes, which is too long\n"
