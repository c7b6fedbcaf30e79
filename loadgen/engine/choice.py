"""Chooses the engine: the compiled one if it was built and can play the load, otherwise the Python one.

Both do the same.  The choice, the time-stamps that come with it, and the reason are reported and recorded.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import struct
import time
from dataclasses import dataclass

from loadgen.engine.api import Assignment, EndedHook, Engine, EngineKind, Load, Timestamps
from loadgen.engine.vitals import Vitals
from loadgen.model.errors import FleetError

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_PROBE_S = 0.5  # the kernel begins to stamp shortly after the first socket requests it
_TRY_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen engine and its time-stamps (neither is AUTO), and why not the compiled one ("" if it is)."""

    kind: EngineKind
    timestamps: Timestamps
    why: str


def available() -> tuple[EngineKind, ...]:
    """The engines that this installation can use, the preferred one first."""
    return (EngineKind.PYTHON,) if why_not_compiled() else (EngineKind.COMPILED, EngineKind.PYTHON)


def preload() -> None:
    """Import the preferred engine, so that an assignment finds it ready."""
    if not why_not_compiled():
        importlib.import_module("loadgen.engine.compiled.player")


def why_not_compiled() -> str:
    """Why this installation cannot use the compiled engine; "" when it can."""
    try:
        importlib.import_module("loadgen.engine.compiled._core")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return "it was not built: no C compiler was found" if missing else f"it cannot be loaded: {error}"
    return ""


def describe() -> str:
    """The preferred engine of this installation in a few words, with the reason if it is the Python one."""
    why = why_not_compiled()
    return f"the Python engine (not the compiled one: {why})" if why else "the compiled engine"


def choose(assignment: Assignment) -> Choice:
    """The engine that plays `assignment`.  Raises FleetError when its load demands what no engine here can do."""
    return choose_for(assignment.load, tls=any(target.tls for target in assignment.targets))


def choose_for(load: Load, *, tls: bool) -> Choice:
    """The engine that plays `load`; `tls`: a target uses TLS.  Raises FleetError as :func:`choose` does."""
    wanted = load.engine
    cannot = "only the Python engine supports TLS" if tls else ""
    if load.streams:
        cannot = "only the Python engine speaks HTTP/2"
    why = cannot or why_not_compiled()
    if wanted is EngineKind.COMPILED and why:
        build = "install a C compiler, then loadgen again; or use --engine python"
        hint = "omit --engine compiled" if cannot else build
        raise FleetError(f"the compiled engine cannot play this load: {why}", hint=hint)
    if wanted is not EngineKind.PYTHON and not why:
        return Choice(kind=EngineKind.COMPILED, timestamps=_stamps(load), why="")
    if load.timestamps is Timestamps.KERNEL:
        reason = why or "the Python engine was requested"
        raise FleetError(
            f"only the compiled engine reads the kernel's time-stamps: {reason}", hint="use --timestamps auto"
        )
    return Choice(kind=EngineKind.PYTHON, timestamps=Timestamps.LOOP, why=why)


def make_player(
    choice: Choice, assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: EndedHook, vitals: Vitals
) -> Engine:
    """Make the engine of `choice`.  Raises TargetError and FleetError as the engines' constructors do."""
    if choice.kind is EngineKind.PYTHON:
        from loadgen.engine.player import Player  # the compiled engine starts sooner without it

        return Player(assignment, loop, ended, now_ns=time.monotonic_ns, vitals=vitals)
    from loadgen.engine.compiled.player import CompiledPlayer  # cannot be imported where it was not built

    kernel = choice.timestamps is Timestamps.KERNEL
    return CompiledPlayer(assignment, loop, ended, vitals=vitals, kernel_stamps=kernel)


def _stamps(load: Load) -> Timestamps:
    """The time-stamps that the compiled engine uses for `load`."""
    if load.timestamps is Timestamps.LOOP:
        return Timestamps.LOOP
    # Paced reads leave a reply in the kernel on purpose, so the time of its arrival there is not a response time.
    why = "they are meaningless with paced reads" if load.paced_reads and load.line_bps else _why_no_kernel_stamps()
    if not why:
        return Timestamps.KERNEL
    if load.timestamps is Timestamps.KERNEL:
        raise FleetError(f"the kernel's time-stamps cannot be used: {why}", hint="use --timestamps auto")
    return Timestamps.LOOP


def _why_no_kernel_stamps() -> str:
    """The reason why the kernel does not stamp received data, tested on a loopback connection; "" when it does."""
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
        return f"the test connection failed: {error.strerror}"
    return "the kernel provides none"
