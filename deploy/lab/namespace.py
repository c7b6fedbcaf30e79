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
    """The means to start a program in a namespace: `prefix` goes before its arguments, `descriptors` are inherited.

    The program keeps the pid of the process that was started, and so its parent-death signal.
    """

    prefix: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


HERE = Inside()
"""How to start a program in the namespace of this process."""


class Namespace:
    """A new network namespace; it vanishes when it is closed and no process runs in it.

    Raises OSError when the user may not create one.
    """

    def __init__(self) -> None:
        self.descriptor = _in_a_thread(_unshare)

    def close(self) -> None:
        """Close the descriptor of the namespace.  Further calls do nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @property
    def path(self) -> str:
        """A path of the namespace, for a process that has inherited its descriptor."""
        return f"/proc/self/fd/{self.descriptor}"

    def inside(self, nsenter: str) -> Inside:
        """Return the means to start a program in the namespace.

        `nsenter` is the path of that program of util-linux.
        """
        return Inside((nsenter, f"--net={self.path}", "--"), (self.descriptor,))

    def call(self, work: Callable[[], T]) -> T:
        """Call `work` in the namespace, and return or raise what it does.

        Sockets, /proc/sys/net and programs that `work` starts are those of the namespace.
        """

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
    """Call `work` in a new thread: threads have namespaces of their own, and that of the caller must not change."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the thread of the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
