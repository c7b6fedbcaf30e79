"""Does `loadgen spec` blame the right one?  Trials with equal VMs, with a slow VM, and with a slow engine.

    python -m benchmarks.fairness equal 5
    python -m benchmarks.fairness slow 5
    python -m benchmarks.fairness client 5

Each trial is a run with 8 VMs of nginx and two engines, all on this machine.

* equal: nothing differs.  Right: the VMs are fair, and neither a VM nor an engine is named.
* slow: the kernel paces the connections of one VM (SO_MAX_PACING_RATE), so that they are 10 % slower and still conform.
  Right: this VM is named, and nothing else.
* client: one engine is stopped for 70 ms of each 270 ms.  It sends requests later, and reads replies later, which it
  reads at the line's speed here.  That makes it 2 to 3 % slower, and no trust check fails: longer stops would make the
  run INVALID, which has no fairness.  Right: this engine is named, and no VM.

In each trial it is another VM, or the other engine.  The run must also be CONFORMING.  The user must be allowed to take
descriptors of own processes: root, or kernel.yama.ptrace_scope of 0 or 1.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from deploy.proc import children_of

_LOADGEN = str(Path(sys.executable).with_name("loadgen"))
_VMS = tuple(f"vm{number:02}" for number in range(1, 9))
_ENGINES = 2
_RUN = (
    *("--vms", str(len(_VMS)), "--vm-driver", "local", "--server", "nginx"),
    *("--engines", str(_ENGINES), "--ramp-up", "500ms", "--warmup", "1s", "--ramp-down", "500ms", "--duration", "3s"),
)

_PACED = 42_000
"""Bytes per second.  The line has 50,000; the kernel does not pace the first ten segments of a TCP connection."""

_SEGMENT = 536
"""Bytes.  Over loopback, segments have 64 KiB, and whole replies would be sent at once."""

_STOPPED_S, _RUNNING_S = 0.07, 0.2
"""Longer stops exceed the limit of late requests, 100 ms, and a larger part of the time that of time lost to them."""

_BEGIN_S, _LOOK_S = 30.0, 0.01
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; Python has no name for it
_PIDFD_GETFD = 438

_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def _nothing(run: int, number: int) -> Iterator[str]:
    """Disturb nothing."""
    yield ""


@contextlib.contextmanager
def _slow_vm(run: int, number: int) -> Iterator[str]:
    """Pace the connections of a VM; yields its name."""
    name = _VMS[number % len(_VMS)]
    _pace(run, name)
    yield name


@contextlib.contextmanager
def _slow_engine(run: int, number: int) -> Iterator[str]:
    """Stop an engine again and again; yields its name."""
    at = number % _ENGINES
    pids = _wait_for(lambda: _engines(run), "the engines")
    over = threading.Event()
    thread = threading.Thread(target=_pulse, args=(pids[at], over))
    thread.start()
    try:
        yield f"local/{at}"
    finally:
        over.set()
        thread.join()


_SETUPS = {"equal": _nothing, "slow": _slow_vm, "client": _slow_engine}
_OPTIONS = {"client": ("--paced-reads",)}


def trial(name: str, number: int, record: Path) -> dict[str, Any]:
    """Return what one run says, and whether that is right."""
    argv = [_LOADGEN, "spec", *_RUN, *_OPTIONS.get(name, ()), "--seed", str(number + 1), "--json", "--out", str(record)]
    with (
        tempfile.TemporaryFile("w+") as progress,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=progress, text=True) as run,
    ):
        try:
            with _SETUPS[name](run.pid, number) as guilty:
                said, _ = run.communicate()
        finally:
            run.terminate()
        if not said:
            progress.seek(0)
            raise SystemExit(f"no result: {progress.read()[-2000:]}")
    return {"slow": guilty or "nothing", **answer(name, guilty, json.loads(said))}


def answer(name: str, guilty: str, document: dict[str, Any]) -> dict[str, Any]:
    """The verdict on the run and on its fairness, who is named with which ratio, and whether the right one is."""
    fair, verdict = document["fairness"], document["verdict"]
    if fair is None:
        return {"verdict": verdict, "why": document["reasons"], "right": False}
    vms = [*fair["differing"], *fair["passing"], *fair["starved"]]
    engines = fair["clients"]["differing"]
    word, named_vms, named_engines = {
        "equal": ("fair", [], []),
        "slow": ("unfair", [guilty], []),
        "client": ("fair", [], [guilty]),
    }[name]
    return {
        "verdict": verdict,
        "fairness": fair["verdict"],
        "slowest/fastest VM": _with_chance(fair),
        "engine": _with_chance(fair["clients"]),
        "named": [f"{one['name']} {_share(one)}" for one in (*vms, *engines)],
        "right": verdict == "conforming"
        and fair["verdict"] == word
        and [one["name"] for one in vms] == named_vms
        and [one["name"] for one in engines] == named_engines,
    }


def _with_chance(found: dict[str, Any]) -> str:
    chance = found["slowest_over_fastest_by_chance"]
    return f"{found['slowest_over_fastest']:.4f} (chance: {'unknown' if chance is None else f'{chance:.4f}'})"


def _share(named: dict[str, Any]) -> str:
    if "received" in named:
        return f"received {named['received']:.4f}"
    return f"{named['share']:.4f} of the median (chance: ± {named['chance']:.4f})"


def _pace(run: int, vm: str) -> None:
    """Let the kernel pace each connection that a VM accepts from now on: it inherits the options of the listener."""
    with _wait_for(lambda: _listener(run, vm), f"the web server of {vm}") as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        listener.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _PACED)


def _wait_for(look: Callable[[], _T | None], what: str) -> _T:
    end = time.monotonic() + _BEGIN_S
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not start")
        time.sleep(_LOOK_S)
    return found


def _listener(run: int, name: str) -> socket.socket | None:
    """The socket at which a VM listens, shared with its nginx; None while it does not listen."""
    for pid in _below(run):
        words = _words(pid)
        if "nginx" not in Path(words[0]).name or not any(Path(word).name == name for word in words):
            continue
        for entry in _descriptors(pid):
            with contextlib.suppress(OSError):
                found = _shared(pid, entry)
                if found.family == socket.AF_INET and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return found
                found.close()
    return None


def _shared(pid: int, descriptor: int) -> socket.socket:
    """A socket of another process.  Raises OSError, also for what is no socket."""
    process = os.pidfd_open(pid)
    try:
        mine = _libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if mine < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        return socket.socket(fileno=mine)
    except OSError:
        os.close(mine)
        raise


def _descriptors(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return []


def _engines(run: int) -> list[int]:
    """The engines in the order of their names; empty until all run."""
    found = sorted(pid for pid in children_of(run) if "loadgen.engine" in _words(pid))
    return found if len(found) == _ENGINES else []


def _words(pid: int) -> Sequence[str]:
    """The command line of a process; a single empty word when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return [""]


def _below(pid: int) -> list[int]:
    children = children_of(pid)
    return children + [below for child in children for below in _below(child)]


def _pulse(pid: int, over: threading.Event) -> None:
    """Stop a process and let it go on, until `over`, or until it has ended."""
    with contextlib.suppress(ProcessLookupError):
        while not over.wait(_RUNNING_S):
            os.kill(pid, signal.SIGSTOP)
            try:
                over.wait(_STOPPED_S)
            finally:
                os.kill(pid, signal.SIGCONT)


def main() -> int:
    """Play the trials; returns 1 when an answer is wrong."""
    name, count = sys.argv[1], int(sys.argv[2])
    wrong = 0
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            found = trial(name, number, Path(home) / f"{name}-{number}")
            wrong += not found["right"]
            print(name, number + 1, found, flush=True)
    print(f"{name}: {count - wrong} of {count} answers are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
