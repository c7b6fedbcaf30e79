"""A network namespace without a name, held by a descriptor."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Inside:
    """How to start a program in a namespace: these words before its own, with these descriptors handed on.

    The program keeps the pid that was started, and so its parent-death signal.
    """

    prefix: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


HERE = Inside()
"""In the namespace that we are in."""


class Namespace:
    """A new one; it is gone when it is closed and nobody runs in it.  Raises OSError where that is not allowed."""

    def __init__(self) -> None:
        self.descriptor = _in_a_thread(_unshare)

    def close(self) -> None:
        """Let go of it.  Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @property
    def path(self) -> str:
        """Names it for a process that has its descriptor."""
        return f"/proc/self/fd/{self.descriptor}"

    def inside(self, nsenter: str) -> Inside:
        """How to start a program in it.  `nsenter` is the path of util-linux's."""
        return Inside((nsenter, f"--net={self.path}", "--"), (self.descriptor,))

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns (or raises), called inside: its sockets, its /proc/sys/net, the programs that it runs."""

        def within() -> T:
            if _libc.setns(self.descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return work()

        return _in_a_thread(within)


def _unshare() -> int:
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _in_a_thread(work: Callable[[], T]) -> T:
    """In one that ends with it: a namespace is a thread's, and ours must stay as it is."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, where somebody waits for it
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
