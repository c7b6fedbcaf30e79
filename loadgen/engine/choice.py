"""Which engine plays: the compiled one where it was built and can do what is asked, otherwise the Python one.

They do the same; which one it was, by what it stamps replies, and why, is said and recorded.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import struct
import time
from dataclasses import dataclass

from loadgen.engine.api import Assignment, EndedHook, Engine, EngineKind, Load, Timestamps
from loadgen.engine.player import Player
from loadgen.engine.vitals import Vitals
from loadgen.model.errors import FleetError

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_PROBE_S = 0.5  # the kernel begins to stamp a moment after the first socket asked for it
_TRY_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What plays: `kind`, what it stamps replies by (never AUTO), and why not the better one ("" when it is)."""

    kind: EngineKind
    timestamps: Timestamps
    why: str


def available() -> tuple[EngineKind, ...]:
    """The engines of this installation, the best first."""
    return (EngineKind.PYTHON,) if why_not_compiled() else (EngineKind.COMPILED, EngineKind.PYTHON)


def why_not_compiled() -> str:
    """Why the compiled engine cannot be used here; "" when it can."""
    try:
        importlib.import_module("loadgen.engine.compiled._core")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return "it was not built: there was no C compiler" if missing else f"it cannot be loaded: {error}"
    return ""


def describe() -> str:
    """The engine of this installation in one line, for people."""
    why = why_not_compiled()
    return f"the Python engine (not the compiled one: {why})" if why else "the compiled engine"


def choose(assignment: Assignment) -> Choice:
    """Which engine plays `assignment`.  Raises FleetError when what its load insists on cannot be had."""
    return choose_for(assignment.load, tls=any(target.tls for target in assignment.targets))


def choose_for(load: Load, *, tls: bool) -> Choice:
    """Which engine plays `load`; `tls`: to any server by TLS.  Raises FleetError as :func:`choose` does."""
    wanted = load.engine
    why = "TLS is the Python engine's" if tls else why_not_compiled()
    if wanted is EngineKind.COMPILED and why:
        hint = (
            "leave out --engine compiled" if tls else "install a C compiler and loadgen again, or use --engine python"
        )
        raise FleetError(f"the compiled engine cannot play this: {why}", hint=hint)
    if wanted is not EngineKind.PYTHON and not why:
        return Choice(kind=EngineKind.COMPILED, timestamps=_stamps(load), why="")
    if load.timestamps is Timestamps.KERNEL:
        reason = why or "the Python engine was asked for"
        raise FleetError(
            f"the kernel's time-stamps are read by the compiled engine only: {reason}", hint="use --timestamps auto"
        )
    return Choice(kind=EngineKind.PYTHON, timestamps=Timestamps.LOOP, why=why)


def make_player(
    choice: Choice, assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: EndedHook, vitals: Vitals
) -> Engine:
    """The engine that was chosen for `assignment`.  Raises what its constructor raises."""
    if choice.kind is EngineKind.PYTHON:
        return Player(assignment, loop, ended, now_ns=time.monotonic_ns, vitals=vitals)
    from loadgen.engine.compiled.player import CompiledPlayer  # not there without a C compiler

    kernel = choice.timestamps is Timestamps.KERNEL
    return CompiledPlayer(assignment, loop, ended, vitals=vitals, kernel_stamps=kernel)


def _stamps(load: Load) -> Timestamps:
    """What the compiled engine stamps replies by."""
    if load.timestamps is Timestamps.LOOP:
        return Timestamps.LOOP
    # Paced reads leave a reply in the kernel until its time has come: when it arrived there says nothing.
    why = "with paced reads they say nothing" if load.paced_reads and load.line_bps else _why_no_kernel_stamps()
    if not why:
        return Timestamps.KERNEL
    if load.timestamps is Timestamps.KERNEL:
        raise FleetError(f"the kernel's time-stamps cannot be used: {why}", hint="use --timestamps auto")
    return Timestamps.LOOP


def _why_no_kernel_stamps() -> str:
    """Whether the kernel stamps what it receives, tried on a connection of our own on loopback; "" when it does."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
            ours.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            ours.settimeout(_PROBE_S)
            other, _ = server.accept()
            with other:
                for _ in range(int(_PROBE_S / _TRY_S)):
                    other.send(b".")
                    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(struct.calcsize("@qq")))
                    if any(kind == _SO_TIMESTAMPNS for level, kind, _ in ancillary if level == socket.SOL_SOCKET):
                        return ""
                    time.sleep(_TRY_S)
    except OSError as error:
        return f"asking for them failed: {error.strerror}"
    return "the kernel sends none"
